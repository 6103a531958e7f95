"""What a provider in good health answers, and the faults that the command line knows by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.vendor.answers import Tool, dump
from tests.vendor.http1 import Received
from tests.vendor.script import (
    Answer,
    Hang,
    Headers,
    Pause,
    Reply,
    whole,
)
from tests.vendor.speech import Said, Speech, speech_of

_ANSWER = Said(("Hello", " from", " the", " fake", " provider", "."))
_CALL = Said(tools=(Tool("get_weather", ('{"city', '":"Par', 'is"}')),), finish="tools")


@dataclass(frozen=True, slots=True)
class Asked:
    """A generation call as far as the answer depends on it. `array`: its stream is to be a JSON array."""

    speech: Speech
    stream: bool
    model: str
    usage: bool
    array: bool = False


def asked(received: Received) -> Asked | None:
    """None when it is no generation call, or its body no JSON object."""
    speech = speech_of(received.path)
    if received.method != "POST" or speech is None:
        return None
    try:
        body = received.json()
    except ValueError:
        return None
    return _asked(speech, received, body) if isinstance(body, dict) else None


def _asked(speech: Speech, received: Received, body: Mapping[str, Any]) -> Asked:
    """Gemini says in the path what others say in the body; Ollama streams unless it is asked not to."""
    if speech.protocol == "gemini_generate":
        model, _, method = received.path.rpartition("/")[2].partition(":")
        stream = method.startswith("stream")
        return Asked(speech, stream, model, usage=True, array=stream and "alt=sse" not in received.target)
    usage = bool((body.get("stream_options") or {}).get("include_usage"))
    stream = body.get("stream", speech.protocol == "ollama_chat") is True
    return Asked(speech, stream, str(body.get("model", "unnamed")), usage)


def default_answer(received: Received) -> Answer:
    """A short, well-formed answer to a generation call; 404 to anything else."""
    call = asked(received)
    return not_found() if call is None else healthy(call)


def not_found() -> Reply:
    return whole(dump({"error": {"message": "Not found", "type": "not_found_error"}}), 404)


def healthy(call: Asked, pause: float = 0.0) -> Reply:
    """The whole answer; `pause` is the silence ahead of every streamed event, in seconds."""
    if not call.stream:
        return call.speech.whole(_ANSWER, model=call.model)
    reply = call.speech.stream(_ANSWER, model=call.model, usage=call.usage, array=call.array)
    return _paced(reply, pause) if pause else reply


def _paced(reply: Reply, pause: float) -> Reply:
    steps = tuple(step for send in reply.steps for step in (Pause(pause), send))
    return Reply(reply.status, reply.headers, steps)


def _rejected(status: int, message: str, headers: Headers = ()) -> Callable[[Asked], Reply]:
    return lambda call: call.speech.error(status, message, headers)


def _cut(call: Asked) -> Reply:
    if not call.stream:
        return call.speech.cut_whole(_ANSWER, model=call.model)
    return call.speech.reset(_ANSWER, " the", model=call.model)


def _cut_tool(call: Asked) -> Reply:
    if not call.stream:
        return call.speech.cut_whole(_CALL, model=call.model)
    # Where arguments come in fragments, half of the JSON, never all of it.
    return call.speech.reset(_CALL, "Par", model=call.model)


def _stall(call: Asked) -> Reply:
    return call.speech.silent() if call.stream else Reply(steps=(Hang(),))


_RETRY_AFTER = (("retry-after", "30"),)

FAULTS: Mapping[str, Callable[[Asked], Answer]] = {
    "429": _rejected(429, "Slow down.", _RETRY_AFTER),
    "401": _rejected(401, "Incorrect API key provided."),
    "500": _rejected(500, "Something went wrong."),
    "stall": _stall,
    "hang": lambda _: Hang(),
    "cut": _cut,
    "cut-tool": _cut_tool,
}
