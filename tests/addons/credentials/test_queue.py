"""The line of a provider, on a clock of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest

from addons.credentials.asking import Asking
from addons.credentials.queue import Queue, Queues, Wanted, is_plain
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.line import PACE
from rewrite.credentials.sharing import Granted, Probed, Verdict
from rewrite.values.events import Acquire


@dataclass(frozen=True, slots=True)
class Key:
    name: str


@dataclass(slots=True)
class Alarm:
    at: float
    callback: Callable[[], None] | None

    def __lt__(self, other: "Alarm") -> bool:
        return self.at < other.at

    def cancel(self) -> None:
        self.callback = None


@dataclass(slots=True)
class World:
    """A clock, and a provider with places that cool and are taken."""

    now: float = 100.0
    cools_until: float = 0.0
    free: int = 99
    held: list[frozenset[str]] = field(default_factory=list)
    got: list[tuple[str, float]] = field(default_factory=list)
    none: list[tuple[str, Unavailable]] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    queue: Queue[Key] = field(init=False)

    def __post_init__(self) -> None:
        self.queue = Queue(lambda: self.now, self.later)

    def later(self, seconds: float, callback: Callable[[], None]) -> Alarm:
        heappush(self.alarms, alarm := Alarm(self.now + seconds, callback))
        return alarm

    def run(self, seconds: float) -> None:
        """So many seconds pass."""
        end = self.now + seconds
        while self.alarms and self.alarms[0].at <= end:
            alarm = heappop(self.alarms)
            self.now = max(self.now, alarm.at)
            if alarm.callback:
                alarm.callback()
        self.now = end

    def choose(self, held: frozenset[str]) -> Key | Unavailable:
        self.held.append(held)
        if self.now < self.cools_until:
            return Unavailable(self.cools_until - self.now)
        if "a" in held:
            return Unavailable(0.0)
        if not self.free:
            return Unavailable(1.0, full=True)
        self.free -= 1
        return Key("a")

    def wanted(self, name: str, *, alike: str | None = "") -> Wanted[Key]:
        def answer(found: Key | Unavailable) -> None:
            if isinstance(found, Unavailable):
                self.none.append((name, found))
            else:
                self.got.append((name, self.now))

        return Wanted(self.choose, answer, alike)

    def join(self, name: str, ticket: int, seconds: float = 60.0) -> Callable[[], None]:
        return self.queue.join(ticket, "m", seconds, self.wanted(name))


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("asked", "plain"),
    [
        (Acquire(1), True),
        (Acquire(1, prefer="a", avoid=frozenset("b")), True),
        (Acquire(1, refused=frozenset("a")), False),
        (Acquire(1, resting=frozenset("a")), False),
        (Acquire(1, prefer="a", insist=True), False),
        (Acquire(1, avoid=frozenset("a"), only_others=True), False),
    ],
)
def test_a_call_is_plain_that_any_credential_will_do_for(asked: Acquire, plain: bool) -> None:
    assert is_plain(asked) is plain


def test_a_freed_place_lets_the_first_in_at_once(world: World) -> None:
    world.free = 0
    for ticket, name in enumerate("xyz", 1):
        world.join(name, ticket)
    world.run(3.0)
    assert world.got == []
    for _ in "xy":
        world.free = 1
        world.queue.look()
        world.queue.look()
    assert world.got == [("x", 103.0), ("y", 103.0)]
    assert len(world.queue) == 1


def test_who_came_first_is_let_in_first_though_it_joined_last(world: World) -> None:
    world.free = 0
    for ticket, name in ((2, "y"), (3, "z"), (1, "x")):
        world.join(name, ticket)
    world.free = 2
    world.queue.look()
    assert [name for name, _ in world.got] == ["x", "y"]


def test_after_a_cooldown_they_are_let_in_one_by_one(world: World) -> None:
    world.cools_until = 110.0
    for ticket, name in enumerate("wxyz", 1):
        world.join(name, ticket)
    world.run(10.0)
    assert world.got == [("w", 110.0)]
    world.run(0.25)
    world.queue.answered(0)
    assert world.got[1:] == []
    world.queue.answered(1)
    world.queue.answered(1)
    assert world.got[1:] == [("x", 110.25)]
    world.run(PACE)
    assert world.got[2:] == [("y", 110.25 + PACE)]
    world.run(PACE)
    assert world.got[3:] == [("z", 110.25 + 2 * PACE)]
    assert not any(alarm.callback for alarm in world.alarms)


def test_one_that_is_let_in_and_limited_again_keeps_the_others_out(world: World) -> None:
    world.cools_until = 110.0
    for ticket, name in enumerate("xyz", 1):
        world.join(name, ticket)
    world.run(10.0)
    world.cools_until = 130.0
    world.queue.answered(1)
    world.run(19.0)
    assert world.got == [("x", 110.0)]
    world.run(1.5)
    assert [name for name, _ in world.got] == ["x", "y"]


def test_it_is_over_when_nothing_is_due_in_time(world: World) -> None:
    world.cools_until = 110.0
    world.join("short", 1, seconds=5.0)
    world.join("long", 2, seconds=60.0)
    assert [(name, none.final, none.wait) for name, none in world.none] == [("short", True, 10.0)]
    world.cools_until = 900.0
    world.queue.look()
    assert [name for name, _ in world.none] == ["short", "long"]
    assert len(world.queue) == 0
    assert not any(alarm.callback for alarm in world.alarms)


def test_a_place_that_is_never_free_is_waited_for_so_long(world: World) -> None:
    world.free = 0
    world.join("x", 1, seconds=30.0)
    world.run(29.9)
    assert world.none == []
    world.run(0.2)
    assert [(name, none.final, none.full) for name, none in world.none] == [("x", True, True)]


def test_who_leaves_gets_nothing(world: World) -> None:
    world.cools_until = 110.0
    leave = world.join("x", 1)
    world.join("y", 2)
    leave()
    leave()
    world.run(20.0)
    assert [name for name, _ in world.got] == ["y"]
    assert not any(alarm.callback for alarm in world.alarms)


def test_what_is_free_for_nobody_is_looked_for_once(world: World) -> None:
    world.free = 0
    for ticket in range(1, 101):
        world.join(str(ticket), ticket)
    world.held.clear()
    world.queue.look()
    assert len(world.held) == 1


def test_who_is_let_in_may_change_the_line(world: World) -> None:
    """It fails at once, and gives its place back."""
    world.free = 0

    def answer(found: Key | Unavailable) -> None:
        world.got.append(("x", world.now))
        world.free += 1
        world.queue.look()

    world.queue.join(1, "m", 60.0, Wanted(world.choose, answer, alike=""))
    world.join("y", 2)
    world.free = 1
    world.queue.look()
    assert [name for name, _ in world.got] == ["x", "y"]


def test_a_provider_has_so_many_places_in_line(world: World) -> None:
    queues: Queues[Key] = Queues(lambda: world.now, world.later)
    names = ("p", "q")
    queues.configure(Provider(name, "https://p", (), ("openai_chat",), queue_limit=2) for name in names)
    world.free = 0
    joined = [queues.join("p", queues.ticket(), "m", 60.0, world.wanted(name)) for name in "xyz"]
    assert [leave is None for leave in joined] == [False, False, True]
    assert queues.join("q", queues.ticket(), "m", 60.0, world.wanted("other")) is not None
    assert queues.join("unknown", queues.ticket(), "m", 60.0, world.wanted("other")) is None
    assert len(queues) == 3


def test_a_clock_that_jumps_neither_lengthens_a_wait_nor_shortens_it(world: World) -> None:
    world.cools_until = 110.0
    world.join("x", 1, seconds=15.0)
    for seconds in (5000.0, -300.0):
        world.now, world.cools_until = world.now + seconds, world.cools_until + seconds
        for alarm in world.alarms:
            alarm.at += seconds
        world.queue.moved(seconds)
    world.queue.look()
    world.run(9.9)
    assert (world.got, world.none) == ([], [])
    world.run(0.2)
    assert [name for name, _ in world.got] == ["x"]


def test_those_who_wait_come_before_those_who_come(world: World) -> None:
    queues: Queues[Key] = Queues(lambda: world.now, world.later)
    queues.configure([Provider("p", "https://p", (), ("openai_chat",))])
    assert queues.held("p", "m") == frozenset()
    world.cools_until = 110.0
    for name in "xy":
        queues.join("p", queues.ticket(), "m", 60.0, world.wanted(name))
    world.now = 111.0  # the alarm comes late
    assert queues.held("p", "m") == frozenset("a")
    assert queues.held("p", "other") == frozenset()
    assert world.got == [("x", 111.0)]


# -- others are asked --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Others:
    """They answer when the test says so, in the order of being asked."""

    world: World
    asked: list[Callable[[Verdict | None], None]] = field(default_factory=list)
    unwanted: int = 0

    def wanted(self, name: str) -> Wanted[Key]:
        plain = self.world.wanted(name)
        return Wanted(lambda held: self.choose(plain, held), plain.answer, plain.alike)

    def choose(self, plain: Wanted[Key], held: frozenset[str]) -> Key | Unavailable | Asking[Key]:
        found = plain.choose(held)
        if not isinstance(found, Key):
            return found
        return Asking(found, self.asked.append, lambda: Unavailable(1.0, full=True), self._unwanted)

    def _unwanted(self) -> None:
        self.unwanted += 1

    def join(self, name: str, ticket: int) -> Callable[[], None]:
        return self.world.queue.join(ticket, "m", 60.0, self.wanted(name))


def test_a_call_that_others_deny_keeps_its_place(world: World) -> None:
    others = Others(world)
    world.free = 1
    for ticket, name in enumerate("xy", 1):
        others.join(name, ticket)
    assert len(others.asked) == 1
    others.asked.pop()(Probed(1.0))
    assert (world.got, len(world.queue)) == ([], 2)
    world.free = 1
    world.queue.look()
    others.asked.pop()(Granted(0))
    assert world.got == [("x", 100.0)]


def test_a_call_is_asked_for_once_at_a_time(world: World) -> None:
    others = Others(world)
    others.join("x", 1)
    world.run(5.0)
    world.queue.look()
    assert len(others.asked) == 1


def test_what_is_granted_to_a_call_that_left_is_given_back(world: World) -> None:
    others = Others(world)
    leave = others.join("x", 1)
    leave()
    others.asked.pop()(Granted(0))
    assert (world.got, others.unwanted, len(world.queue)) == ([], 1, 0)
