"""The messages of a prompt as the provider wants them: turns that alternate, results first, nothing empty.

Documented: the first turn is the user's; results of tools stand before anything else in it; a text without
a word is refused, as is blank space at the end of an answer that is to be continued; the id of a tool call
is made of letters, digits, `_` and `-`.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import assert_never

from protocols.model.errors import Untranslatable
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import JsonObject, given, objects_at, text_at
from protocols.shared.arguments import object_of
from protocols.shared.media import image_type

type Block = dict[str, object]
type Turn = tuple[str, list[Block]]

CACHE: JsonObject = {"type": "ephemeral"}
OPENING = "(The assistant opens the conversation.)"
"""What the user is made to say where the assistant speaks first."""

_PDF = "application/pdf"
NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_PDF_BEGINS = "JVBERi"
"""In base64."""

SIGNATURES = {"signature": "thinking", "redacted": "redacted_thinking"}


def split(messages: Sequence[Message]) -> tuple[list[Text], Sequence[Message]]:
    """What the system says before anyone else, and the messages from there on."""
    first = next((at for at, each in enumerate(messages) if each.role is not Role.SYSTEM), len(messages))
    opening = [part for message in messages[:first] for part in message.content if isinstance(part, Text)]
    return opening, messages[first:]


def turns(messages: Sequence[Message]) -> list[JsonObject]:
    """The turns, at least one. Raises Untranslatable for an empty conversation.

    Lossy: what the system says between other messages becomes a text of the user.
    """
    pieces = [(role, block) for message in messages for role, block in _pieces(message)]
    merged = [
        (role, [block for _, block in group]) for role, group in groupby(pieces, lambda piece: piece[0])
    ]
    if not merged:
        raise Untranslatable("messages", "a conversation needs a message of the user")
    if merged[0][0] != Role.USER:
        merged.insert(0, (Role.USER.value, [{"type": "text", "text": OPENING}]))
    if merged[-1][0] == Role.ASSISTANT:
        _trim(merged[-1][1])
    return [{"role": role, "content": _results_first(blocks)} for role, blocks in merged]


def _pieces(message: Message) -> Iterator[tuple[str, Block]]:
    """Role and block of each. The model's own images have no place among its words: the user shows them."""
    for part in message.content:
        theirs = message.role is Role.ASSISTANT and not isinstance(part, Media)
        for block in _block(part):
            yield (Role.ASSISTANT if theirs else Role.USER).value, block


def _results_first(blocks: list[Block]) -> list[Block]:
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _trim(blocks: list[Block]) -> None:
    """An answer that the model is to continue."""
    text = blocks[-1].get("text")
    if isinstance(text, str):
        blocks[-1] = {**blocks[-1], "text": text.rstrip()}


def _block(part: Content) -> Iterator[Block]:
    match part:
        case Text():
            yield from texts([part])
        case Refusal(text=text):
            yield from texts([Text(text)])
        case Media():
            yield _media(part)
        case ToolCall():
            yield _tool_use(part)
        case ToolResult():
            yield _tool_result(part)
        case Thought():
            yield from _thought(part)
        case _:
            assert_never(part)


def texts(parts: Iterable[Text]) -> Iterator[Block]:
    """Those that say something."""
    for part in parts:
        if part.text.strip():
            yield given(type="text", text=part.text, cache_control=CACHE if part.cache else None)


def _thought(thought: Thought) -> Iterator[Block]:
    """What the provider signed; it refuses any other thought."""
    match thought.signature:
        case None:
            pass
        case signature if SIGNATURES.get(signature.form) == "thinking":
            yield {"type": "thinking", "thinking": thought.text, "signature": signature.value}
        case signature if signature.form in SIGNATURES:
            yield {"type": "redacted_thinking", "data": signature.value}


# -- tools ----------------------------------------------------------------------------------------------


def _tool_use(call: ToolCall) -> Block:
    if not call.name:
        raise Untranslatable("messages", "a tool call needs a name")
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": object_of(call.arguments)}


def _tool_result(result: ToolResult) -> Block:
    """A lone text as a string, which may be blank."""
    content: object = [block for part in result.content for block in _block(part)] or None
    if len(result.content) == 1 and result.content[0] == Text(text := _text(result.content[0])):
        content = text
    error = True if result.error else None
    return given(type="tool_result", tool_use_id=_id(result.id), content=content, is_error=error)


def _text(part: Text | Media) -> str:
    return part.text if isinstance(part, Text) else ""


def _id(tool_id: str) -> str:
    """The same for the call and its result, and another for every other id."""
    return NOT_IN_IDS.sub(lambda found: f"_{ord(found[0]):x}_", tool_id)


# -- media ----------------------------------------------------------------------------------------------


def _media(media: Media) -> Block:
    """Lossy: how closely an image is to be looked at, and the name of one."""
    media_type = media.media_type or _sniffed(media.value)
    if media.kind is MediaKind.IMAGE:
        return {"type": "image", "source": _source(media, media_type or "image/png")}
    title = media.name or None
    if media.form is MediaForm.URL or media_type == _PDF:
        return given(type="document", source=_source(media, _PDF), title=title)
    return given(type="document", source=_plain(media, media_type), title=title)


def _source(media: Media, media_type: str) -> JsonObject:
    if media.form is MediaForm.URL:
        return {"type": "url", "url": media.value}
    return {"type": "base64", "media_type": media_type, "data": media.value}


def _plain(media: Media, media_type: str) -> JsonObject:
    """A file that is not a PDF, as text. Raises Untranslatable if it is none in UTF-8."""
    try:
        text = b64decode(media.value, validate=True).decode()
    except ValueError as fault:
        what = media_type or "no known type"
        raise Untranslatable(media.at, f"a file of {what}: only PDF and text are taken") from fault
    return {"type": "text", "media_type": "text/plain", "data": text}


def _sniffed(data: str) -> str:
    return image_type(data) or (_PDF if data.startswith(_PDF_BEGINS) else "")


def tool_names(messages: Iterable[Message]) -> list[str]:
    """The tools that were called, each once, in order."""
    calls = (part for message in messages for part in message.content if isinstance(part, ToolCall))
    return list(dict.fromkeys(call.name for call in calls))


def closes_with_bare_call(written: Sequence[JsonObject]) -> bool:
    """Whether thinking by a budget cannot begin in these turns: the last is the assistant's own, or it
    called tools when it spoke last and did not think before.

    Documented: with thinking on, such an answer must start with a block of thinking.
    """
    spoken = [turn for turn in written if turn.get("role") == Role.ASSISTANT]
    if not spoken:
        return False
    kinds = [text_at(block, "type") for block in objects_at(spoken[-1], "content")]
    return spoken[-1] is written[-1] or ("tool_use" in kinds and kinds[0] not in SIGNATURES.values())
