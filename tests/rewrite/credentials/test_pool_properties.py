"""Calls over a real pool: whichever of its keys fail, each is asked in its turn and none is skipped."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rewrite.credentials.choosing import Chosen, Unavailable, choose, probing, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.settling import COOLDOWNS, Attempted, settle
from rewrite.credentials.state import PoolState
from rewrite.exchange.exchange import Exchange
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
    Command,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Release,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import (
    Abandoned,
    Completed,
    Kind,
    Outcome,
    Rejected,
    Stalled,
    Truncated,
    Unreachable,
)
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    SSE,
    TERMS,
    call,
    error_body,
    exchange_of,
    finishes,
    refused,
    says,
)

SERVES = says("Hi") + finishes("stop") + DONE
HEADS = {
    "serves": SSE,
    "fails": refused(500),
    "refuses": refused(401),
    "limited": refused(429),
    "lacks": refused(404),
}
BODIES = {
    "fails": b"",
    "refuses": error_body("who?"),
    "limited": error_body("slow", "rate_limit_exceeded"),
    "lacks": error_body("no such model"),
}


@dataclass(slots=True)
class House:
    """A pool whose keys do what `does` says, and the calls that it is asked for one after another."""

    does: dict[str, str]
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    backed_off_at: list[int] = field(default_factory=list)
    holder: str = ""
    pool: PoolState = field(init=False)
    exchange: Exchange = field(init=False)

    def __post_init__(self) -> None:
        self.pool = PoolState(tuple(Credential(name, "vendor") for name in self.does))

    def call(self) -> bool:
        """Whether it was served."""
        self.asked, self.backed_off_at = [], []
        self.exchange = exchange_of(call(), CHAT, TERMS, now=self.now)
        events: list[Event] = [Start()]
        sent = b""
        while events:
            for command in self.exchange.handle(events.pop(0), self.now):
                events += self.follows(command)
                sent += getattr(command, "data", b"")
                if isinstance(command, EndResponse):
                    return sent == SERVES
        raise AssertionError("the call has no end")

    def follows(self, command: Command) -> list[Event]:
        match command:
            case Acquire():
                return [self.acquired(command)]
            case AwaitCredential(asked=asked):
                return [self.waited(asked)]
            case OpenUpstream(attempt=attempt):
                does = self.does[self.holder]
                answer = UpstreamData(attempt, SERVES if does == "serves" else BODIES[does])
                head = UpstreamStarted(attempt, HEADS[does])
                return [UpstreamSent(attempt), head, answer, UpstreamClosed(attempt)]
            case Release(outcome=outcome):
                attempted = Attempted(self.holder, "m", "one")
                self.pool = settle(self.pool, attempted, outcome, self.now)
            case SetTimer(attempt=attempt, timer=Timer.BACKOFF, seconds=seconds):
                self.now += seconds
                self.backed_off_at.append(len(self.asked))
                return [TimerFired(attempt, Timer.BACKOFF)]
            case _:
                pass
        return []

    def waited(self, asked: Acquire) -> Event:
        """Alone in line: until one is free."""
        event = self.acquired(asked)
        while isinstance(event, NoneFree):
            assert event.wait is not None
            self.now += event.wait + 0.001
            event = self.acquired(asked)
        self.backed_off_at.append(len(self.asked))
        return event

    def acquired(self, asked: Acquire) -> Event:
        request = CredentialRequest(
            "m",
            asked.prefer,
            insist=asked.insist,
            avoid=asked.avoid,
            refused=asked.refused,
            resting=asked.resting,
            only_others=asked.only_others,
        )
        found = choose(self.pool, request, self.now)
        if not isinstance(found, Chosen):
            return NoneFree(asked.attempt, found.wait, found.paused, found.refused, found.keys)
        self.holder = found.credential.name
        self.asked.append(self.holder)
        self.pool = taken(self.pool, self.holder)
        return Acquired(asked.attempt, self.holder, asked_last=found.asked_last)


MOST = 2 * Limits().max_attempts


@given(st.lists(st.sampled_from(list(HEADS)), min_size=1, max_size=12), st.integers(1, 5))
def test_each_free_key_is_asked_once_before_any_is_asked_twice(does: list[str], calls: int) -> None:
    house = House(dict(zip("abcdefghijkl", does, strict=False)))
    for _ in range(calls):
        served, asked = house.call(), house.asked
        failed = sum(house.does[name] == "fails" for name in asked)
        assert failed <= MOST
        for position, name in enumerate(asked):
            if name in asked[:position]:
                untried = set(house.does) - set(asked[:position])
                assert all(house.does[each] in ("refuses", "limited", "lacks") for each in untried)
        assert served == (asked != [] and house.does[asked[-1]] == "serves")
        if "serves" in does and does.count("fails") < MOST:
            assert served
            assert house.backed_off_at == []
            assert max(Counter(asked).values()) == 1


OUTCOMES: list[Outcome] = [
    Completed(),
    Abandoned(),
    Truncated("reset"),
    Stalled(Timer.FIRST_TOKEN, 60.0),
    Unreachable("reset", sent=True),
    Unreachable("no route", connected=False),
    *(Rejected(400, kind) for kind in Kind),
    Rejected(429, Kind.RATE, retry_after=5.0),
]
STEPS = st.tuples(
    st.sampled_from("mn"),
    st.sampled_from(OUTCOMES),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from([0.0, 0.1, 20.0, 90.0, 700.0, 9000.0]),
    st.booleans(),
)


@given(st.lists(STEPS, max_size=60), st.integers(1, 4))
def test_whatever_came_of_calls_a_key_serves_again_once_the_stated_wait_is_over(
    steps: list[tuple[str, Outcome, str, float, bool]], keys: int
) -> None:
    pool, now = PoolState(tuple(Credential(name, "vendor") for name in "abcd"[:keys])), 0.0
    for scope, outcome, witness, seconds, fallback in steps:
        now += seconds
        found = choose(pool, CredentialRequest(scope, fallback=fallback), now)
        if isinstance(found, Chosen):
            name = found.credential.name
            pool = probing(pool, scope, now) if found.probe else pool
            attempted = Attempted(name, scope, witness, probe=found.probe)
            pool = settle(taken(pool, name), attempted, outcome, now)
        else:
            is_over_after_its_wait(pool, CredentialRequest(scope, fallback=fallback), now)
    assert not any(state.in_flight for state in pool.states.values())


def is_over_after_its_wait(pool: PoolState, request: CredentialRequest, now: float) -> None:
    found = choose(pool, request, now)
    assert isinstance(found, Unavailable)
    assert request.fallback or not found.paused
    assert found.wait is not None
    assert 0 < found.wait <= COOLDOWNS[Kind.AUTH].longest
    alone = choose(pool, structs.replace(request, fallback=False), now + found.wait + 0.001)
    assert isinstance(alone, Chosen)
    if found.refused:
        assert found.wait <= found.refused.wait + 0.001
        assert all(pool.state(one.name).refusal(request.scope, now) for one in pool.credentials)
