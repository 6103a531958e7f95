"""Whole answers sent through an Exchange: what the client got, and what was made of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.http import Head
from rewrite.exchange.exchange import Exchange
from rewrite.targets.target import Target
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    Acquire,
    Acquired,
    Command,
    Event,
    OpenUpstream,
    Report,
    SendData,
    SendHeaders,
    Start,
    Summary,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from tests.contract import SSE
from tests.playbook import handled
from tests.rewrite.scenes import TERMS, Spec, exchange_of, own
from tests.rewrite.scenes import call as a_call

ONCE = structs.replace(TERMS, limits=Limits(max_attempts=1), pooled=False)
"""One attempt: what comes to nothing shows as what the client gets."""


@dataclass(slots=True)
class Replay:
    """`summary` is there when the call is over."""

    exchange: Exchange
    heads: list[Head] = field(default_factory=list)
    body: bytes = b""
    attempts: int = 0
    ended: list[Summary] = field(default_factory=list)

    @property
    def summary(self) -> Summary:
        (summary,) = self.ended
        return summary

    @property
    def head(self) -> Head:
        (head,) = self.heads
        return head

    def feed(self, event: Event) -> None:
        for command in handled(self.exchange, event, 0.0):
            self._perform(command)

    def _perform(self, command: Command) -> None:
        match command:
            case Acquire(attempt=attempt):
                self.feed(Acquired(attempt, "a"))
            case OpenUpstream():
                self.attempts += 1
            case SendHeaders(head=head):
                self.heads.append(head)
            case SendData(data=data):
                self.body += data
            case Report(summary=summary):
                self.ended.append(summary)
            case _:
                pass


def replay(
    protocol: WireProtocol,
    pieces: Iterable[bytes],
    cause: str | None = None,
    *,
    head: Head = SSE,
    stream: bool = True,
    terms: Spec = ONCE,
    call: Call | None = None,
) -> Replay:
    """One attempt whose answer comes in `pieces` and ends as `cause` says."""
    asked = call or a_call(protocol, stream=stream)
    running = Replay(exchange_of(asked, protocol, terms))
    running.feed(Start())
    for event in (UpstreamSent(1), UpstreamStarted(1, head)):
        running.feed(event)
    for piece in pieces:
        running.feed(UpstreamData(1, piece))
    running.feed(UpstreamClosed(1, cause))
    return running


def mode(on_truncation: OnTruncation, *, discards: bool = False) -> Terms:
    return structs.replace(ONCE, on_truncation=on_truncation, discards_cut_calls=discards)


def holding(protocol: WireProtocol, call: Call | None = None, terms: Terms = ONCE) -> Target:
    """Tool calls reach the client whole or not at all."""
    return own(call or a_call(protocol), protocol, terms, hold_tool_calls=True)


def chunked(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
