"""Whatever happens, in any order, to a call that is continued: one head, one stream, one end."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocols.model.parts import MessageStart, Opaque
from rewrite.exchange.exchange import Exchange
from rewrite.values.events import (
    ClientGone,
    Command,
    EndResponse,
    OpenUpstream,
    Report,
    SendData,
    SendHeaders,
    Start,
    Summary,
    UpstreamData,
)
from rewrite.values.timeouts import Limits, OnTruncation
from tests.contract import SSE, parts, progress
from tests.rewrite.exchange.test_exchange_properties import DATA, Edge
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    ROLE,
    TERMS,
    call,
    calls,
    error_chunk,
    exchange_of,
    finishes,
    own,
    says,
    timed,
)

TEXTS = [ROLE + says("Hello wor"), says("ld, "), says("so long"), says("Hello world, so long"), says("\n")]
CALLS = [calls("", "f") + calls("{}"), calls("", "g") + calls('{"a')]
ENDS = [finishes("stop") + DONE, finishes("length") + DONE, finishes("tool_calls") + DONE]
ANSWERS = [
    *TEXTS * 4,
    *(data for data in DATA if data.endswith(b"\n")),
    *CALLS,
    *ENDS,
    error_chunk("slow down", type="rate_limit_error"),
]
CONTINUATIONS = 3


@dataclass(slots=True)
class GoingOn(Edge):
    """What the client gets may come of several attempts, each later than the one before."""

    body: bytes = b""
    opened: int = 0
    opened_before: int = 0
    summaries: list[Summary] = field(default_factory=list)

    def _perform(self, command: Command) -> None:
        match command:
            case OpenUpstream():
                self.opened += 1
            case SendHeaders():
                self.opened_before = self.opened
            case SendData(data=data):
                self.body += data
            case Report(summary=summary):
                self.summaries.append(summary)
            case _:
                pass
        Edge._perform(self, command)

    def _answer(self, command: SendHeaders | SendData | EndResponse | Report) -> None:
        if isinstance(command, SendData | EndResponse) and self.answered is not None:
            assert command.attempt >= self.answered
            self.answered = command.attempt
        Edge._answer(self, command)

    def _upstream(self, move: str, attempt: int) -> None:
        if move == "data":
            self.feed(UpstreamData(attempt, self.choose.draw(st.sampled_from(ANSWERS))))
        else:
            Edge._upstream(self, move, attempt)


def exchange(*, targets: int, hold: bool) -> Exchange:
    terms = timed(
        structs.replace(
            TERMS,
            limits=Limits(max_attempts=2),
            on_truncation=OnTruncation.CONTINUE,
            continuations=CONTINUATIONS,
        ),
        hold=60.0,
        first_event=30.0,
        first_token=60.0,
        stall=30.0,
        heartbeat=10.0,
    )
    target = own(call(), CHAT, terms, hold_tool_calls=hold)
    return exchange_of(call(), CHAT, *[target] * targets)


@given(st.data(), st.booleans(), st.integers(1, 3))
def test_any_order_of_events_makes_one_stream(choose: st.DataObject, hold: bool, targets: int) -> None:
    edge = GoingOn(exchange(targets=targets, hold=hold), choose)
    edge.feed(Start())
    for _ in range(60):
        if not edge.reports:
            edge.step()
    if not edge.reports:
        edge.gone = True
        edge.feed(ClientGone())
    edge.closed()
    is_one_stream(edge)


def is_one_stream(edge: GoingOn) -> None:
    """Its frames make sense, it began once, and it ended as the record says."""
    (summary,) = edge.summaries
    if summary.end == "rejected" or not edge.body:
        return
    assert edge.opened - edge.opened_before <= CONTINUATIONS
    found = parts(CHAT, SSE, [edge.body])
    assert sum(isinstance(part, MessageStart) for part in found) <= 1
    assert not [part for part in found if isinstance(part, Opaque) and b"oops" not in part.raw]
    if summary.end in ("completed", "truncated"):
        assert progress(found).complete
        assert not progress(found).error
