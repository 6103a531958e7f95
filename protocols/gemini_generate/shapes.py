"""What requests and answers of the protocol have in common: spelling, envelope, words, counts, errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from protocols.framing.json_array import END, first_item, next_item
from protocols.model.call import Call
from protocols.model.errors import Fault
from protocols.model.parts import FinishReason, StreamError, Usage
from protocols.model.wirejson import JsonObject, count_at, dump, given, object_at, objects_at, text_at

SSE_QUERY = "alt=sse"
_STREAM_METHOD = ":streamGenerateContent"
_ENVELOPE = re.compile(r"/v\d+internal:")
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_CLIENT_RUN = frozenset({"functionDeclarations", "computerUse"})
_ACTING = frozenset({"codeExecution", "mcpServers"})

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "CONTINUATION": FinishReason.PAUSE,
    "LANGUAGE": FinishReason.ERROR,
    "OTHER": FinishReason.ERROR,
    "IMAGE_OTHER": FinishReason.ERROR,
    "NO_IMAGE": FinishReason.ERROR,
    "MALFORMED_FUNCTION_CALL": FinishReason.ERROR,
    "UNEXPECTED_TOOL_CALL": FinishReason.ERROR,
    "TOO_MANY_TOOL_CALLS": FinishReason.ERROR,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "ESCALATION": FinishReason.ERROR,
    "PUP_LIMITED_DISABLED": FinishReason.ERROR,
}
"""`STOP` is also how a candidate with function calls ends."""

FINISH_WORDS: Mapping[FinishReason, str] = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.PAUSE: "STOP",
    FinishReason.ERROR: "OTHER",
    FinishReason.OTHER: "STOP",
}
"""Loss: that a provider only paused is told as its end. A word that nobody knows is an end too: clients take
"OTHER" for a failure."""

_STATUSES: Mapping[str, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "too_large": (400, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "insufficient_quota": (429, "RESOURCE_EXHAUSTED"),
    "rate_limit_exceeded": (429, "RESOURCE_EXHAUSTED"),
    "server_error": (500, "INTERNAL"),
    "upstream_error": (500, "INTERNAL"),
    "proxy_fault": (500, "INTERNAL"),
    "upstream_cut": (502, "UNAVAILABLE"),
    "unreachable": (502, "UNAVAILABLE"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
}
"""Of an error's kind, the HTTP status and the name of google.rpc.Code: SDKs raise by the number."""

_NAMES: Mapping[int, str] = dict(_STATUSES.values()) | {
    409: "ABORTED",
    499: "CANCELLED",
}


# -- requests -------------------------------------------------------------------------------------------


def spelled(mapping: JsonObject) -> JsonObject:
    """`mapping` with its own names in camel case: REST and SDKs take both spellings of every field."""
    if not any("_" in name for name in mapping):
        return mapping
    return {_UNDERSCORE.sub(lambda found: found[1].upper(), name): value for name, value in mapping.items()}


def in_envelope(target: str) -> bool:
    """Whether a path is of Code Assist, whose bodies hold `request` and whose answers hold `response`."""
    return _ENVELOPE.search(target.partition("?")[0]) is not None


def asked(call: Call) -> JsonObject:
    """The request proper, its top-level names in camel case."""
    return spelled(object_at(call.body, "request") if in_envelope(call.target) else call.body)


def hosted_tools(request: JsonObject) -> tuple[bool, bool]:
    """Whether a request declares tools that the provider runs, and whether some of them act."""
    names = {name for tool in objects_at(request, "tools") for name in spelled(tool)}
    return bool(names - _CLIENT_RUN), bool(names & _ACTING)


# -- answers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Form:
    """How a client reads an answer: as items of an `array` or as events, `enveloped` or bare."""

    array: bool = False
    enveloped: bool = False

    @property
    def content_type(self) -> str:
        return "application/json" if self.array else "text/event-stream"

    def chunk(self, value: JsonObject, *, first: bool) -> bytes:
        return self.frame({"response": value} if self.enveloped else value, first=first)

    def frame(self, value: JsonObject, *, first: bool) -> bytes:
        """One unit of the stream. Measured: clients need the space behind `data:`, know of no event's name
        and no comment, and providers end lines with CRLF."""
        if self.array:
            return first_item(value) if first else next_item(value)
        return b"data: " + dump(value) + b"\r\n\r\n"

    def end(self, *, empty: bool = False) -> bytes:
        """What ends a stream; of events there is nothing that does."""
        return (b"[" + END if empty else END) if self.array else b""


def form_of(call: Call) -> Form:
    """A stream that is asked for without `alt=sse` comes as an array."""
    path, _, query = call.target.partition("?")
    array = path.endswith(_STREAM_METHOD) and SSE_QUERY not in query.split("&")
    return Form(array, in_envelope(call.target))


def usage_of(metadata: JsonObject) -> Usage | None:
    """Measured: prompt counts include the cached ones, those of hosted tools come on top; candidates do not
    include thoughts. A report may hold no counts at all."""
    prompt, tools = count_at(metadata, "promptTokenCount"), count_at(metadata, "toolUsePromptTokenCount")
    answer, thoughts = count_at(metadata, "candidatesTokenCount"), count_at(metadata, "thoughtsTokenCount")
    usage = Usage(
        input=_sum(prompt, tools),
        output=_sum(answer, thoughts),
        cache_read=count_at(metadata, "cachedContentTokenCount"),
        reasoning=thoughts,
    )
    return None if usage == Usage() else usage


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def usage_metadata(usage: Usage) -> dict[str, object]:
    """Loss: writes to a cache and tokens of hosted tools are in the prompt's count, without their own."""
    reasoning = usage.reasoning or None
    answer = None if usage.output is None else usage.output - (reasoning or 0)
    return given(
        promptTokenCount=usage.input,
        candidatesTokenCount=answer,
        totalTokenCount=_sum(usage.input, usage.output),
        cachedContentTokenCount=usage.cache_read or None,
        thoughtsTokenCount=reasoning,
    )


# -- errors ---------------------------------------------------------------------------------------------


def fault_object(fault: Fault) -> JsonObject:
    """Measured: gemini-cli waits as `google.rpc.RetryInfo` says, and reads no header."""
    name = _STATUSES.get(fault.kind, (0, ""))[1] or _name_of(fault.status)
    error = {"code": fault.status, "message": fault.message, "status": name}
    if fault.retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        error["details"] = [{"@type": kind, "retryDelay": f"{fault.retry_after:g}s"}]
    return {"error": error}


def _name_of(status: int) -> str:
    return _NAMES.get(status, "INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")


def error_object(part: StreamError) -> JsonObject:
    """A type in capitals is the provider's own word."""
    code, name = _STATUSES.get(part.type, (part.status or 500, ""))
    own = part.type if part.type.isupper() else _name_of(code)
    return {"error": {"code": code, "message": part.message, "status": name or own}}


def error_code(error: JsonObject) -> str | None:
    """The reason that `google.rpc.ErrorInfo` gives: a bad key is a 400 that only this tells from others."""
    return next(
        (reason for each in objects_at(error, "details") if (reason := text_at(each, "reason"))), None
    )
