"""The two protocols side by side: how the fake provider speaks each, and the words that its clients use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.vendor import (
    Reply,
    Tool,
    chat_answer,
    chat_error,
    chat_error_event,
    chat_stream,
    chat_tool_stream,
    messages_answer,
    messages_error,
    messages_error_event,
    messages_stream,
    messages_tool_stream,
)
from tests.vendor.script import Headers

WORDS = tuple(f"{word} " for word in "alpha bravo charlie delta echo foxtrot golf hotel india juliet".split())
"""The text of a whole answer, one event each; none of them occurs anywhere else."""

TEXT = "".join(WORDS)
CUT = 6
"""How many of the words a cut answer has: two thirds of its events."""

CUT_TEXT = "".join(WORDS[:CUT])
TOOL = "remove_file"
FRAGMENTS = ('{"pa', 'th": "/tm', "p/täs", 't", "force"', ": true}")
ARGUMENTS = "".join(FRAGMENTS)


@dataclass(frozen=True, slots=True)
class Wire:
    """One protocol. `finishes` and `kinds` give its words for neutral ones; `sdks` are environments."""

    protocol: str
    auth: str
    client: str
    sdks: tuple[str, ...]
    path: str
    base_path: str
    finishes: Mapping[str, str]
    kinds: Mapping[str, str]
    make_stream: Callable[..., list[bytes]]
    make_tool: Callable[..., list[bytes]]
    make_answer: Callable[..., list[bytes]]
    make_error: Callable[..., Reply]
    make_error_event: Callable[[str, str], bytes]

    def stream(self, texts: Sequence[str] = WORDS, finish: str | None = "stop", **more: Any) -> list[bytes]:
        return self.make_stream(texts, finish=finish and self.finishes[finish], **more)

    def start(self) -> list[bytes]:
        """What comes before the first token."""
        events = self.stream()
        return events[: _position(events, WORDS[0])]

    def cut(self, words: int = CUT) -> list[bytes]:
        """A stream that goes no further than so many words."""
        events = self.stream()
        return events[: _position(events, WORDS[words])]

    def tool(self, fragments: Sequence[str] = FRAGMENTS) -> list[bytes]:
        return self.make_tool(TOOL, fragments)

    def cut_tool(self) -> list[bytes]:
        """A tool call that goes no further than half of its arguments."""
        events = self.tool()
        return events[: _position(events, "force")]

    def cut_tool_after_text(self) -> list[bytes]:
        """Words, then half of a call."""
        events = self.stream(WORDS[:CUT], "tools", tools=[Tool(TOOL, FRAGMENTS)])
        return events[: _position(events, "force")]

    def answer(self, text: str = TEXT) -> bytes:
        return b"".join(self.make_answer(text))

    def error(self, status: int, kind: str, headers: Headers = ()) -> Reply:
        return self.make_error(status, self.kinds[kind], f"the provider says {kind}", headers)

    def error_event(self, kind: str) -> bytes:
        return self.make_error_event(self.kinds[kind], f"the provider says {kind}")

    def finish_of(self, result: Mapping[str, Any]) -> list[str]:
        """How an SDK says that the choices ended, in the order of the choices."""
        said = result["finish"]
        if isinstance(said, list):
            return [reason for _, reason in sorted(said)]
        return [said] if said else []


def _position(events: Sequence[bytes], text: str) -> int:
    return next(number for number, event in enumerate(events) if text.encode() in event)


CHAT = Wire(
    protocol="openai_chat",
    auth="bearer",
    client="openai_chat",
    sdks=("openai-current", "openai-older"),
    path="/v1/chat/completions",
    base_path="/v1",
    finishes={
        "stop": "stop",
        "length": "length",
        "tools": "tool_calls",
        "refusal": "content_filter",
    },
    kinds={
        "request": "invalid_request_error",
        "auth": "invalid_api_key",
        "quota": "insufficient_quota",
        "forbidden": "permission_error",
        "rate": "rate_limit_exceeded",
        "server": "server_error",
        "overloaded": "overloaded",
    },
    make_stream=chat_stream,
    make_tool=chat_tool_stream,
    make_answer=chat_answer,
    make_error=chat_error,
    make_error_event=chat_error_event,
)
MESSAGES = Wire(
    protocol="anthropic_messages",
    auth="x-api-key",
    client="anthropic_messages",
    sdks=("anthropic-current", "anthropic-older"),
    path="/v1/messages",
    base_path="",
    finishes={
        "stop": "end_turn",
        "length": "max_tokens",
        "tools": "tool_use",
        "refusal": "refusal",
    },
    kinds={
        "request": "invalid_request_error",
        "auth": "authentication_error",
        "quota": "billing_error",
        "forbidden": "permission_error",
        "rate": "rate_limit_error",
        "server": "api_error",
        "overloaded": "overloaded_error",
    },
    make_stream=messages_stream,
    make_tool=messages_tool_stream,
    make_answer=messages_answer,
    make_error=messages_error,
    make_error_event=messages_error_event,
)
WIRES = {sdk: wire for wire in (CHAT, MESSAGES) for sdk in wire.sdks}
