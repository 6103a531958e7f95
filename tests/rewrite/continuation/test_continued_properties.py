"""No order of events breaks what an exchange promises where it continues answers that are cut."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rewrite.values.events import (
    CALL,
    Acquired,
    ClientGone,
    Event,
    Start,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.rewrite.asks import ask
from tests.rewrite.exchange.test_exchange_properties import Edge
from tests.rewrite.scenes import CHAT, SSE, TERMS, exchange_of, says, timed

TIMED = timed(
    structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE, limits=Limits(max_attempts=3)),
    hold=60.0,
    first_event=30.0,
    first_token=60.0,
    stall=30.0,
    response=100.0,
    heartbeat=10.0,
)
EARLY = timed(TIMED, heartbeat_before_commit=True)
UNPROMPTED = {Timer.HEARTBEAT, Timer.HEARTBEAT_BEFORE_COMMIT, Timer.HOLD}
"""Timers that end no silence of upstream's."""


class Continued(Edge):
    """An edge at which attempts may follow one another in the middle of the answer."""

    def _follows(self, attempt: int) -> None:
        assert self.answered is not None
        assert attempt >= self.answered

    def moves(self) -> list[str]:
        """Upstream is slow."""
        return [*super().moves(), *(["timer"] * 6 if self.timers else [])]

    def feed(self, event: Event) -> int:
        found = super().feed(event)
        assert self.reports or self.wanted or self.is_waiting, f"nothing follows {event}"
        return found

    def until_the_cut(self) -> None:
        """An answer began and broke off."""
        self.feed(Start())
        self.wanted, self.held = None, 1
        for event in (
            Acquired(1, "a"),
            UpstreamSent(1),
            UpstreamStarted(1, SSE),
            UpstreamData(1, says("Hi")),
        ):
            self.feed(event)
        self.open, self.stage = None, 0
        self.feed(UpstreamClosed(1, "reset"))

    @property
    def is_waiting(self) -> bool:
        """Something will come by itself: a timer of the attempt, or the word that its request has left."""
        due = any(number == self.latest and name not in UNPROMPTED for number, name in self.timers)
        return due or (self.open is not None and self.stage == 0)


@given(st.data(), st.booleans(), st.integers(1, 3))
def test_any_order_of_events_keeps_the_promises_while_continuing(
    choose: st.DataObject, early: bool, targets: int
) -> None:
    terms = EARLY if early else TIMED
    edge = Continued(exchange_of(ask("openai_chat"), CHAT, terms, *[terms] * (targets - 1)), choose)
    edge.until_the_cut()
    for _ in range(60):
        if not edge.reports:
            edge.step()
    if not edge.reports:
        edge.gone = True
        edge.feed(ClientGone())
    edge.closed()
    assert edge.answered is None or edge.answered in range(CALL, edge.latest + 1)
