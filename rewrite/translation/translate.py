"""A call in another protocol than its client's: the request, and how the answer comes back (`answer`).

A prompt is made fit for the protocol that it goes to: losses are reported, what would change is refused, and
tools get the names and the forms that they have there. Only Responses groups tools in namespaces; elsewhere
a namespace becomes part of the name. A tool of free text becomes a function with one text, `input`, where
the target knows functions alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from hashlib import sha256
from typing import Any

from protocols.base import Abilities, Decoder, Encoder, Translator, WireProtocol
from protocols.model.call import Call, Destination, Operation, Rendered, Reply
from protocols.model.errors import Fault, Untranslatable
from protocols.model.http import Head, Headers, WireResponse
from protocols.model.parts import BlockStart, Signature, StreamError, ToolKind
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    Message,
    Prompt,
    Role,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import dump, encoded, load_object, text_at
from protocols.shared.arguments import as_object
from protocols.shared.losses import rendered, unread
from protocols.shared.signatures import unwrapped
from rewrite.translation.answer import ClientFormat, Sequencer, TranslatingDecoder, WholeTranslator, named
from rewrite.translation.block_order import CallRules
from rewrite.translation.choices import MOST_CHOICES
from rewrite.translation.error_kinds import error_of, kind_of, message_of

_KEPT_ANSWER_HEADERS = frozenset({"x-request-id", "request-id", "retry-after", "retry-after-ms"})
_JSON = "application/json"

LONGEST_NAME = 64
"""Characters that OpenAI, Anthropic and Gemini all take in a tool's name."""

_DEFAULT_NAMESPACE = "functions"
_NOT_TAKEN = re.compile(r"[^a-zA-Z0-9_-]")
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


# -- what tools are called ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolNames:
    """The names of one call's tools at its target."""

    functions_only: bool
    """The target takes no free text."""
    flat: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The target's name by namespace and name."""
    tools: Mapping[str, Tool] = field(default_factory=dict)
    """The client's tool by the target's name."""

    @property
    def lost(self) -> tuple[Loss, ...]:
        """That a provider holds a free text to its grammar, where it takes functions alone."""
        worded = self.functions_only and any(tool.grammar for tool in self.tools.values())
        return (
            (Loss("tool grammars", "are put in words, which nothing holds the model to"),) if worded else ()
        )

    def known_by_client(self, start: BlockStart) -> BlockStart:
        """A call's start under the name, the namespace and the kind that the client gave the tool."""
        tool = self.tools.get(start.tool_name or "")
        if tool is None:
            return start
        return replace(start, tool_name=tool.name, namespace=tool.namespace, tool_kind=tool.kind)

    def unwraps(self, start: BlockStart) -> bool:
        """Whether the call of `start`, as the client knows it, comes as a function around its text."""
        return self.functions_only and start.tool_kind is ToolKind.CUSTOM

    def unwrapped(self, start: BlockStart, text: str) -> str | None:
        """The text of a call as the client's tool takes it; None if what is around it is not whole."""
        if not self.unwraps(start):
            return text
        inside = load_object(encoded(text))
        return None if inside is None else text_at(inside, "input") if "input" in inside else text

    def fitted(self, prompt: Prompt) -> Prompt:
        """`prompt` under the target's names."""
        choice = prompt.tool_choice
        if choice is not None:
            choice = replace(choice, names=tuple(self.flat.get(("", n), n) for n in choice.names))
        return replace(
            prompt,
            tools=tuple(self._tool(tool) for tool in prompt.tools),
            messages=tuple(self._message(message) for message in prompt.messages),
            tool_choice=choice,
        )

    def _tool(self, tool: Tool) -> Tool:
        tool = replace(tool, name=self.flat[tool.namespace, tool.name], namespace="")
        return _function(tool) if tool.kind is ToolKind.CUSTOM and self.functions_only else tool

    def _message(self, message: Message) -> Message:
        return replace(message, content=tuple(self._content(each) for each in message.content))

    def _content(self, content: Content) -> Content:
        match content:
            case ToolCall():
                name = self.flat.get((content.namespace, content.name), flattened("", content.name))
                return self._call(replace(content, name=name, namespace=""))
            case ToolResult():
                kind = ToolKind.FUNCTION if self.functions_only else content.kind
                return replace(content, kind=kind, name=self.flat.get(("", content.name), content.name))
            case _:
                return content

    def _call(self, call: ToolCall) -> ToolCall:
        if call.kind is ToolKind.FUNCTION or not self.functions_only:
            return call
        wrapped = dump({"input": call.arguments}).decode()
        return replace(call, arguments=wrapped, kind=ToolKind.FUNCTION)


def tool_names(prompt: Prompt, *, functions_only: bool) -> ToolNames:
    """The names of the tools of `prompt`, each taken once."""
    flat: dict[tuple[str, str], str] = {}
    tools: dict[str, Tool] = {}
    for tool in prompt.tools:
        name = flattened(tool.namespace, tool.name)
        if name in tools and (tools[name].namespace, tools[name].name) != (tool.namespace, tool.name):
            name = _shortened(name, f"{tool.namespace}\0{tool.name}")
        flat[tool.namespace, tool.name] = name
        flat.setdefault(("", tool.name), name)
        tools[name] = tool
    return ToolNames(functions_only, flat, tools)


def flattened(namespace: str, name: str) -> str:
    """One name for both, of the characters and the length that every provider takes."""
    joined = name if namespace in ("", _DEFAULT_NAMESPACE) else f"{namespace}__{name}"
    clean = _NOT_TAKEN.sub("_", joined)
    return clean if clean == joined and len(clean) <= LONGEST_NAME else _shortened(clean, joined)


def _shortened(name: str, distinct: str) -> str:
    return f"{name[: LONGEST_NAME - 9]}_{sha256(distinct.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _function(tool: Tool) -> Tool:
    """A free text tool as a function. Lost: that the provider holds the text to the tool's grammar; the
    grammar is put in words."""
    description = tool.description
    if tool.grammar:
        description += f"\n\nThe input must follow this grammar: {dump(tool.grammar).decode()}"
    text = {"type": "string", "description": "The input of the tool, as free text."}
    schema = {
        "type": "object",
        "properties": {"input": text},
        "required": ["input"],
        "additionalProperties": False,
    }
    return replace(
        tool,
        kind=ToolKind.FUNCTION,
        parameters=schema,
        description=description.strip(),
        grammar=None,
        strict=None,
    )


# -- one call --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Translation:
    """One call between two protocols."""

    source: WireProtocol
    """The client's."""
    translator: Translator
    """Of `source`: it writes the answer."""
    target: WireProtocol
    """The provider's."""
    call: Call
    """As the client made it."""
    upstream: Call
    """The same as the provider sees it."""
    rendered: Rendered
    """What the provider is asked."""
    provider: str
    """Its name."""
    reply: Reply
    """What the answer is called."""
    names: ToolNames
    """What tools are called here and there."""
    losses: tuple[Loss, ...] = ()
    """What the provider does not get."""
    hold_tool_calls: bool = False
    """A stream gives tool calls whole or not at all."""
    prompt: Prompt | None = field(default=None, repr=False, compare=False)
    """What the provider is asked, before it was written."""
    write: Callable[[Prompt], Rendered] | None = field(default=None, repr=False, compare=False)
    """How it is written."""

    def decoder(self, inner: Decoder) -> TranslatingDecoder | WholeTranslator:
        """The client's segments out of `inner`'s, a decoder of the target's protocol."""
        return (TranslatingDecoder if self.call.stream else WholeTranslator)(inner, self._format())

    def head(self, head: Head) -> Head:
        """The head of an answer as the client gets it; of the provider's headers, those about the call."""
        stream = self.call.stream
        kind = self.client_encoder().content_type if stream else _JSON
        return replace(head, headers=(("content-type", kind), *_kept_headers(head.headers)))

    def error(self, answer: WireResponse) -> WireResponse:
        """A rejection by the provider in the client's own form: its status, its words, its waiting time."""
        said = error_of(self.target, self.upstream, answer)
        fault = Fault(answer.status, kind_of(said, answer.status), said.message)
        own = self.source.error(fault)
        return replace(own, headers=own.headers + _kept_headers(answer.headers), reason=answer.reason)

    def error_response(self, error: StreamError, status: int) -> WireResponse:
        """An error inside an answer of which the client has seen nothing yet."""
        return self.source.error(Fault(status, kind_of(error, status), message_of(error)))

    def called(self, model: str) -> Reply:
        """What the answer is called; `model` served."""
        return named(self.reply, model)

    def client_encoder(self) -> Encoder:
        return self.source.encoder(self.call)

    def sequencer(self) -> Sequencer:
        return self._format().sequencer()

    def _format(self) -> ClientFormat:
        return ClientFormat(self.call, self.translator, self.reply, self.provider, self._rules())

    def _rules(self) -> CallRules:
        abilities, names = self.translator.abilities, self.names
        every = abilities.whole_tool_calls or self.hold_tool_calls or not self.call.stream

        def hold(start: BlockStart) -> bool:
            return every or names.unwraps(start)

        choices = MOST_CHOICES if abilities.several_choices else 1
        at_once = not self.call.stream
        return CallRules(names.known_by_client, hold, self._arguments, self._tool_id, choices, at_once)

    def _arguments(self, start: BlockStart, text: str) -> str | None:
        function = start.tool_kind is ToolKind.FUNCTION
        return as_object(text) if function else self.names.unwrapped(start, text)

    def _tool_id(self, number: int) -> str:
        return f"call_{self.reply.id}_{number}"


def _kept_headers(headers: Headers) -> Headers:
    return tuple((name.lower(), value) for name, value in headers if name.lower() in _KEPT_ANSWER_HEADERS)


def translator_of(protocol: WireProtocol) -> Translator:
    """Raises Untranslatable where it has none."""
    if protocol.translator is None:
        raise Untranslatable("protocol", f"{protocol.name} is passed on as it is, and not translated")
    return protocol.translator


def translation(
    call: Call, source: WireProtocol, target: WireProtocol, where: Destination, reply: Reply
) -> Translation:
    """`call` as `where` can be asked for it. Raises Untranslatable, naming the client's field."""
    if call.operation is not Operation.GENERATE:
        raise Untranslatable(
            call.operation.value,
            f"{source.name} has it in its own form, and {target.name} cannot be asked for it",
        )
    reader, writer = translator_of(source), translator_of(target)
    prompt, losses = fitted(reader.read_request(call), writer.abilities, where.provider)
    names = tool_names(prompt, functions_only=not writer.abilities.custom_tools)
    losses += names.lost
    limit = where.default_output if prompt.max_output is None else prompt.max_output
    prompt = replace(names.fitted(prompt), model=where.model, max_output=limit)
    request = rendered(writer, prompt, where)
    losses += tuple(_of_this_request(prompt, where, request))
    losses = _once((*losses, *(Loss(name, why) for name, why in unread(call, reader.abilities))))
    upstream = replace(
        call,
        protocol=target.name,
        model=where.model,
        stream=prompt.stream,
        body=request.body,
        target=request.path,
    )
    return Translation(
        source,
        reader,
        target,
        call,
        upstream,
        request,
        where.provider,
        reply,
        names,
        losses,
        prompt=prompt,
        write=partial(rendered, writer, destination=where),
    )


def _of_this_request(prompt: Prompt, where: Destination, rendered: Rendered) -> Iterator[Loss]:
    """What the protocol can say, and this model or this combination has no place for."""
    yield from (Loss(name, why) for name, why in rendered.losses)
    thinks = prompt.thinking is not None and not prompt.thinking.off
    if thinks and where.thinking == "none" and "thinking" not in dict(rendered.losses):
        yield Loss("thinking", "the model does not think")


def _once(losses: Sequence[Loss]) -> tuple[Loss, ...]:
    """Each field by what was reported of it first."""
    found: dict[str, Loss] = {}
    for loss in losses:
        found.setdefault(loss.field, loss)
    return tuple(found.values())
