"""How patient and how stubborn a call may be: the user's numbers, and what they come to for one call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from math import inf
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from protocols.model.call import Call, Reasoning
from protocols.model.http import Headers
from rewrite.values.timer import Timer

UNKNOWN_PATIENCE = 600.0
"""Seconds that a client waits when it does not say; the default of the openai and anthropic SDKs."""

PATIENCE_MARGIN = 10.0
SECONDS_PER_TEXT_BYTE = 10.0 / 100_000
LONGEST_TEXT_BONUS = 120.0
_SLOW_START = "slow_start"
_STATED_IN = ("x-stainless-read-timeout", "x-server-timeout", "x-stainless-timeout")
_RETRIES = "x-stainless-retry-count"
_NUMBERS = frozenset({*_STATED_IN, _RETRIES})


TIMEOUTS: Mapping[str, str] = {
    "connect_timeout": "connect",
    "first_event_timeout": "first_event",
    "first_token_timeout": "first_token",
    "slow_start_timeout": "slow_start",
    "hold_limit": "hold_limit",
    "stall_timeout": "stall",
    "response_timeout": "response",
    "heartbeat_interval": "heartbeat",
    "min_throughput": "min_throughput",
    "throughput_window": "throughput_window",
    "heartbeat_before_commit": "heartbeat_before_commit",
}
"""The fields of `Timeouts` by their names in a config."""


class OnTruncation(StrEnum):
    """What follows a cut after the commit point."""

    AUTO = "auto"
    REPAIR = "repair"
    ERROR = "error"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one call may cost."""

    max_attempts: int = 3
    """Attempts that cost time. Those that fail at once do not count."""
    deadline: float = 120.0
    """Seconds after the first failure in which another attempt may begin."""
    body: int = 64 << 20
    """Bytes of a request, or of what is kept of an answer before the client gets it, both decoded."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The user's timeouts, in seconds; 0 turns one off."""

    connect: float = 10.0
    """Until a connection stands."""
    first_event: float = 30.0
    """Until the first event of a stream."""
    first_token: float = 60.0
    """Until the first token of a stream."""
    slow_start: float = 300.0
    """What stands in for the timeouts of a model that may think first."""
    hold_limit: float = 120.0
    """How long the head of an answer is kept from the client."""
    stall: float = 120.0
    """The longest silence inside a stream."""
    response: float = 600.0
    """Until a whole answer is there."""
    heartbeat: float = 15.0
    """The silence after which a client gets a heartbeat."""
    min_throughput: float = 0.0
    """Characters per second that an answer has to come with at first."""
    throughput_window: float = 10.0
    """How many seconds `min_throughput` is about."""
    heartbeat_before_commit: bool = False
    """Whether a waiting client gets heartbeats from the beginning."""
    exact: frozenset[str] = frozenset()
    """The names of those that `slow_start` does not stand in for."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Timeouts that hold for some calls alone: by provider, model, and how hard the model is to think."""

    provider: str = ""
    """A glob (fnmatchcase) over the name of the target's provider. Empty: any."""
    model: str = ""
    """A glob (fnmatchcase) over the target's model. Empty: any."""
    effort: str = ""
    """A word of `prompt.Effort`. Empty: any."""
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """What replaces fields of `Timeouts`, by their names."""

    def fits(self, provider: str, model: str, effort: str) -> bool:
        """`effort` as the call says it; one that does not say fits only where any does."""
        globs = ((self.provider, provider), (self.model, model))
        return self.effort in ("", effort) and all(fnmatchcase(value, glob) for glob, value in globs if glob)

    def over(self, timeouts: Timeouts) -> Timeouts:
        """What is said for such a model is meant as it is said: `slow_start` takes its place only if that is
        said here too."""
        exact = frozenset[str]() if _SLOW_START in self.seconds else timeouts.exact | frozenset(self.seconds)
        said: dict[str, Any] = {"exact": exact, **self.seconds}
        return replace(timeouts, **said)


class Timing(Struct, frozen=True):
    """The timers of one call, in seconds; 0: off."""

    connect: float
    """See `Timeouts`."""
    first_event: float
    """After the request has left."""
    first_token: float
    """After the request has left."""
    hold: float
    """How long the head of an answer is kept from the client."""
    stall: float
    """The longest silence inside a stream."""
    response: float
    """Until a whole answer is there."""
    patience: float
    """How long the client waits for a byte."""
    any_byte_keeps_alive: bool
    """Whether pings count against the stall."""
    heartbeat: float = 0.0
    """The silence after the commit point after which the client gets a heartbeat."""
    min_throughput: float = 0.0
    """Characters per second of the first `throughput_window`."""
    throughput_window: float = 10.0
    """See `min_throughput`."""
    heartbeat_before_commit: bool = False
    """Whether the client gets heartbeats before the commit point too."""


def timeouts_for(
    deadlines: Iterable[Deadlines], timeouts: Timeouts, provider: str, model: str | None, effort: str
) -> Timeouts:
    """`timeouts` with those of the first of `deadlines` that fits a call at one target."""
    found = (one for one in deadlines if one.fits(provider, model or "", effort))
    first = next(found, None)
    return first.over(timeouts) if first else timeouts


def patience(call: Call, known: float | None = None) -> float:
    """Seconds that the client will wait for a byte: what it says, else `known` facts, else 600; less 10.

    Measured: the Python and JS SDKs of OpenAI and Anthropic send x-stainless-read-timeout or
    x-stainless-timeout, google-genai sends X-Server-Timeout when a timeout is set.
    """
    said = _numbers(call.headers)
    stated = next((said[name] for name in _STATED_IN if name in said), None)
    whole = stated or known or UNKNOWN_PATIENCE
    return max(whole - PATIENCE_MARGIN, whole / 2)


def _numbers(headers: Headers) -> dict[str, float]:
    """What a client says of its patience and its retries, by header. The first of a name holds, if it is a
    number above 0."""
    first = {name: value for key, value in reversed(headers) if (name := key.lower()) in _NUMBERS}
    return {name: number for name, value in first.items() if (number := _number(value))}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def timing(
    timeouts: Timeouts, call: Call, *, reasons: bool | None, lifecycle: bool, known_patience: float | None
) -> Timing:
    """What `timeouts` come to for `call`.

    `reasons`: whether the model is known to think (None: unknown, and treated as slow); `lifecycle`:
    whether a stream of the protocol opens with an event before any token.
    """
    slow = call.reasoning is not Reasoning.OFF and (call.reasoning is Reasoning.ON or reasons is not False)
    bonus = min(call.text_bytes * SECONDS_PER_TEXT_BYTE, LONGEST_TEXT_BONUS)
    waits = patience(call, known_patience)
    may_be_silent = slow or call.hosted

    def or_slow(name: str, seconds: float, *, may: bool) -> float:
        return timeouts.slow_start if may and name not in timeouts.exact else seconds

    stall = or_slow("stall", timeouts.stall, may=may_be_silent)
    first_token = or_slow("first_token", timeouts.first_token, may=slow)
    first_event = or_slow("first_event", timeouts.first_event, may=slow and not lifecycle)
    return Timing(
        connect=timeouts.connect,
        first_event=_plus(first_event, bonus),
        first_token=_plus(first_token, bonus),
        hold=min(timeouts.hold_limit, waits / 2) if timeouts.hold_limit else 0.0,
        stall=min(stall, waits) if timeouts.stall else 0.0,
        response=min(timeouts.response, waits) if timeouts.response else 0.0,
        patience=waits,
        any_byte_keeps_alive=may_be_silent,
        heartbeat=min(timeouts.heartbeat, waits / 2) if timeouts.heartbeat else 0.0,
        min_throughput=timeouts.min_throughput,
        throughput_window=timeouts.throughput_window,
        heartbeat_before_commit=timeouts.heartbeat_before_commit,
    )


def before_commit(
    timing: Timing, *, stream: bool, stalls: int, gathered: bool = False, longest: float = inf
) -> Sequence[tuple[Timer, float]]:
    """The timers of an attempt from the moment its request is sent; 0: off.

    `stalls`: attempts that silence ended; each makes the next one wait twice as long, so that a provider that
    is slow for everybody is not given up again and again. `gathered`: the client gets the stream as one whole
    answer, and waits for that as for any. `longest`: what a silence may last where other targets wait; how
    long a whole answer takes says nothing, so that it is not cut short.
    """
    if not stream:
        return ((Timer.RESPONSE, timing.response),)
    first_event = timing.first_event * 2**stalls
    first_token = timing.first_token and max(timing.first_token, first_event)
    whole = ((Timer.RESPONSE, timing.response),) if gathered else ()
    silences = ((Timer.FIRST_EVENT, first_event), (Timer.FIRST_TOKEN, first_token))
    return (*((timer, min(seconds, longest)) for timer, seconds in silences), *whole)


def _plus(timeout: float, bonus: float) -> float:
    return timeout + bonus if timeout else 0.0


def limits_for(limits: Limits, call: Call) -> Limits:
    """A client that is retrying by itself leaves one costly attempt: its retries multiply ours."""
    return replace(limits, max_attempts=1) if _RETRIES in _numbers(call.headers) else limits
