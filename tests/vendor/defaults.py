"""What a provider in good health answers, and the faults that the command line knows by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.vendor.answers import (
    chat_answer,
    chat_error,
    chat_stream,
    chat_tool_stream,
    dump,
    messages_answer,
    messages_error,
    messages_stream,
    messages_tool_stream,
)
from tests.vendor.http1 import Received
from tests.vendor.script import (
    Answer,
    Framing,
    Hang,
    Headers,
    Pause,
    Reply,
    Reset,
    Send,
    Step,
    streamed,
    whole,
)

_WORDS = ("Hello", " from", " the", " fake", " provider", ".")
_ARGUMENTS = ('{"city', '":"Par', 'is"}')


@dataclass(frozen=True, slots=True)
class Asked:
    """A generation call as far as the answer depends on it."""

    messages: bool
    stream: bool
    model: str
    usage: bool


def asked(received: Received) -> Asked | None:
    """None when it is no generation call, or its body no JSON object."""
    if received.method != "POST" or not received.path.endswith(("/chat/completions", "/messages")):
        return None
    try:
        body = received.json()
    except ValueError:
        return None
    return _asked(received.path.endswith("/messages"), body) if isinstance(body, dict) else None


def _asked(messages: bool, body: Mapping[str, Any]) -> Asked:
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return Asked(messages, body.get("stream") is True, str(body.get("model", "unnamed")), usage)


def default_answer(received: Received) -> Answer:
    """A short, well-formed answer to a generation call; 404 to anything else."""
    call = asked(received)
    return not_found() if call is None else healthy(call)


def not_found() -> Reply:
    return whole(dump({"error": {"message": "Not found", "type": "not_found_error"}}), 404)


def healthy(call: Asked, pause: float = 0.0) -> Reply:
    """The whole answer; `pause` is the silence ahead of every streamed event, in seconds."""
    reply = streamed(_events(call)) if call.stream else whole(_body(call))
    return _paced(reply, pause) if call.stream and pause else reply


def _paced(reply: Reply, pause: float) -> Reply:
    steps = tuple(step for send in reply.steps for step in (Pause(pause), send))
    return Reply(reply.status, reply.headers, steps)


def _events(call: Asked) -> list[bytes]:
    if call.messages:
        return messages_stream(_WORDS, model=call.model)
    usage = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18} if call.usage else None
    return chat_stream(_WORDS, model=call.model, usage=usage)


def _tool_events(call: Asked) -> list[bytes]:
    make = messages_tool_stream if call.messages else chat_tool_stream
    return make("get_weather", _ARGUMENTS, model=call.model)


def _body(call: Asked) -> list[bytes]:
    answer = messages_answer if call.messages else chat_answer
    return answer("".join(_WORDS), model=call.model)


def _rejected(
    status: int, code: str, type: str, message: str, headers: Headers = ()
) -> Callable[[Asked], Reply]:
    def reply(call: Asked) -> Reply:
        if call.messages:
            return messages_error(status, type, message, headers)
        return chat_error(status, code, message, headers)

    return reply


def _cut(call: Asked) -> Reply:
    events = _events(call)
    return streamed(events[: len(events) // 2], Reset()) if call.stream else _cut_body(call)


def _cut_tool(call: Asked) -> Reply:
    # The last event kept is the second fragment of the arguments: half of the JSON, never all of it.
    events = _tool_events(call)
    kept = next(number for number, event in enumerate(events) if b"Par" in event)
    return streamed(events[: kept + 1], Reset()) if call.stream else _cut_body(call)


def _cut_body(call: Asked) -> Reply:
    body = b"".join(_body(call))
    steps: tuple[Step, ...] = (Send(body[: len(body) // 2]), Reset())
    headers = (("content-type", "application/json"),)
    return Reply(headers=headers, steps=steps, framing=Framing.LENGTH, length=len(body))


def _stall(call: Asked) -> Reply:
    return streamed([], Hang()) if call.stream else Reply(steps=(Hang(),))


_RETRY_AFTER = (("retry-after", "30"),)

FAULTS: Mapping[str, Callable[[Asked], Answer]] = {
    "429": _rejected(429, "rate_limit_exceeded", "rate_limit_error", "Slow down.", _RETRY_AFTER),
    "401": _rejected(401, "invalid_api_key", "authentication_error", "Incorrect API key provided."),
    "500": _rejected(500, "server_error", "api_error", "Something went wrong."),
    "stall": _stall,
    "hang": lambda _: Hang(),
    "cut": _cut,
    "cut-tool": _cut_tool,
}
