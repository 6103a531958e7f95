"""How much a user may use a day, and the refusal of more. Pure. Days are those of UTC; times are epoch
seconds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf

from protocols.model.errors import Fault
from protocols.model.parts import ErrorKind
from rewrite.policies.retry_after import LONGEST_RETRY_AFTER, clamped

DAY = 86_400.0

_TITLES = {"requests": "calls a day: {:,.0f}", "tokens": "tokens a day: {:,.0f}", "cost": "cost a day: ${:g}"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Use:
    """What calls used."""

    requests: int = 0
    """Calls that a provider was asked for."""
    tokens: int = 0
    """Of the prompts and the answers, reads of a cache included."""
    cost: float = 0.0
    """US dollars, as far as they are known."""

    def __add__(self, other: "Use") -> "Use":
        return Use(self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost)

    def since(self, before: "Use") -> "Use":
        """What was used after `before`; nothing less than nothing."""
        used = self.requests - before.requests, self.tokens - before.tokens
        return Use(max(used[0], 0), max(used[1], 0), max(self.cost - before.cost, 0.0))

    def times(self, number: int) -> "Use":
        return Use(self.requests * number, self.tokens * number, self.cost * number)


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a user may use a day. Tokens and costs are known after a call, so that calls under way may
    pass these."""

    requests: float = inf
    tokens: float = inf
    cost: float = inf
    """US dollars."""

    def given(self) -> dict[str, float]:
        """Those that there are."""
        every = {"requests": self.requests, "tokens": self.tokens, "cost": self.cost}
        return {unit: limit for unit, limit in every.items() if limit < inf}

    def titles(self) -> Iterator[str]:
        """For a reader: "calls a day: 100"."""
        return (_TITLES[unit].format(limit) for unit, limit in self.given().items())

    def reached(self, use: Use) -> str:
        """The title of a cap that leaves nothing after `use`. Empty: there is none."""
        if use.requests + 1 > self.requests:
            return _TITLES["requests"].format(self.requests)
        if use.tokens >= self.tokens:
            return _TITLES["tokens"].format(self.tokens)
        return _TITLES["cost"].format(self.cost) if use.cost >= self.cost else ""


def day_of(now: float) -> str:
    """The date in UTC."""
    return (_EPOCH + timedelta(seconds=now)).date().isoformat()


def left_of_day(now: float) -> float:
    """Seconds until the next day begins."""
    return DAY - now % DAY


def refusal(user: str, cap: str, now: float) -> Fault:
    """What the client of `user` gets, who has reached `cap`. Its kind is that of an empty account, which the
    clients that know the word do not ask again."""
    wait = left_of_day(now)
    over = f"{_EPOCH + timedelta(seconds=now + wait):%Y-%m-%d %H:%M} UTC, in {_span(wait)}"
    message = f"{user} has used all that this proxy allows ({cap}); more from {over}"
    soon = wait <= LONGEST_RETRY_AFTER
    return Fault(429, ErrorKind.QUOTA, message, clamped(wait), should_retry=soon)


def _span(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
