"""One answer in the words of any protocol: streamed, whole, cut, refused, and failed on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.vendor.answers import (
    CHAT_USAGE,
    Tool,
    chat_answer,
    chat_error,
    chat_error_event,
    chat_stream,
    messages_answer,
    messages_error,
    messages_error_event,
    messages_stream,
)
from tests.vendor.gemini import gemini_answer, gemini_array, gemini_error, gemini_error_event, gemini_stream
from tests.vendor.ollama import NDJSON, ollama_answer, ollama_error, ollama_error_line, ollama_stream
from tests.vendor.responses import (
    responses_answer,
    responses_error,
    responses_error_events,
    responses_stream,
)
from tests.vendor.script import Framing, Hang, Headers, Reply, Reset, Send, Step, streamed, whole

_JSON = (("content-type", "application/json"),)
_SSE = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Said:
    """What is answered. finish: stop, tools or length."""

    texts: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    finish: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True, slots=True)
class Speech:
    """How one protocol says it. `paths`: how those of its generation calls end."""

    protocol: str
    paths: tuple[str, ...]
    finishes: Mapping[str, str]
    make_stream: Callable[..., list[bytes]]
    make_answer: Callable[..., list[bytes]]
    make_error: Callable[[int, str, Headers], Reply]
    make_failure: Callable[[str, int], list[bytes]]
    kind: str = _SSE

    def stream(self, said: Said, *, model: str, usage: bool = True, array: bool = False) -> Reply:
        """The answer as a stream; with `array` as one JSON array, which Gemini alone has."""
        return streamed(
            self.events(said, model, usage, array), kind="application/json" if array else self.kind
        )

    def events(self, said: Said, model: str, usage: bool = True, array: bool = False) -> list[bytes]:
        """The events of a stream. usage: whether Chat reports it; the others do always."""
        make: Callable[..., list[bytes]] = gemini_array if array else self.make_stream
        counted = {"usage": CHAT_USAGE} if usage and self.make_stream is chat_stream else {}
        return make(said.texts, model=model, **self._how(said), **counted)

    def whole(self, said: Said, *, model: str) -> Reply:
        """The answer in one piece."""
        return whole(self.make_answer(said.text, model=model, **self._how(said)))

    def cut(self, said: Said, after: str, *ending: Step, model: str) -> Reply:
        """The stream up to the event that has `after` in it, then `ending` (nothing: a clean end)."""
        return streamed(self._up_to(said, after, model), *ending, kind=self.kind)

    def cut_whole(self, said: Said, *, model: str) -> Reply:
        """Half of the answer in one piece, and then a reset."""
        body = b"".join(self.make_answer(said.text, model=model, **self._how(said)))
        steps = (Send(body[: len(body) // 2]), Reset())
        return Reply(headers=_JSON, steps=steps, framing=Framing.LENGTH, length=len(body))

    def failing(self, said: Said, after: str, message: str, *, model: str) -> Reply:
        """The same, and then the protocol's own error."""
        events = self._up_to(said, after, model)
        return streamed([*events, *self.make_failure(message, len(events))], kind=self.kind)

    def error(self, status: int, message: str, headers: Headers = ()) -> Reply:
        """A refusal with a status, in the protocol's form."""
        return self.make_error(status, message, headers)

    def reset(self, said: Said, after: str, *, model: str) -> Reply:
        """A cut whose connection is reset."""
        return self.cut(said, after, Reset(), model=model)

    def silent(self) -> Reply:
        """The head of a stream, and then nothing."""
        return streamed([], Hang(), kind=self.kind)

    def _how(self, said: Said) -> dict[str, Any]:
        return {"finish": self.finishes[said.finish], "tools": said.tools, "reasoning": said.reasoning}

    def _up_to(self, said: Said, after: str, model: str) -> list[bytes]:
        events = self.events(said, model)
        found = next(number for number, event in enumerate(events) if after.encode() in event)
        return events[: found + 1]


_CODES = {400: "invalid_value", 401: "invalid_api_key", 429: "rate_limit_exceeded"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _chat_error(status: int, message: str, headers: Headers) -> Reply:
    return chat_error(status, _CODES.get(status, "server_error"), message, headers)


def _responses_error(status: int, message: str, headers: Headers) -> Reply:
    return responses_error(status, _CODES.get(status, "server_error"), message, headers)


def _messages_error(status: int, message: str, headers: Headers) -> Reply:
    return messages_error(status, _TYPES.get(status, "api_error"), message, headers)


def _gemini_error(status: int, message: str, headers: Headers) -> Reply:
    return gemini_error(status, "", message, headers)


CHAT = Speech(
    protocol="openai_chat",
    paths=("/chat/completions",),
    finishes={"stop": "stop", "tools": "tool_calls", "length": "length"},
    make_stream=chat_stream,
    make_answer=chat_answer,
    make_error=_chat_error,
    make_failure=lambda text, _: [chat_error_event("server_error", text)],
)
RESPONSES = Speech(
    protocol="openai_responses",
    paths=("/responses",),
    finishes={"stop": "completed", "tools": "completed", "length": "incomplete"},
    make_stream=responses_stream,
    make_answer=responses_answer,
    make_error=_responses_error,
    make_failure=lambda text, number: responses_error_events("server_error", text, number),
)
MESSAGES = Speech(
    protocol="anthropic_messages",
    paths=("/messages",),
    finishes={"stop": "end_turn", "tools": "tool_use", "length": "max_tokens"},
    make_stream=messages_stream,
    make_answer=messages_answer,
    make_error=_messages_error,
    make_failure=lambda text, _: [messages_error_event("overloaded_error", text)],
)
GEMINI = Speech(
    protocol="gemini_generate",
    paths=(":streamGenerateContent", ":generateContent"),
    finishes={"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS"},
    make_stream=gemini_stream,
    make_answer=gemini_answer,
    make_error=_gemini_error,
    make_failure=lambda text, _: [gemini_error_event(503, "", text)],
)
OLLAMA = Speech(
    protocol="ollama_chat",
    paths=("/api/chat",),
    finishes={"stop": "stop", "tools": "stop", "length": "length"},
    make_stream=ollama_stream,
    make_answer=ollama_answer,
    make_error=ollama_error,
    make_failure=lambda text, _: [ollama_error_line(text)],
    kind=NDJSON,
)
SPEECHES = {speech.protocol: speech for speech in (CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA)}


def speech_of(path: str) -> Speech | None:
    """The protocol whose generation calls have such a path; None for other calls."""
    return next((speech for speech in SPEECHES.values() if path.endswith(speech.paths)), None)
