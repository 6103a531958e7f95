"""Conversations with an Exchange, written down as they happen: `assert play >> event << command ...`.

`>>` hands an event over, `<<` says which command comes next; `After(seconds)` lets the scripted clock run.
Commands are compared whole: a value that does not matter is left open by ANY or by one of the words below.
A conversation that goes another way fails with all that was said, and so does one in which a command is
skipped, or a state is reached that the table of transitions does not name.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import ANY

from protocols.model.http import Head, header
from rewrite.exchange.exchange import TRANSITIONS, Exchange, trigger_of
from rewrite.values.events import Command, Event, Summary

__all__ = ["ANY", "After", "Open", "Playbook", "body_with", "ended", "handled", "over", "status"]


@dataclass(frozen=True, slots=True)
class After:
    """So many seconds pass."""

    seconds: float


def handled(exchange: Exchange, event: Event, now: float) -> Sequence[Command]:
    """What the exchange does about `event`, which leads where its table says."""
    before, trigger = exchange.state, trigger_of(event)
    commands = exchange.handle(event, now)
    transition = TRANSITIONS[before].get(trigger)
    if commands or exchange.state is not before:
        assert transition, f"{trigger} in state {before}"
        assert exchange.state in (transition.to or {before}), f"{trigger}: {before} -> {exchange.state}"
    return commands


@dataclass(slots=True)
class Playbook:
    """One exchange and what was said to it and by it; truth means that nothing was skipped."""

    exchange: Exchange
    now: float = 0.0
    said: list[str] = field(default_factory=list)
    pending: deque[Command] = field(default_factory=deque)

    def __rshift__(self, event: Event | After) -> "Playbook":
        self._expect_silence()
        self.said.append(f"{self.now:9.1f} >> {event}")
        if isinstance(event, After):
            self.now += event.seconds
        else:
            self.pending.extend(handled(self.exchange, event, self.now))
        return self

    def __lshift__(self, expected: Command) -> "Playbook":
        actual = self.pending.popleft() if self.pending else None
        if actual != expected:
            self._fail(f"<< {expected}", actual)
        self.said.append(f"          << {actual}")
        return self

    def __bool__(self) -> bool:
        self._expect_silence()
        return True

    def _expect_silence(self) -> None:
        if self.pending:
            self._fail("nothing more", self.pending.popleft())

    def _fail(self, expected: str, actual: Command | None) -> None:
        came = f"<< {actual}" if actual else "nothing"
        rest = [f"     then << {command}" for command in self.pending]
        raise AssertionError("\n".join(["", *self.said, f"expected {expected}", f"    came {came}", *rest]))


@dataclass(frozen=True, slots=True, eq=False)
class Open:
    """Equal to every value that passes `test`."""

    words: str
    test: Callable[[Any], bool]

    def __eq__(self, other: object) -> bool:
        return self.test(other)

    def __hash__(self) -> int:
        return hash(self.words)

    def __repr__(self) -> str:
        return f"<{self.words}>"


def status(code: int, **headers: str) -> Any:
    """A head with this status, and with these headers (`_` for `-`) among others."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}

    def fits(head: Head) -> bool:
        return head.status == code and all(header(head.headers, name) == v for name, v in wanted.items())

    return Open(f"status {code} {wanted or ''}", fits)


def body_with(*texts: str) -> Any:
    """Bytes in which all of `texts` occur."""
    return Open(f"bytes with {texts}", lambda data: all(text.encode() in data for text in texts))


def ended(end: str, words: str) -> Any:
    """The summary of a call that ended so, in these words."""
    return Open(f"{end}: {words}", lambda summary: (summary.end, summary.detail) == (end, words))


def over(end: str, *outcomes: str) -> Any:
    """The summary of a call that ended so, after attempts with these outcomes by their labels."""

    def fits(summary: Summary) -> bool:
        return (summary.end, [one.outcome.label for one in summary.attempts]) == (end, [*outcomes])

    return Open(f"{end} after {outcomes}", fits)
