"""Calls whose answers are cut and continued: one stream for the client out of several of upstream's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocols.base import WireProtocol
from protocols.model.call import Call, Rendered
from protocols.model.http import Head, WireResponse
from rewrite.exchange.exchange import Exchange
from rewrite.values.events import (
    Acquire,
    Acquired,
    Command,
    Event,
    NoneFree,
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
from tests.contract import SSE
from tests.rewrite.scenes import Spec, exchange_of

CUT = "the connection was reset"


@dataclass(frozen=True, slots=True)
class Answer:
    """What upstream sends to one attempt, and how it ends; `busy`: no credential was free for it."""

    data: bytes = b""
    cause: str | None = None
    head: Head = SSE
    busy: bool = False


def refused(answer: WireResponse) -> Answer:
    return Answer(answer.body, None, Head(answer.status, answer.headers))


@dataclass(slots=True)
class Continued:
    """One call from its start to its end; upstream's answers are taken in their order."""

    exchange: Exchange
    answers: Sequence[Answer]
    heads: list[Head] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    acquires: list[Acquire] = field(default_factory=list)
    asked: list[Rendered | None] = field(default_factory=list)
    ended: list[Summary] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def summary(self) -> Summary:
        (summary,) = self.ended
        return summary

    def run(self) -> "Continued":
        todo: list[Event] = [Start()]
        while todo:
            for command in self.exchange.handle(todo.pop(0), 0.0):
                todo += self._perform(command)
        return self

    def _perform(self, command: Command) -> list[Event]:
        match command:
            case Acquire(attempt=attempt):
                self.acquires.append(command)
                busy = self.answers[len(self.acquires) - 1].busy
                return [NoneFree(attempt, None) if busy else Acquired(attempt, f"key-{attempt}")]
            case OpenUpstream(attempt=attempt, rendered=rendered):
                self.asked.append(rendered)
                answer = self.answers[len(self.acquires) - 1]
                began: list[Event] = [UpstreamSent(attempt), UpstreamStarted(attempt, answer.head)]
                return [*began, UpstreamData(attempt, answer.data), UpstreamClosed(attempt, answer.cause)]
            case SendHeaders(head=head):
                self.heads.append(head)
            case SendData(data=data):
                self.pieces.append(data)
            case Report(summary=summary):
                self.ended.append(summary)
            case _:
                pass
        return []


def played(
    call: Call, protocol: WireProtocol, terms: Spec, answers: Sequence[Answer], others: Sequence[Spec] = ()
) -> Continued:
    return Continued(exchange_of(call, protocol, terms, *others), answers).run()


def asked_of(rendered: Rendered | None) -> Mapping[str, object]:
    assert rendered is not None
    return rendered.body
