"""How the credentials of a pool do, for programs and for readers."""

import json
from dataclasses import replace

from msgspec import structs

from rewrite.credentials.choosing import begun, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.learning import Reported
from rewrite.credentials.limits import learnt
from rewrite.credentials.state import PoolState
from rewrite.credentials.status import credential_status, pool_lines, pool_status
from rewrite.credentials.steering import cooled, retired
from rewrite.credentials.windows import Unit, Window
from rewrite.values.outcome import Completed, Kind
from tests.rewrite.credentials.pools import DOWN, M, after, pool, probe, rejected, suspected

THREE = Window(Unit.REQUESTS, 3, 60.0)


def of(state: PoolState, now: float) -> dict[str, object]:
    """The status of the first credential, as JSON has it."""
    found = credential_status(state.credentials[0], state.state("a"), now)
    again: dict[str, object] = json.loads(json.dumps(found))
    return again


def test_one_that_was_never_used_is_ready() -> None:
    assert of(pool("a"), 5.0) == {
        "name": "a",
        "state": "ready",
        "reason": "",
        "seconds": 0,
        "scopes": {},
        "in_flight": 0,
        "windows": [],
        "last": None,
    }


def test_one_that_cools_for_a_model_is_ready_but_for_that() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.RATE, 60.0)), model="model:gpt-5")
    found = of(state, 10.0)
    assert (found["state"], found["seconds"], found["scopes"]) == ("ready", 0, {"model:gpt-5": 50.0})
    assert found["last"] == {"outcome": "rejected(400 rate)", "ago": 10.0}
    assert of(state, 60.0)["scopes"] == {}


def test_one_that_cools_says_for_how_long_and_why() -> None:
    found = of(after(pool("a"), (0.0, "a", rejected(Kind.AUTH))), 10.0)
    assert (found["state"], found["seconds"], found["scopes"]) == ("cooling", 290.0, {})
    assert found["reason"] == "was refused (400) and is tried again in 290 s: check the key"
    assert (
        of(cooled(pool("a"), "a", 9.0, 0.0), 1.0)["reason"]
        == "is paused by a command and is tried again in 8 s"
    )


def test_of_one_that_is_full_or_retired_nobody_knows_for_how_long() -> None:
    one = Credential("a", "vendor", max_concurrency=1)
    full = of(taken(PoolState((one,)), "a"), 0.0)
    assert (full["state"], full["seconds"], full["in_flight"]) == ("full", None, 1)
    gone = of(retired(taken(PoolState((one,)), "a"), "a"), 0.0)
    assert (gone["state"], gone["seconds"], gone["reason"]) == ("retired", None, "is retired")


def test_windows_are_those_of_the_config_and_of_the_provider() -> None:
    one = Credential("a", "vendor", windows=(THREE,))
    state = PoolState((one,))
    for _ in range(3):
        state = begun(taken(state, "a"), one, M, 120.0)
    week = Reported("anthropic-ratelimit-unified-7d", Unit.PERCENT, 40, 100, 1000.0, whole=True)
    state = state.with_state("a", learnt(state.state("a"), "m", [week], 120.0))
    found = of(state, 120.0)
    assert found["windows"] == [
        {
            "unit": "requests",
            "scope": "m",
            "used": 3.0,
            "limit": 3,
            "resets_in": 61.0,
            "source": "config",
        },
        {
            "unit": "percent",
            "scope": "whole",
            "used": 40,
            "limit": 100,
            "resets_in": 880.0,
            "source": "anthropic-ratelimit-unified-7d",
        },
    ]
    assert (found["state"], found["scopes"]) == ("ready", {"m": 61.0})


def test_a_pool_says_how_it_rotates_and_which_models_are_paused() -> None:
    found = pool_status(probe(suspected(), DOWN, 2.0), 12.0)
    assert (found["rotation"], found["paused"]) == ("sequential", {"m": 20.0})
    assert json.dumps(found["credentials"]).count('"name"') == 2
    assert pool_status(suspected(), 12.0)["paused"] == {}


def test_lines_for_a_reader() -> None:
    state = probe(suspected(), DOWN, 2.0)
    state = after(
        state, (3.0, "a", rejected(Kind.AUTH)), (4.0, "b", rejected(Kind.RATE, 60.0)), model="model:x"
    )
    one = replace(state.credentials[1], windows=(THREE,))
    state = structs.replace(state, credentials=(state.credentials[0], one))
    state = begun(taken(state, "b"), one, structs.replace(M, scope="model:x"), 12.0)
    assert list(pool_lines(state, "openai", 12.0)) == [
        "openai: 2 keys, sequential",
        "openai is paused for m: 20 s",
        (
            "openai/a: was refused (400) and is tried again in 291 s: check the key; "
            "last rejected(400 auth) 9 s ago"
        ),
        (
            "openai/b: ready; not used for model x for 52 s; 1 in flight; "
            "1 of 3 requests used for model x, reset in 61 s (config); last rejected(400 rate) 8 s ago"
        ),
    ]
    assert list(pool_lines(after(pool("a"), (0.0, "a", Completed())), "p", 1.0)) == [
        "p: 1 key, sequential",
        "p/a: ready; last completed 1 s ago",
    ]
