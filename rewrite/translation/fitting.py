"""A prompt made fit for the protocol that it goes to: losses are reported, what would change is refused."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from protocols.base import Abilities
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
from protocols.model.prompt import Content, Media, MediaForm, Message, Prompt, Role, Thought, ToolResult
from protocols.shared.signatures import unwrapped

_DEFAULTS = {each.name: each.default for each in fields(Prompt)}
_UNKNOWN = "has no such field there"


@dataclass(frozen=True, slots=True)
class Loss:
    """An optional thing that the target has no place for: the client's field, and what became of it."""

    field: str
    why: str


FOREIGN_REASONING = Loss("reasoning", "was made by another provider, which alone takes it back")
_MADE_MEDIA = Loss("media", "was made by the model, and has no place in what the assistant said before")
_LEFT_OUT: tuple[tuple[type[Thought] | type[Media], Loss], ...] = (
    (Thought, FOREIGN_REASONING),
    (Media, _MADE_MEDIA),
)


def fitted(prompt: Prompt, abilities: Abilities, provider: str) -> tuple[Prompt, tuple[Loss, ...]]:
    """`prompt` for a protocol of `abilities` at `provider`. Raises Untranslatable."""
    _check(prompt, abilities)
    if prompt.choices == 1:  # what is given anyway is no loss
        prompt = replace(prompt, choices=None)
    losses = [Loss(name, _UNKNOWN) for name in prompt.extensions]
    lacking = {name: why for name, why in abilities.lacks.items() if getattr(prompt, name) != _DEFAULTS[name]}
    losses += [Loss(name, why) for name, why in lacking.items()]
    cleared: dict[str, Any] = {name: _DEFAULTS[name] for name in lacking}
    messages = tuple(_messages(prompt, provider))
    losses += [loss for kind, loss in _LEFT_OUT if _fewer(kind, messages, prompt.messages)]
    return replace(prompt, **cleared, messages=messages, extensions={}), tuple(losses)


def _fewer(kind: type[Thought] | type[Media], now: tuple[Message, ...], before: tuple[Message, ...]) -> bool:
    return _count(kind, now) < _count(kind, before)


def _count(kind: type[Thought] | type[Media], messages: tuple[Message, ...]) -> int:
    return sum(isinstance(each, kind) for message in messages for each in message.content)


# -- what the target's own provider made goes back, and nothing else ------------------------------------


def _messages(prompt: Prompt, provider: str) -> Iterator[Message]:
    """A message that held nothing but what is left out is none."""
    for message in prompt.messages:
        of_model = message.role is Role.ASSISTANT
        content = tuple(
            kept
            for each in message.content
            if (kept := _kept(each, provider)) and not (of_model and isinstance(kept, Media))
        )
        if content or not message.content:
            yield replace(message, content=content)


def _kept(content: Content, provider: str) -> Content | None:
    if not isinstance(content, Thought):
        return content
    found = unwrapped(content.signature.value) if content.signature else None
    if found is None or found[0] != provider:
        return None
    return replace(content, signature=Signature(found[1].form, found[1].value))


# -- what would change the meaning ----------------------------------------------------------------------


def _check(prompt: Prompt, abilities: Abilities) -> None:
    if prompt.choices is not None and prompt.choices > 1 and not abilities.several_choices:
        raise Untranslatable("n, candidateCount", "more than one choice cannot be asked for there")
    for message in prompt.messages:
        for media in _media(message):
            _check_media(media, abilities)


def _media(message: Message) -> Iterator[Media]:
    for each in message.content:
        if isinstance(each, Media):
            if message.role is not Role.ASSISTANT:
                yield each
        elif isinstance(each, ToolResult):
            yield from (inner for inner in each.content if isinstance(inner, Media))


def _check_media(media: Media, abilities: Abilities) -> None:
    if media.form is MediaForm.FILE_ID:
        raise Untranslatable(
            media.at, f"{media.kind} {media.value!r} is an upload to the account of a provider"
        )
    if media.form not in abilities.media.get(media.kind, frozenset()):
        raise Untranslatable(media.at, f"{media.kind} as {media.form} is not taken there")
