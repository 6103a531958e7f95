"""The clients: an SDK in one of its generations, how it is used, and what it calls things."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """`program` in clients/, run in the environment `sdk`, in each of `modes`.

    finishes: its words for stop, tools and length. refusals: the class that it raises by status; failure: the
    one inside a stream. raises: by mode, what it raises itself where an answer grew too long.
    ids: whether calls have an id, by which the results are found. seals: the modes in which the client sends
    back what the provider sealed, as part of the message that it keeps. shows: whether it asks to see what
    was thought.
    """

    protocol: str
    program: str
    sdk: str
    modes: tuple[str, ...]
    finishes: Mapping[str, str]
    refusals: Mapping[int, str]
    failure: str
    raises: Mapping[str, str]
    ids: bool = True
    seals: tuple[str, ...] = ()
    shows: bool = True

    @property
    def name(self) -> str:
        return f"{self.protocol}_{self.sdk}"


_OPENAI = {400: "BadRequestError", 429: "RateLimitError", 529: "InternalServerError"}
_GOOGLE = {400: "ClientError", 429: "ClientError", 529: "ServerError"}


def _chat(sdk: str, *modes: str) -> Client:
    finishes = {"stop": "stop", "tools": "tool_calls", "length": "length"}
    raises = {"helper": "LengthFinishReasonError"}
    return Client(
        "openai_chat",
        "turns_chat",
        sdk,
        modes,
        finishes,
        _OPENAI,
        "APIError",
        raises,
        seals=("helper", "whole"),
        shows=False,
    )


def _responses(sdk: str, *modes: str) -> Client:
    finishes = {"stop": "completed", "tools": "completed", "length": "incomplete:max_output_tokens"}
    # It has no word for a response that is not complete: it misses the one that is.
    raises = {"helper": "RuntimeError"}
    return Client(
        "openai_responses",
        "turns_responses",
        sdk,
        modes,
        finishes,
        _OPENAI,
        "APIError",
        raises,
        seals=modes,
    )


def _messages(sdk: str, *modes: str) -> Client:
    finishes = {"stop": "end_turn", "tools": "tool_use", "length": "max_tokens"}
    refusals = {400: "BadRequestError", 429: "RateLimitError", 529: "OverloadedError"}
    return Client(
        "anthropic_messages",
        "turns_messages",
        sdk,
        modes,
        finishes,
        refusals,
        "APIStatusError",
        {},
        seals=modes,
    )


def _gemini(sdk: str, *modes: str) -> Client:
    finishes = {"stop": "STOP", "tools": "STOP", "length": "MAX_TOKENS"}
    return Client(
        "gemini_generate",
        "turns_gemini",
        sdk,
        modes,
        finishes,
        _GOOGLE,
        "APIError",
        {},
        seals=modes,
    )


def _ollama(sdk: str, *modes: str) -> Client:
    finishes = {"stop": "stop", "tools": "stop", "length": "length"}
    refusals = dict.fromkeys((400, 429, 529), "ResponseError")
    return Client(
        "ollama_chat", "turns_ollama", sdk, modes, finishes, refusals, "ResponseError", {}, ids=False
    )


CLIENTS = (
    _chat("openai-current", "raw", "helper", "whole", "async_raw"),
    _chat("openai-older", "raw", "whole"),
    _responses("openai-current", "raw", "helper", "whole"),
    _responses("openai-older", "raw"),
    _messages("anthropic-current", "raw", "helper", "whole", "async_raw"),
    _messages("anthropic-older", "raw", "helper"),
    _gemini("google-current", "raw", "whole", "async_raw", "async_whole"),
    _gemini("google-older", "raw", "whole", "async_raw"),
    _ollama("ollama", "raw", "whole"),
)
