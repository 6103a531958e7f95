"""OpenAI Chat Completions, with the quirks of the providers that are compatible with it.

Stream: data-only events, one chunk object each, ended by `data: [DONE]`. Measured over recorded streams
of 18 providers: the first chunk is not the first token (role only, Azure's empty preamble, DeepSeek's
empty reasoning); reasoning comes as `reasoning_content` or `reasoning`, from Mistral as content arrays;
usage comes in a chunk of its own, in the finish chunk, or in each; an error comes as `{"error": ...}`,
from Groq under `event: error`, from OpenRouter on an ordinary chunk that more chunks follow.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from protocols.base import (
    Call,
    Decoder,
    Fault,
    Head,
    Operation,
    Reasoning,
    WireRequest,
    WireResponse,
)
from protocols.blocks import ImplicitBlocks
from protocols.calls import Paths, json_call, matched
from protocols.parts import (
    BlockKind,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    Progress,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.sse import DONE, Event, SseDecoder, SseEncoder, is_event_stream, write_event
from protocols.whole import WholeDecoder
from protocols.wirejson import (
    JsonObject,
    count_at,
    error_answer,
    load_object,
    object_at,
    objects,
    objects_at,
    stream_error,
    text_at,
)

FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}
"""`eos` is Together's, `model_length` Mistral's, `error` OpenRouter's, the last DeepSeek's."""

_PATHS: Paths = (
    ("POST", re.compile(r"/chat/completions$"), Operation.GENERATE),
    ("POST", re.compile(r"/embeddings$"), Operation.EMBEDDINGS),
    ("GET", re.compile(r"(?:/v\d\w*|^)/models$"), Operation.MODELS),
)
_TEMPLATE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
_TEXT_FIELDS = (
    ("reasoning_content", BlockKind.REASONING),
    ("reasoning", BlockKind.REASONING),
    ("refusal", BlockKind.REFUSAL),
)
_CLIENT_TOOLS = frozenset({"function", "custom"})
_ACTING_TOOLS = ("mcp", "code", "shell")


class OpenAIChat:
    """See the module's docstring."""

    name = "openai_chat"
    aliases: tuple[str, ...] = ("openai", "chat", "chat_completions")
    opens_with_lifecycle = False

    def match(self, method: str, path: str) -> Operation | None:
        return matched(_PATHS, method, path)

    def parse(self, call_id: str, operation: Operation, request: WireRequest) -> Call:
        call = json_call(self.name, call_id, operation, request)
        body = call.body
        kinds = [text_at(tool, "type") for tool in objects_at(body, "tools")]
        hosted = [kind for kind in kinds if kind and kind not in _CLIENT_TOOLS]
        return replace(
            call,
            session=text_at(body, "prompt_cache_key") or None,
            reasoning=_reasoning(body),
            hosted=bool(hosted) or "web_search_options" in body,
            acting=any(kind.startswith(_ACTING_TOOLS) for kind in hosted),
        )

    def decoder(self, call: Call, head: Head) -> Decoder:
        if is_event_stream(head, call):
            return SseDecoder(DONE, ChunkReader().read)
        return WholeDecoder(_read_answer)

    def encoder(self, call: Call) -> "ChatEncoder":
        return ChatEncoder()

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": _error_object(fault.kind, fault.message)})


def _reasoning(body: JsonObject) -> Reasoning:
    """`reasoning_effort` is OpenAI's, `thinking` DeepSeek's and z.ai's, `reasoning` OpenRouter's."""
    nested = object_at(body, "reasoning")
    effort = text_at(body, "reasoning_effort") or text_at(nested, "effort")
    thinking = text_at(object_at(body, "thinking"), "type")
    if effort == "none" or thinking == "disabled" or nested.get("enabled") is False:
        return Reasoning.OFF
    return Reasoning.ON if effort or thinking or nested else Reasoning.UNSAID


class ChunkReader:
    """The events of one stream to parts; keeps what the parts of a choice need to know of each other."""

    def __init__(self) -> None:
        self._started = False
        self._choices: dict[int, ChoiceReader] = {}

    def read(self, event: Event, raw: bytes) -> Sequence[StreamPart]:
        if event.data is None:
            return (Ping(),)
        if event.data.strip() == DONE:
            return (StreamEnd(),)
        chunk = load_object(event.data)
        if chunk is None:
            return (Opaque(raw),)
        return list(self._read_chunk(chunk))

    def _read_chunk(self, chunk: JsonObject) -> Iterator[StreamPart]:
        if error := chunk.get("error"):
            yield stream_error(error)
        choices = objects_at(chunk, "choices")
        if choices and not self._started:
            self._started = True
            yield _message_start(chunk)
        for choice in choices:
            yield from self._read_choice(choice)
        yield from _usage_reports(chunk)

    def _read_choice(self, choice: JsonObject) -> Iterator[StreamPart]:
        index = count_at(choice, "index") or 0
        reader = self._choices.get(index)
        if reader is None:
            reader = self._choices[index] = ChoiceReader(index)
            yield ChoiceStart(index)
        yield from reader.read(choice)


class ChoiceReader:
    """One choice's deltas to blocks. A block ends with its choice: nothing earlier says that it is whole."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._blocks = ImplicitBlocks(choice)
        self._tools: dict[object, tuple[object, str]] = {}
        self._last_tool: tuple[object, str] | None = None

    def read(self, choice: JsonObject) -> Iterator[StreamPart]:
        delta = object_at(choice, "delta")
        yield from self._texts(delta)
        for tool in objects_at(delta, "tool_calls"):
            yield from self._tool_call(tool)
        if function := object_at(delta, "function_call"):
            yield from self._tool_call({"index": "function_call", "function": function})
        if delta.get("audio") and "audio" not in self._blocks:
            yield from self._blocks.start("audio", BlockKind.MEDIA)
        if reason := text_at(choice, "finish_reason"):
            yield from self._blocks.close()
            yield Finish(self._choice, FINISH_REASONS.get(reason, FinishReason.OTHER), reason)

    def _texts(self, delta: JsonObject) -> Iterator[StreamPart]:
        for name, kind in _TEXT_FIELDS:
            if text := text_at(delta, name):
                yield from self._blocks.delta(name, kind, text)
        content = delta.get("content")
        if isinstance(content, str) and content:
            yield from self._blocks.delta("content", BlockKind.TEXT, content)
        elif isinstance(content, list):
            yield from self._content_array(objects(content))

    def _content_array(self, items: Sequence[JsonObject]) -> Iterator[StreamPart]:
        """Mistral: `[{"type": "thinking", "thinking": [{"type": "text", "text": ...}]}]`."""
        for item in items:
            if text := "".join(text_at(piece, "text") for piece in objects_at(item, "thinking")):
                yield from self._blocks.delta("thinking", BlockKind.REASONING, text)
            if text := text_at(item, "text"):
                yield from self._blocks.delta("content", BlockKind.TEXT, text)

    def _tool_call(self, tool: JsonObject) -> Iterator[StreamPart]:
        function = object_at(tool, "function") or object_at(tool, "custom")
        key = self._tool_key(tool)
        if key not in self._blocks:
            name = text_at(function, "name") or None
            yield from self._blocks.start(key, BlockKind.TOOL, key[1] or None, name)
        arguments = text_at(function, "arguments") or text_at(function, "input")
        yield from self._blocks.delta(key, BlockKind.TOOL, arguments)

    def _tool_key(self, tool: JsonObject) -> tuple[object, str]:
        """(index, id): measured, compatible providers omit the index or send 0 for every call."""
        index, tool_id = _index(tool), text_at(tool, "id")
        known = self._last_tool if index is None and not tool_id else self._tools.get(index)
        if known is None or (tool_id and known[1] and tool_id != known[1]):
            known = self._tools[index] = (index, tool_id)
        self._last_tool = known
        return known


def _index(tool: JsonObject) -> int | str | None:
    index = tool.get("index")
    return index if isinstance(index, int | str) else None


def _message_start(chunk: JsonObject) -> MessageStart:
    template = {key: chunk[key] for key in _TEMPLATE if key in chunk}
    return MessageStart(text_at(chunk, "id"), text_at(chunk, "model"), template)


def _usage_reports(chunk: JsonObject) -> Iterator[StreamPart]:
    usage = object_at(chunk, "usage") or object_at(object_at(chunk, "x_groq"), "usage")
    if usage:
        yield UsageReport(_usage(usage))


def _usage(usage: JsonObject) -> Usage:
    """Inclusive counts, but for xAI, whose total shows that reasoning is not in the completion."""
    prompt, completion = count_at(usage, "prompt_tokens"), count_at(usage, "completion_tokens")
    reasoning = count_at(object_at(usage, "completion_tokens_details"), "reasoning_tokens")
    exclusive = reasoning and count_at(usage, "total_tokens") == (prompt or 0) + (completion or 0) + reasoning
    return Usage(
        input=prompt,
        output=(completion or 0) + (reasoning or 0) if exclusive else completion,
        cache_read=count_at(object_at(usage, "prompt_tokens_details"), "cached_tokens"),
        reasoning=reasoning,
    )


def _read_answer(body: JsonObject) -> Sequence[StreamPart]:
    """A whole answer: enough parts to tell an error from an answer, and to count."""
    choices = objects_at(body, "choices")
    if (error := body.get("error")) and not choices:
        return (stream_error(error),)
    parts: list[StreamPart] = [_message_start(body)]
    for choice in choices:
        index, reason = count_at(choice, "index") or 0, text_at(choice, "finish_reason")
        parts.append(Finish(index, FINISH_REASONS.get(reason, FinishReason.OTHER), reason))
    return [*parts, *_usage_reports(body), StreamEnd()]


class ChatEncoder(SseEncoder):
    """Closing frames with the stream's own id, model and creation time."""

    def close(self, parts: Sequence[StreamPart], progress: Progress) -> bytes:
        template = progress.head.template if progress.head else {}
        return b"".join(self._close_part(part, template) for part in parts)

    def _close_part(self, part: StreamPart, template: Mapping[str, object]) -> bytes:
        match part:
            case Finish(choice=choice, reason=reason):
                ending = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": reason.value}
                return write_event({**template, "choices": [ending]})
            case StreamError(type=kind, message=message):
                return write_event({"error": _error_object(kind, message)})
            case StreamEnd():
                return b"data: " + DONE + b"\n\n"
            case _:
                return b""


def _error_object(kind: str, message: str) -> JsonObject:
    return {"message": message, "type": _ERROR_TYPES.get(kind, "server_error"), "param": None, "code": kind}


_ERROR_TYPES: Mapping[str, str] = {
    "rate_limit_exceeded": "rate_limit_error",
    "invalid_request": "invalid_request_error",
}

PROTOCOL = OpenAIChat()
