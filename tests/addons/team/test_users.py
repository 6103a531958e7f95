"""What users with caps may use, counted by one proxy."""

import asyncio
from collections.abc import Mapping

import pytest

from addons.config.users import folded
from protocols.model.errors import Fault
from rewrite.policies.user_caps import Caps, Use
from rewrite.usage.entry import Tokens
from tests.addons.entries import ended
from tests.addons.team.unshared import users

NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
DAY = 86_400.0


class Bench:
    """Users with a clock that is set; `over` are calls that end when somebody settles."""

    def __init__(self, caps: Mapping[str, Caps], kept: Mapping[str, Use] | None = None) -> None:
        self.now, self.settled = NOON, 0
        self.users = users(lambda: self.now, self._settle)
        self.kept_since: list[float] = []
        self._kept = kept or {}
        self.configure(caps)

    def configure(self, caps: Mapping[str, Caps]) -> None:
        self.users.configure(caps, self._look_up)

    def _look_up(self, since: float) -> Mapping[str, Use]:
        self.kept_since.append(since)
        return self._kept

    def _settle(self) -> None:
        self.settled += 1

    def call(
        self, user: str, *, attempts: int = 1, tokens: int = 10, cost: float | None = 0.5
    ) -> Fault | None:
        """A call that begins and ends."""
        return asyncio.run(self._call(user, attempts, tokens, cost))

    async def _call(self, user: str, attempts: int, tokens: int, cost: float | None) -> Fault | None:
        async with self.users.admitted(user) as fault:
            pass
        used = Tokens(input=tokens) if tokens else None
        self.users.take([ended(user=user, attempts=0 if fault else attempts, tokens=used, cost=cost)])
        return fault


def test_a_request_more_than_allowed_is_refused() -> None:
    bench = Bench({"alice": Caps(requests=2)})
    assert [bench.call("alice") for _ in range(2)] == [None, None]
    fault = bench.call("alice")
    assert fault is not None
    assert fault.message.startswith("alice has used all that this proxy allows (calls a day: 2)")
    assert bench.settled == 5


def test_a_refused_call_counts_for_nothing() -> None:
    bench = Bench({"alice": Caps(requests=1, tokens=100)})
    bench.call("alice")
    for _ in range(3):
        assert bench.call("alice", tokens=1000)
    (said,) = bench.users.status()
    assert said["used"] == {"requests": 1, "tokens": 10, "cost": 0.5}


def test_nor_does_one_that_nobody_was_asked_for() -> None:
    bench = Bench({"alice": Caps(requests=1)})
    assert bench.call("alice", attempts=0) is None
    assert bench.call("alice") is None
    assert bench.call("alice")


@pytest.mark.parametrize("caps", [Caps(tokens=20), Caps(cost=1.0)])
def test_tokens_and_costs_are_counted_when_a_call_is_over(caps: Caps) -> None:
    bench = Bench({"alice": caps})
    assert [bench.call("alice") for _ in range(2)] == [None, None]
    assert bench.call("alice")


def test_a_call_of_unknown_cost_costs_nothing() -> None:
    bench = Bench({"alice": Caps(cost=1.0)})
    assert [bench.call("alice", cost=None) for _ in range(9)] == [None] * 9


def test_calls_under_way_count() -> None:
    async def two_at_once() -> None:
        async with limited.admitted("alice") as first, limited.admitted("alice") as second:
            assert first is None
            assert second is not None
        async with limited.admitted("alice") as third:
            assert third is None

    limited = Bench({"alice": Caps(requests=1)}).users
    asyncio.run(two_at_once())


def test_a_call_that_is_counted_before_it_is_over_counts_once() -> None:
    async def several() -> None:
        async with limited.admitted("alice") as first:
            assert first is None
            limited.take([ended(user="alice")])
            assert used() == 1
            async with limited.admitted("alice") as second:
                assert second is None
                assert used() == 2
                limited.take([ended(user="alice")] * 2)  # one began before it had a limit
                assert used() == 3
        assert used() == 3
        async with limited.admitted("alice"):
            assert used() == 4

    def used() -> int:
        (alice,) = limited.status()
        found: int = alice["used"]["requests"]
        return found

    limited = Bench({"alice": Caps(requests=9)}).users
    asyncio.run(several())


def test_a_call_that_fails_is_over_too() -> None:
    async def failing() -> None:
        async with limited.admitted("alice"):
            raise KeyError("a fault of ours")

    limited = Bench({"alice": Caps(requests=1)}).users
    for _ in range(3):
        with pytest.raises(KeyError):
            asyncio.run(failing())


def test_others_are_not_looked_at() -> None:
    bench = Bench({"alice": Caps(requests=1)})
    assert [bench.call(user) for user in ("bob", "bob", "", "")] == [None] * 4
    assert bench.settled == 0
    assert not bench.users.is_capped("bob")
    assert not Bench({}).users.is_capped("")


def test_a_name_is_known_however_it_is_written() -> None:
    """LDAP takes all of these for one."""
    assert folded("  Alice   B ") == "alice b"
    bench = Bench({"alice": Caps(requests=1)})
    assert bench.call("Alice") is None
    assert bench.call(" ALICE ")


def test_the_next_day_begins_with_nothing() -> None:
    bench = Bench({"alice": Caps(requests=1)}, {"alice": Use(1)})
    assert bench.call("alice")
    bench.now += DAY / 2
    assert bench.call("alice") is None
    assert bench.call("alice")


def test_what_was_used_before_the_start_is_looked_up() -> None:
    bench = Bench({"alice": Caps(requests=3)}, {"Alice": Use(1), "alice": Use(1), "bob": Use(9)})
    assert bench.kept_since == [NOON - DAY / 2]
    assert bench.call("alice") is None
    assert bench.call("alice")


def test_a_changed_config_forgets_nothing() -> None:
    bench = Bench({"alice": Caps(requests=1)}, {"alice": Use(1)})
    bench.configure({"alice": Caps(requests=2), "bob": Caps(requests=1)})
    assert bench.call("alice") is None
    assert bench.call("alice")
    bench.configure({"bob": Caps(requests=1)})
    assert bench.call("alice") is None


def test_the_status_says_what_is_used() -> None:
    bench = Bench({"bob": Caps(cost=2), "alice": Caps(requests=1)})
    bench.call("alice")
    assert [*bench.users.status()] == [
        {
            "name": "alice",
            "used": {"requests": 1, "tokens": 10, "cost": 0.5},
            "limits": {"requests": 1},
            "reached": "calls a day: 1",
            "seconds": 43_200,
        },
        {
            "name": "bob",
            "used": {"requests": 0, "tokens": 0, "cost": 0.0},
            "limits": {"cost": 2},
            "reached": "",
            "seconds": 43_200,
        },
    ]
