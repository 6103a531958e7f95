"""Days of traffic over five keys and three models: nobody starves, no herd, fair shares."""

from collections import Counter, defaultdict
from itertools import pairwise
from random import Random

import pytest

from rewrite.catalog.providers import Rotation
from rewrite.credentials.credential import Credential
from rewrite.credentials.windows import Period, Unit, Window
from tests.addons.credentials.simulated import DAY, HOUR, MINUTE, House, Served, Vendor, traffic

MODELS = ("small", "large", "thinking")
NAMES = "abcde"
TURNS = [Rotation.ROUND_ROBIN, Rotation.BALANCED, Rotation.CHEAPEST]


def keys(**more: object) -> list[Credential]:
    return [Credential(name, "p", **more) for name in NAMES]  # type: ignore[arg-type]


def conversations(served: list[Served]) -> dict[str, list[Served]]:
    found = defaultdict(list)
    for one in served:
        found[one.session].append(one)
    return found


@pytest.mark.parametrize("rotation", Rotation)
def test_two_days_with_failures_and_bursts_starve_nobody(rotation: Rotation) -> None:
    random = Random(1)
    house = House(keys(), rotation, Vendor(random, limit=6, fails=0.02))
    start = house.clock.now
    for moment, model, session in traffic(random, start, 2 * DAY, 20.0, MODELS):
        house.at(moment, model, session)
    for hour in range(0, 48, 4):  # twice what all keys may serve in a minute
        for number in range(60):
            house.at(start + hour * HOUR + number * 0.1, MODELS[hour // 4 % 3], f"burst {hour} {number}")
    house.clock.run()
    assert len(house.served) > 8000
    assert [one for one in house.served if not one.key] == []
    assert max(one.waited for one in house.served) < 3 * MINUTE
    assert house.in_flight() == {}
    assert len(house.pool.queues) == 0
    for early, late in pairwise(
        one for one in house.served if one.session.startswith("burst 4 ") and one.in_line
    ):
        assert early.asked_at + early.waited <= late.asked_at + late.waited + MINUTE


@pytest.mark.parametrize("rotation", TURNS)
def test_equal_keys_have_equal_shares_of_new_conversations(rotation: Rotation) -> None:
    random = Random(2)
    house = House(keys(), rotation, Vendor(random, fails=0.02))
    for moment, model, session in traffic(random, house.clock.now, DAY, 20.0, MODELS):
        house.at(moment, model, session)
    house.clock.run()
    shares = house.shares()
    for name in NAMES:
        assert shares[name] == pytest.approx(shares.total() / 5, rel=0.1)


def test_shares_are_by_weight() -> None:
    random, weights = Random(3), dict(zip(NAMES, (1.0, 1.0, 2.0, 2.0, 4.0), strict=True))
    pool = [Credential(name, "p", weight=weight) for name, weight in weights.items()]
    house = House(pool, Rotation.WEIGHTED, Vendor(random, fails=0.02))
    for moment, model, session in traffic(random, house.clock.now, DAY, 20.0, MODELS):
        house.at(moment, model, session)
    house.clock.run()
    shares = house.shares()
    for name, weight in weights.items():
        assert shares[name] == pytest.approx(shares.total() * weight / 10, rel=0.1)


@pytest.mark.parametrize("rotation", Rotation)
def test_a_conversation_stays_on_its_key_while_that_serves(rotation: Rotation) -> None:
    random = Random(4)
    house = House(keys(), rotation, Vendor(random))
    for moment, model, session in traffic(random, house.clock.now, DAY, 30.0, MODELS):
        house.at(moment, model, session)
    house.clock.run()
    assert all(len({one.key for one in each}) == 1 for each in conversations(house.served).values())


def test_no_herd_comes_when_the_minute_is_over() -> None:
    """Of those that wait, each key is tried by one until it answers: a limit that is still in force costs one
    refusal, not one for each."""
    random = Random(5)
    house = House(keys(), Rotation.ROUND_ROBIN, Vendor(random, limit=2, seconds=1.0))
    start = house.clock.now
    for number in range(80):
        house.at(start + number * 0.01, "small", f"burst {number}")
    house.clock.run()
    assert all(one.key for one in house.served)
    asked, refused = house.vendor.asked, house.vendor.refused
    later = [at for at in asked if at[2] > start // MINUTE]
    assert later
    assert max(refused[at] for at in later) <= 2
    assert max(one.waited for one in house.served) < 9 * MINUTE


def test_those_that_wait_are_served_as_they_came() -> None:
    random = Random(6)
    house = House(keys(max_concurrency=1), Rotation.SEQUENTIAL, Vendor(random, seconds=3.0))
    for number in range(200):
        house.at(house.clock.now + number * 0.2, MODELS[number % 3], f"new {number}")
    house.clock.run()
    began = [one.asked_at + one.waited for one in sorted(house.served, key=lambda one: one.number)]
    assert began == sorted(began)
    assert house.most_in_flight == dict.fromkeys(NAMES, 1)


@pytest.mark.parametrize("rotation", [Rotation.SEQUENTIAL, Rotation.ROUND_ROBIN, Rotation.BALANCED])
def test_windows_let_through_what_they_may_and_no_more(rotation: Rotation) -> None:
    """Two days that ask for more than the keys may serve: each is used up, and no window is passed."""
    random = Random(7)
    minute, day = Window(Unit.REQUESTS, 4, MINUTE), Window(Unit.REQUESTS, 100, Period.DAY)
    house = House(keys(windows=(minute, day)), rotation, Vendor(random))
    start = house.clock.now
    assert start % DAY == 0
    for moment, _, session in traffic(random, start, 2 * DAY, 60.0, MODELS):
        house.at(moment, "small", session)
    house.clock.run()
    by_day = Counter((one.key, (one.asked_at + one.waited) // DAY) for one in house.served if one.key)
    assert {at[1] - start // DAY for at in by_day} <= {0, 1, 2}
    assert [by_day[name, start // DAY + number] for name in NAMES for number in (0, 1)] == [100] * 10
    for name in NAMES:
        began = sorted(one.asked_at + one.waited for one in house.served if one.key == name)
        assert all(late - early > MINUTE * 59 / 60 for early, late in zip(began, began[4:], strict=False))


def test_a_key_that_comes_back_is_used_again() -> None:
    random = Random(8)
    house = House(keys(), Rotation.ROUND_ROBIN, Vendor(random))
    start = house.clock.now
    for moment, model, session in traffic(random, start, DAY, 30.0, MODELS):
        house.at(moment, model, session)
    house.clock.run()
    hours = defaultdict(set)
    for one in house.served:
        hours[(one.asked_at - start) // HOUR].add(one.key)
    assert all(found == set(NAMES) for hour, found in hours.items() if hour < 24)


def test_no_herd_comes_when_the_day_is_over() -> None:
    """Forty calls wait for midnight: each key is given to one of them, and to the next when that has an
    answer."""
    day = Window(Unit.REQUESTS, 10, Period.DAY)
    house = House(keys(windows=(day,)), Rotation.BALANCED, Vendor(Random(9), seconds=2.0))
    midnight = house.clock.now + DAY
    for number in range(50):
        house.at(midnight - HOUR + number * 60, "small", f"before {number}")
    for number in range(40):
        house.at(midnight - 300 + number, "small", f"waits {number}")
    house.clock.run()
    waited = sorted(one.asked_at + one.waited for one in house.served if one.session.startswith("waits"))
    assert len(waited) == 40
    assert midnight <= waited[0]
    assert sum(moment < midnight + 0.5 for moment in waited) <= 2 * len(NAMES)
    assert waited[-1] < midnight + 60
