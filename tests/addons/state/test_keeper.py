"""What proxies on one folder know of each other's credentials, and what outlives them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.runtime.clock import STAYS_OFF, EpochClock
from addons.state.keeper import DEBOUNCE, Keeper
from protocols.model.call import Call, Operation
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider
from rewrite.credentials.choosing import Unavailable
from rewrite.credentials.credential import Credential
from rewrite.values.decision import Ended
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected

ASKER = Asker("openai_chat", "127.0.0.1 sdk/1.0")
RATE = Rejected(429, Kind.RATE, retry_after=300.0)
REFUSED = Rejected(401, Kind.AUTH, message="Incorrect API key")
CALL = Call("c", "openai_chat", Operation.GENERATE, "m", True, ())
KEYS = {"one": "sk-1111111111111111", "two": "sk-2222222222222222"}


@dataclass(slots=True)
class World:
    """Time that passes, and a wall clock that may be off by so much."""

    passed: float = 0.0
    off: float = 0.0

    def wall(self) -> float:
        return 1_800_000_000.0 + self.passed + self.off

    def steady(self) -> float:
        return self.passed


@dataclass
class Proxy:
    """A pool with its keeper."""

    world: World
    folder: Path
    faults: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = EpochClock(self.world.wall, self.world.steady)
        self.pool = Pool(clock, lambda _: None)
        self.keeper = Keeper(self.pool, clock, lambda _, error: self.faults.append(error))
        self.keeper.configure("" if self.folder == Path() else str(self.folder), Path.cwd())
        self.configure(KEYS)

    def configure(self, keys: dict[str, str]) -> None:
        pool = tuple(PoolCredential(Credential(name, "p"), SecretStr(key)) for name, key in keys.items())
        self.pool.configure(
            Settings(providers=(Configured(Provider("p", "https://p", ("p",), ("openai_chat",)), pool),))
        )
        self.keeper.follow()

    def serve(self, outcome: Outcome, call: Call = CALL) -> str:
        lease = self.pool.acquire("p", call, Acquire(1), ASKER)
        assert isinstance(lease, Lease)
        self.pool.release("p", lease, call, outcome, ASKER)
        return lease.name

    def next(self) -> str | float | None:
        """The credential that would serve, or the seconds until one does."""
        match self.pool.acquire("p", CALL, Acquire(1), Asker("openai_chat", "x")):
            case Lease() as lease:
                self.pool.release("p", lease, CALL, Rejected(400, Kind.REQUEST), ASKER)
                return lease.name
            case Unavailable(wait=wait):
                return wait
            case _:
                raise AssertionError("there is nobody to ask")

    def tick(self) -> None:
        asyncio.run(self.keeper.tick())

    def end(self) -> None:
        asyncio.run(self.keeper.stop())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def proxy(world: World, tmp_path: Path) -> Callable[[], Proxy]:
    folder = tmp_path / "state"
    folder.mkdir()
    return lambda: Proxy(world, folder)


def test_a_restart_keeps_cooldowns(world: World, proxy: Callable[[], Proxy]) -> None:
    first = proxy()
    assert [first.serve(RATE), first.next()] == ["one", "two"]
    first.end()
    world.passed += 100
    second = proxy()
    assert [second.next(), second.serve(RATE)] == ["two", "two"]
    assert second.next() == pytest.approx(200.0)
    world.passed += 200
    assert second.next() == "one"


@pytest.mark.parametrize("jump", [-1e7, -4000.0, 4000.0, 1e7])
def test_a_restart_keeps_them_as_long_as_they_were_whatever_the_wall_clock_says(
    world: World, proxy: Callable[[], Proxy], jump: float
) -> None:
    first = proxy()
    first.serve(RATE), first.serve(RATE)
    first.end()
    world.passed, world.off = 100.0, jump
    assert proxy().next() == pytest.approx(200.0)


@pytest.mark.parametrize("jump", [-1e7, 1e7])
def test_a_clock_that_is_set_while_we_run_changes_no_cooldown(
    world: World, proxy: Callable[[], Proxy], jump: float
) -> None:
    own, other = proxy(), proxy()
    own.serve(Rejected(429, Kind.QUOTA, retry_after=4000.0))
    own.serve(Rejected(429, Kind.QUOTA, retry_after=5000.0))
    own.tick()
    other.tick()
    world.passed, world.off = 10.0, jump
    own.tick()
    world.passed = 10.0 + STAYS_OFF
    own.tick()
    assert own.pool._clock() == pytest.approx(world.wall())
    assert own.next() == other.next() == pytest.approx(3990.0 - STAYS_OFF)
    other.tick()
    assert proxy().next() == other.next() == own.next()


def test_others_know_a_cooldown_at_once(world: World, proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    one.serve(Completed())
    one.tick()
    world.passed += 0.25
    one.serve(RATE)
    one.tick()
    two.tick()
    assert two.next() == "two"


def test_what_nobody_waits_for_is_written_once_a_second(world: World, proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    one.serve(Completed())
    one.tick()
    world.passed += DEBOUNCE / 2
    one.serve(Completed())
    one.tick()
    two.tick()
    first = two.pool.states["p"].state("one").last
    world.passed += DEBOUNCE / 2
    one.tick()
    two.tick()
    second = two.pool.states["p"].state("one").last
    assert first
    assert second
    assert second.at - first.at == pytest.approx(DEBOUNCE / 2)


def test_the_end_of_a_proxy_writes_what_was_not_written(world: World, proxy: Callable[[], Proxy]) -> None:
    one = proxy()
    one.serve(Completed())
    one.tick()
    one.serve(Completed())
    one.end()
    assert proxy().pool.states["p"].state("one").last == one.pool.states["p"].state("one").last


def test_what_one_resumes_is_resumed_for_all_and_for_good(world: World, proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    one.serve(RATE)
    one.tick()
    two.tick()
    assert two.next() == "two"
    world.passed += 1
    assert two.pool.resume("p", "one") == 1
    two.tick()
    one.tick()
    assert [one.next(), two.next(), proxy().next()] == ["one"] * 3
    world.passed += 1
    one.serve(RATE)
    one.tick()
    two.tick()
    assert [one.next(), two.next(), proxy().next()] == ["two"] * 3


def test_what_a_command_asks_of_one_holds_for_all_and_after_a_restart(
    world: World, proxy: Callable[[], Proxy]
) -> None:
    one, two = proxy(), proxy()
    assert one.pool.cool("p", "one", 50.0) == 1
    one.tick()
    two.tick()
    assert [one.next(), two.next(), proxy().next()] == ["two"] * 3
    assert two.pool.retire("p", "two") == 1
    two.tick()
    one.tick()
    assert [one.next(), two.next(), proxy().next()] == [pytest.approx(50.0)] * 3
    world.passed += 1
    one.pool.resume("p", "two")
    one.tick()
    two.tick()
    assert [one.next(), two.next(), proxy().next()] == ["two"] * 3
    world.passed += 1
    two.pool.reset()
    two.tick()
    one.tick()
    assert [one.next(), two.next(), proxy().next()] == ["one"] * 3


def test_both_learn_of_refusals_and_count_them_once(world: World, proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    assert one.serve(REFUSED) == "one"
    one.tick()
    two.tick()
    world.passed += 300
    assert two.serve(REFUSED) == "one"
    two.tick()
    one.tick()
    for each in (one, two, proxy()):
        state = each.pool.states["p"].state("one")
        assert state.auth_failures == 2
        assert state.free_at("model:m") - each.pool._clock() == pytest.approx(600.0)
        said = state.cooldowns["whole"].refusal
        assert said
        assert (said.credential, said.status, said.kind, said.message) == (
            "p/one",
            401,
            Kind.AUTH,
            "Incorrect API key",
        )


def test_another_key_under_the_same_name_starts_afresh(world: World, proxy: Callable[[], Proxy]) -> None:
    one = proxy()
    one.serve(RATE)
    one.end()
    two = proxy()
    assert two.next() == "two"
    two.configure({**KEYS, "one": "sk-3333333333333333"})
    assert two.next() == "one"
    two.configure(KEYS)
    assert two.next() == "two"


def test_a_changed_config_forgives_refusals_for_good(world: World, proxy: Callable[[], Proxy]) -> None:
    one = proxy()
    one.serve(REFUSED)
    one.tick()
    world.passed += 1
    one.configure(KEYS)
    assert one.next() == "one"
    one.tick()
    assert proxy().next() == "one"


def test_no_key_is_in_the_folder(proxy: Callable[[], Proxy], tmp_path: Path) -> None:
    one = proxy()
    for key in KEYS.values():
        one.serve(Rejected(401, Kind.AUTH, message=f"Incorrect API key: {key}"))
    one.end()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"Incorrect API key" in written
    assert not [key for key in KEYS.values() if key.encode() in written]


def test_without_a_folder_nothing_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = Proxy(world, Path())
    one.serve(RATE)
    one.tick()
    one.end()
    assert not [*tmp_path.iterdir()]


def test_that_one_lacks_a_model_is_known_to_all(proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    one.serve(Rejected(404, Kind.MODEL))
    lease = one.pool.acquire("p", CALL, Acquire(2, refused=frozenset({"one"})), ASKER)
    assert isinstance(lease, Lease)
    one.pool.release("p", lease, CALL, Completed(), ASKER)
    one.tick()
    two.tick()
    assert [one.next(), two.next()] == ["two", "two"]


def test_a_conversation_stays_on_its_key_after_a_restart(world: World, proxy: Callable[[], Proxy]) -> None:
    def converse(proxy: Proxy, session: str) -> str:
        asked = Asker("openai_chat", "client", call=replace(CALL, session=session))
        lease = proxy.pool.acquire("p", CALL, Acquire(1), asked)
        assert isinstance(lease, Lease)
        proxy.pool.release("p", lease, CALL, Completed(), asked)
        ended = (Ended(1, lease.name, Completed(), 0.0),)
        proxy.pool.answered("p", Summary("completed", "", ended, Progress(ended=True), 0.0, 1.0), asked)
        return lease.name

    one = proxy()
    one.serve(RATE)
    assert converse(one, "here") == "two"
    one.end()
    world.passed += 301
    two = proxy()
    assert [converse(two, "here"), converse(two, "there")] == ["two", "one"]


def test_a_folder_that_cannot_be_is_memory(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pool").write_text("a file")
    one = Proxy(world, tmp_path)
    one.serve(RATE)
    one.tick()
    assert one.next() == "two"
    assert "move it away" in caplog.text


async def test_it_looks_by_itself_until_it_is_stopped(proxy: Callable[[], Proxy]) -> None:
    one, two = proxy(), proxy()
    one.keeper.start()
    one.serve(RATE)
    await one.keeper.stop()
    await two.keeper.tick()
    assert two.next() == "two"
    assert not one.faults
