"""Every arrow of the table happens: a conversation of a few events shows it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from protocols.base import WireProtocol
from rewrite.catalog.routes import Route
from rewrite.exchange.exchange import TRANSITIONS, Exchange, State, Trigger, name_of, trigger_of
from rewrite.targets.target import target_of
from rewrite.values.events import (
    CALL,
    Acquire,
    Event,
    NoneFree,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import handled
from tests.rewrite.asks import ask, wanted
from tests.rewrite.exchange.test_transitions import CUT, WAYS, happens, up_to_head
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    MESSAGE,
    MESSAGE_STOP,
    PING,
    ROLE,
    SSE,
    TERMS,
    VENDOR,
    block,
    delta,
    ending,
    error_chunk,
    finishes,
    refused,
    says,
    stop,
    timed,
)

type Arrow = tuple[State, Trigger, State]

LATER = (0.0, 200.0, 600.0)
"""Seconds after the rest of the conversation at which its last event may happen."""

LIMIT = 2000
END = finishes("stop") + DONE
ON_TIME = timed(
    structs.replace(TERMS, pooled=True, on_truncation=OnTruncation.CONTINUE, limits=Limits(body=LIMIT)),
    hold=60.0,
    first_event=30.0,
    first_token=60.0,
    stall=30.0,
    response=100.0,
    heartbeat=10.0,
    min_throughput=0.5,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a call is, and how its targets are asked."""

    protocol: WireProtocol = CHAT
    stream: bool = True
    """Its client wants a stream."""
    streams: Sequence[bool] = (True,)
    """Of each target, whether it is asked for a stream."""
    pooled: bool = True
    most: int = 3
    """How often an answer may be continued."""
    heartbeats: bool = False
    """Its client gets heartbeats before the commit point."""

    def exchange(self) -> Exchange:
        call = ask(self.protocol.name, stream=self.stream)
        terms = structs.replace(ON_TIME, pooled=self.pooled, continuations=self.most)
        terms = timed(terms, heartbeat_before_commit=self.heartbeats)
        targets = []
        for index, streams in enumerate(self.streams):
            to = Route(replace(VENDOR, streams=streams), self.protocol.name, call.model, original=True)
            asked = wanted(to, terms=terms, index=index, force_stream=streams)
            targets.append(target_of(call, self.protocol, asked))
        return Exchange(call, self.protocol, targets, 0.0)


SETTINGS = [
    Setting(pooled=False, heartbeats=True),
    Setting(most=0),
    Setting(most=1),
    Setting(streams=(True, False)),
    Setting(streams=(True, False), most=1),
    Setting(stream=False),
    Setting(stream=False, streams=(False,), pooled=False),
]

HELD = [Start(), *up_to_head(1, SSE)]
ON = [*CUT, *up_to_head(2, SSE)]
SAYS_ENOUGH = UpstreamData(1, says("Hello, and " * 20))
MORE: Sequence[Sequence[Event]] = [
    [Start(), *up_to_head(1, JSON)],
    [Start(), *up_to_head(1, refused(503)), UpstreamData(1, b"{")],
    [Start(), *up_to_head(1, refused(429)), UpstreamClosed(1)],
    [Start(), *up_to_head(1, refused(503)), UpstreamClosed(1)],
    [Start(), *up_to_head(1, refused(503)), UpstreamClosed(1), NoneFree(2, 3.0, own=True)],
    [Start(), TimerFired(CALL, Timer.HOLD), *HELD[1:], UpstreamData(1, ROLE)],
    [Start(), TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT), *HELD[1:]],
    [*HELD, UpstreamData(1, ROLE)],
    [*HELD, UpstreamData(1, says("Hi"))],
    [*HELD, UpstreamData(1, says("Hi")), SAYS_ENOUGH],
    [*HELD, UpstreamData(1, says("Hello") + END)],
    [*HELD, UpstreamData(1, ROLE + END)],
    [*CUT, *up_to_head(2, JSON)],
    [*ON, UpstreamData(2, says("Hello wor"))],
    [*ON, UpstreamData(2, says(" big world"))],
    [*ON, UpstreamData(2, says(" big world") + END)],
]
"""Ways to what a state is like that the shortest way to it does not show."""


DATA = [
    ROLE,
    PING,
    says("Hi"),
    SAYS_ENOUGH.data,
    END,
    error_chunk("busy", type="overloaded_error"),
    error_chunk("no such thing"),
    b"data: {oops\n\n",
    b"data: " + b"x" * LIMIT,
]


def lasts(trigger: Trigger, attempt: int) -> Sequence[Event]:
    """It, to an attempt, in the forms that make a difference."""
    if trigger is UpstreamStarted:
        return [UpstreamStarted(attempt, head) for head in (SSE, JSON, refused(429), refused(503))]
    if trigger is UpstreamData:
        return [UpstreamData(attempt, data) for data in DATA]
    if trigger is UpstreamClosed:
        never = UpstreamClosed(attempt, "refused", connected=False)
        return [UpstreamClosed(attempt), UpstreamClosed(attempt, "reset"), never]
    if trigger is NoneFree:
        own = NoneFree(attempt, 3.0, own=True)
        final = NoneFree(attempt, 5.0, final=True)
        return [NoneFree(attempt, 5.0), NoneFree(attempt, None), own, final, replace(own, final=True)]
    return [happens(trigger, attempt)]


class Conversation:
    """One exchange, the arrows that were taken, and the timers that are set."""

    def __init__(self, setting: Setting) -> None:
        self.exchange = setting.exchange()
        self.arrows: list[Arrow] = []
        self.attempt = 1
        self._timers: set[tuple[int, Timer]] = set()

    def can(self, event: Event) -> bool:
        """Whether it can happen: no timer fires that nobody set."""
        is_set = not isinstance(event, TimerFired) or (event.attempt, event.timer) in self._timers
        return is_set and trigger_of(event) in TRANSITIONS[self.exchange.state]

    def hear(self, event: Event, now: float) -> None:
        state = self.exchange.state
        for command in handled(self.exchange, event, now):
            if isinstance(command, Acquire):
                self.attempt = command.attempt
            elif isinstance(command, SetTimer):
                self.attempt = max(self.attempt, command.attempt)
                self._timers.add((command.attempt, command.timer))
        self.arrows.append((state, trigger_of(event), self.exchange.state))


def conversation(setting: Setting, events: Sequence[Event], after: float = 0.0) -> Conversation | None:
    """`events`, the last of them `after` seconds after the others; None where they cannot happen so."""
    found = Conversation(setting)
    for position, event in enumerate(events, 1):
        if not found.can(event):
            return None
        found.hear(event, after if position == len(events) else 0.0)
    return found


def taken(setting: Setting) -> Iterator[Arrow]:
    """The arrows that calls of this setting take, each way to a state followed by whatever may happen."""
    for way in (*(way for _, way in WAYS), *MORE):
        reached = conversation(setting, way)
        if reached is None:
            continue
        for trigger in TRANSITIONS[reached.exchange.state]:
            for last in lasts(trigger, reached.attempt):
                for after in LATER:
                    found = conversation(setting, [*way, last], after)
                    yield from found.arrows if found else ()


def begun_again() -> Iterator[Arrow]:
    """Upstream begins a second answer after the end of the first, and nothing more comes of it."""
    said = MESSAGE + block(0, "text", text="") + delta(0, type="text_delta", text="Hi") + stop(0)
    whole = said + ending("end_turn") + MESSAGE_STOP
    again = [*HELD, UpstreamData(1, whole), UpstreamData(1, MESSAGE), TimerFired(1, Timer.LINGER)]
    found = conversation(Setting(protocol=ANTHROPIC), again, 5.0)
    yield from found.arrows if found else ()


def test_every_arrow_of_the_table_happens() -> None:
    drawn = {
        (state, trigger, to)
        for state, rows in TRANSITIONS.items()
        for trigger, row in rows.items()
        for to in row.to or {state}
    }
    happened = {arrow for setting in SETTINGS for arrow in taken(setting)} | set(begun_again())
    missing = sorted(f"{at.name} {name_of(by)} {to.name}" for at, by, to in drawn - happened)
    assert missing == []
