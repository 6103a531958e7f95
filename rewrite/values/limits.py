"""How patient and how stubborn a call may be: the user's numbers, and what they come to for one call."""

from dataclasses import dataclass, replace
from enum import StrEnum

from protocols.model.call import Call, Reasoning
from protocols.model.http import header

UNKNOWN_PATIENCE = 600.0
"""Seconds that a client waits when it does not say; the default of the openai and anthropic SDKs."""

PATIENCE_MARGIN = 10.0
SECONDS_PER_TEXT_BYTE = 10.0 / 100_000
LONGEST_TEXT_BONUS = 120.0


class OnTruncation(StrEnum):
    """What follows a cut after the commit point."""

    AUTO = "auto"
    REPAIR = "repair"
    ERROR = "error"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_attempts` counts those that cost time; `deadline` is seconds after the first failure; `body`:
    bytes of a request, or of what is kept of an answer before the client gets it, both decoded."""

    max_attempts: int = 3
    deadline: float = 120.0
    body: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds; 0 turns one off. `exact`: the fields that `slow_start` does not stand in for.

    `min_throughput`: characters per second that an answer has to come with at first, over so many seconds;
    `heartbeat_before_commit`: a waiting client is shown life from the beginning.
    """

    connect: float = 10.0
    first_event: float = 30.0
    first_token: float = 60.0
    slow_start: float = 300.0
    hold_limit: float = 120.0
    stall: float = 120.0
    response: float = 600.0
    heartbeat: float = 15.0
    min_throughput: float = 0.0
    throughput_window: float = 10.0
    heartbeat_before_commit: bool = False
    exact: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Timing:
    """The timers of one call, in seconds; 0: off. `any_byte_is_life`: pings count against the stall;
    `heartbeat`: the silence behind the commit point after which the client is shown life; `min_throughput`:
    characters per second of the first `throughput_window`; `heartbeat_before_commit`: so also before it."""

    connect: float
    first_event: float
    first_token: float
    hold: float
    stall: float
    response: float
    patience: float
    any_byte_is_life: bool
    heartbeat: float = 0.0
    min_throughput: float = 0.0
    throughput_window: float = 10.0
    heartbeat_before_commit: bool = False


def patience(call: Call, known: float | None = None) -> float:
    """Seconds that the client will wait for a byte: what it says, else `known` facts, else 600; less 10.

    Measured: the Python and JS SDKs of OpenAI and Anthropic send x-stainless-read-timeout or
    x-stainless-timeout, google-genai sends X-Server-Timeout when a timeout is set.
    """
    names = ("x-stainless-read-timeout", "x-server-timeout", "x-stainless-timeout")
    stated = next((seconds for name in names if (seconds := _seconds(header(call.headers, name)))), None)
    whole = stated or known or UNKNOWN_PATIENCE
    return max(whole - PATIENCE_MARGIN, whole / 2)


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text or "")
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
    lively = slow or call.hosted

    def or_slow(name: str, seconds: float, *, may: bool) -> float:
        return timeouts.slow_start if may and name not in timeouts.exact else seconds

    stall = or_slow("stall", timeouts.stall, may=lively)
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
        any_byte_is_life=lively,
        heartbeat=min(timeouts.heartbeat, waits / 2) if timeouts.heartbeat else 0.0,
        min_throughput=timeouts.min_throughput,
        throughput_window=timeouts.throughput_window,
        heartbeat_before_commit=timeouts.heartbeat_before_commit,
    )


def _plus(timeout: float, bonus: float) -> float:
    return timeout + bonus if timeout else 0.0


def limits_for(limits: Limits, call: Call) -> Limits:
    """A client that is retrying by itself leaves one costly attempt: its retries multiply ours."""
    retries = _seconds(header(call.headers, "x-stainless-retry-count"))
    return replace(limits, max_attempts=1) if retries else limits
