"""The table of transitions: what it has is handled, what it has not is a fault that says so."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocols.model.http import Head
from rewrite.exchange.exchange import (
    TRANSITIONS,
    Exchange,
    State,
    Trigger,
    UnexpectedEvent,
    _rows,
    name_of,
    trigger_of,
)
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    ClientDrained,
    ClientGone,
    Event,
    NoneFree,
    OpenUpstream,
    SendHeaders,
    SetTimer,
    Shutdown,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import handled
from tests.rewrite.asks import ask
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    JSON,
    PING,
    ROLE,
    SSE,
    TERMS,
    error_chunk,
    exchange_of,
    finishes,
    refused,
    says,
    timed,
)

TRIGGERS: Sequence[Trigger] = [
    *(kind for kind in get_args(Event.__value__) if kind is not TimerFired),
    *Timer,
]
OF_THE_CALL = (Timer.HOLD, Timer.HEARTBEAT_BEFORE_COMMIT)


def happens(trigger: Trigger, attempt: int, head: Head = SSE, data: bytes = ROLE) -> Event:
    """It, to an attempt."""
    if isinstance(trigger, Timer):
        return TimerFired(CALL if trigger in OF_THE_CALL else attempt, trigger)
    found: Mapping[Trigger, Event] = {
        Start: Start(),
        Acquired: Acquired(attempt, "a"),
        NoneFree: NoneFree(attempt, 5.0),
        UpstreamSent: UpstreamSent(attempt),
        UpstreamStarted: UpstreamStarted(attempt, head),
        UpstreamData: UpstreamData(attempt, data),
        UpstreamClosed: UpstreamClosed(attempt, "reset"),
        ClientDrained: ClientDrained(),
        ClientGone: ClientGone(),
        Shutdown: Shutdown(),
    }
    return found[trigger]


def new() -> Exchange:
    """All timers are on, and answers that are cut are continued."""
    terms = timed(
        structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE),
        hold=60.0,
        first_event=30.0,
        first_token=60.0,
        stall=30.0,
        response=100.0,
        heartbeat=10.0,
        min_throughput=0.5,
        heartbeat_before_commit=True,
    )
    return exchange_of(ask("openai_chat"), CHAT, terms)


def up_to_head(attempt: int, head: Head) -> list[Event]:
    return [Acquired(attempt, f"key-{attempt}"), UpstreamSent(attempt), UpstreamStarted(attempt, head)]


CUT = [Start(), *up_to_head(1, SSE), UpstreamData(1, says("Hello")), UpstreamClosed(1, "reset")]
WAYS: Sequence[tuple[State, Sequence[Event]]] = [
    (State.NEW, []),
    (State.ACQUIRING, [Start()]),
    (State.WAITING, [Start(), NoneFree(1, 5.0)]),
    (State.WAITING, [*CUT, NoneFree(2, 1.0)]),
    (State.CONNECTING, [Start(), Acquired(1, "a")]),
    (State.AWAITING_HEAD, [Start(), Acquired(1, "a"), UpstreamSent(1)]),
    (State.READING_ERROR, [Start(), *up_to_head(1, refused(503))]),
    (State.HOLDING, [Start(), *up_to_head(1, SSE)]),
    (State.COMMITTED, CUT[:-1]),
    (State.ACQUIRING, CUT),
    (State.CONNECTING, [*CUT, Acquired(2, "b")]),
    (State.AWAITING_HEAD, [*CUT, Acquired(2, "b"), UpstreamSent(2)]),
    (State.READING_ERROR, [*CUT, *up_to_head(2, refused(503))]),
    (State.CONTINUING, [*CUT, *up_to_head(2, SSE)]),
    (State.BACKING_OFF, [Start(), Acquired(1, "a"), UpstreamClosed(1, "refused", connected=False)]),
    (State.BACKING_OFF, [*CUT, Acquired(2, "b"), UpstreamClosed(2, "refused", connected=False)]),
    (State.OVER, [Start(), ClientGone()]),
]
"""To every state, and to those in which the client may have a part of its answer so too."""


def at(state: State, way: Sequence[Event]) -> tuple[Exchange, int]:
    """An exchange in `state`, and the number of its attempt."""
    exchange, attempt = new(), 1
    for event in way:
        for command in handled(exchange, event, 0.0):
            attempt = command.attempt if isinstance(command, Acquire | SetTimer) else attempt
    assert exchange.state is state
    return exchange, attempt or 1


@pytest.mark.parametrize("trigger", TRIGGERS, ids=name_of)
@pytest.mark.parametrize(("state", "way"), WAYS, ids=[f"{state.name}-{len(way)}" for state, way in WAYS])
def test_what_the_table_has_is_handled_and_all_else_is_a_fault(
    state: State, way: Sequence[Event], trigger: Trigger
) -> None:
    exchange, attempt = at(state, way)
    event = happens(trigger, attempt)
    if state is State.OVER:
        assert exchange.handle(event, 200.0) == []
    elif trigger in TRANSITIONS[state]:
        handled(exchange, event, 200.0)
    else:
        with pytest.raises(UnexpectedEvent) as fault:
            exchange.handle(event, 200.0)
        assert str(fault.value) == f"{name_of(trigger)} in state {state.name}"
        assert exchange.state is state


def test_every_state_has_its_row_and_a_way_to_it() -> None:
    assert set(TRANSITIONS) == {state for state, _ in WAYS} == set(State)


def test_every_state_is_named_and_leads_to_the_end() -> None:
    leads = {state: {to for row in rows.values() for to in row.to} for state, rows in TRANSITIONS.items()}
    assert set().union(*leads.values()) == set(State) - {State.NEW}
    assert all(State.OVER in leads[state] for state in State if state is not State.OVER)


def test_no_transition_silently_replaces_another() -> None:
    row = (Timer.HOLD, TRANSITIONS[State.COMMITTED][Timer.HOLD])
    with pytest.raises(ValueError, match="two transitions of one trigger"):
        _rows(row, row)


def test_data_before_a_head_is_no_body_of_an_error() -> None:
    exchange, _ = at(State.AWAITING_HEAD, WAYS[5][1])
    with pytest.raises(UnexpectedEvent, match="UpstreamData in state AWAITING_HEAD"):
        exchange.handle(UpstreamData(1, b"{}"), 0.0)


def test_upstream_is_not_opened_twice() -> None:
    exchange, _ = at(State.CONNECTING, WAYS[4][1])
    with pytest.raises(UnexpectedEvent, match="Acquired in state CONNECTING"):
        exchange.handle(Acquired(1, "b"), 0.0)


def test_an_attempt_that_failed_does_not_fail_again_by_what_came_after() -> None:
    exchange, _ = at(State.HOLDING, WAYS[7][1])
    broken = error_chunk("busy", type="overloaded_error") + b"data: {oops\n\n"
    wanted = [each for each in handled(exchange, UpstreamData(1, broken), 0.0) if isinstance(each, Acquire)]
    assert [each.attempt for each in wanted] == [2]


# -- any order --------------------------------------------------------------------------------------------

HEADS = [*[SSE] * 4, JSON, refused(429), refused(503)]
DATA = [ROLE, PING, says("Hi"), finishes("stop"), DONE, error_chunk("busy", code=429), b"data: {oops\n\n"]


class Walk:
    """Whatever happens to the attempt that is under way, likely or not."""

    def __init__(self, choose: st.DataObject) -> None:
        self.exchange, self.choose = new(), choose
        self.attempt, self.now = 1, 0.0
        self.opened: Counter[int] = Counter()
        self.heads = 0

    def step(self) -> None:
        state = self.exchange.state
        known = [*TRANSITIONS[state]] or TRIGGERS
        trigger = self.choose.draw(st.one_of(st.sampled_from(known), st.sampled_from(TRIGGERS)))
        self.now += self.choose.draw(st.sampled_from([0.0, 0.5, 100.0]))
        event = self._event(trigger)
        if state is not State.OVER and trigger not in TRANSITIONS[state]:
            with pytest.raises(UnexpectedEvent):
                self.exchange.handle(event, self.now)
            assert self.exchange.state is state
            return
        for command in handled(self.exchange, event, self.now):
            assert state is not State.OVER
            self.attempt = (
                max(self.attempt, command.attempt) if isinstance(command, Acquire) else self.attempt
            )
            self.attempt = (
                max(self.attempt, command.attempt) if isinstance(command, SetTimer) else self.attempt
            )
            self.opened.update([command.attempt] if isinstance(command, OpenUpstream) else [])
            self.heads += isinstance(command, SendHeaders)

    def _event(self, trigger: Trigger) -> Event:
        head, data = self.choose.draw(st.tuples(st.sampled_from(HEADS), st.sampled_from(DATA)))
        event = happens(trigger, self.attempt, head, data)
        assert trigger_of(event) == trigger
        return event


@given(st.data())
def test_any_walk_keeps_to_the_table(choose: st.DataObject) -> None:
    walk = Walk(choose)
    for _ in range(30):
        walk.step()
    assert walk.heads <= 1
    assert all(times == 1 for times in walk.opened.values())
