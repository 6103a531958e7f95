"""What holds of every pool, whatever is known of its credentials and whatever comes of attempts."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from rewrite.catalog.providers import FairCycle, Rotation
from rewrite.credentials.choosing import Chosen, Unavailable, choose, served, started, taken
from rewrite.credentials.credential import Credential, model_filter, serving_order
from rewrite.credentials.health import Streak
from rewrite.credentials.learning import Reported
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.settling import Attempted, is_news, settle
from rewrite.credentials.state import WHOLE, Cooldown, CredentialState, LastOutcome, PoolState
from rewrite.credentials.windows import Cap, Period, Unit, Window, used
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
from rewrite.values.timer import Timer

NOW = 20_000 * 86_400.0 + 5.0
MODELS = ("gpt-5", "gpt-5-pro", "o3")
SCOPES = [f"model:{model}" for model in MODELS]
GROUP = "group:fives"
NAMES = "abcde"

TIMES = st.sampled_from([NOW - 500, NOW - 1, NOW, NOW + 0.5, NOW + 30, NOW + 9000])
WINDOWS = st.builds(
    Window, st.just(Unit.REQUESTS), st.integers(1, 3).map(float), st.sampled_from([60.0, Period.DAY])
)
FILTERS = st.sampled_from([(), (), (), (), ("gpt-5*", "!*-pro"), ("!o3",)]).map(model_filter)
FEW = st.sampled_from([None, None, 1, 2])
CREDENTIALS = st.builds(
    Credential,
    st.just(""),
    st.just("vendor"),
    st.integers(1, 2),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.sampled_from([0.0, 1.0]),
    FEW,
    FEW,
    FILTERS,
    st.sampled_from([None, None, None, ("codex",)]),
    st.just(()) | st.tuples(WINDOWS) | st.tuples(WINDOWS),
    st.sampled_from([(), (), (Cap(Unit.REQUESTS, 2.0),)]),
)
COUNTS = st.lists(st.tuples(TIMES, st.integers(1, 3).map(float)), min_size=1, max_size=2).map(
    lambda each: tuple(sorted(each))
)
ABOUT = st.sampled_from([*SCOPES, GROUP, WHOLE])
REPORTED = st.builds(
    Reported, st.just("x"), st.just(Unit.REQUESTS), st.sampled_from([0.0, 5.0]), st.just(5.0), TIMES
)
STATES = st.builds(
    CredentialState,
    cooldowns=st.just({}) | st.dictionaries(ABOUT, st.builds(Cooldown, TIMES), min_size=1, max_size=3),
    in_flight=st.sampled_from([0, 0, 1, 3]),
    streaks=st.dictionaries(
        ABOUT, st.builds(Streak, st.integers(0, 4), st.booleans(), TIMES, TIMES), max_size=1
    ),
    retired=st.sampled_from([False] * 5 + [True]),
    used=st.dictionaries(st.tuples(WINDOWS.map(lambda one: one.key), ABOUT), COUNTS, min_size=2, max_size=6),
    learnt=st.dictionaries(st.tuples(st.just("x"), ABOUT), REPORTED, max_size=1),
)
SOME = st.sampled_from([frozenset[str]()] * 2 + [frozenset({name}) for name in NAMES])


@st.composite
def pools(draw: st.DrawFn) -> PoolState:
    found = draw(st.lists(CREDENTIALS, min_size=1, max_size=len(NAMES)))
    credentials = serving_order(replace(one, name=name) for one, name in zip(found, NAMES, strict=False))
    states = {one.name: draw(STATES) for one in credentials}
    exhausted = draw(st.dictionaries(ABOUT, SOME, max_size=1))
    return PoolState(
        credentials,
        draw(st.sampled_from(Rotation)),
        states,
        groups=(("gpt-5*", "fives"),),
        fair_cycle=draw(st.sampled_from(FairCycle)),
        exhausted=exhausted,
    )


@st.composite
def requests(draw: st.DrawFn) -> CredentialRequest:
    model = draw(st.sampled_from(MODELS))
    return CredentialRequest(
        f"model:{model}",
        draw(st.none() | st.sampled_from(NAMES)),
        draw(st.lists(st.sampled_from(NAMES), max_size=2).map(tuple)),
        avoid=draw(SOME),
        refused=draw(SOME),
        resting=draw(SOME),
        held=draw(SOME),
        only_others=draw(st.sampled_from([False, False, True])),
        model=model,
        client=draw(st.sampled_from(["", "codex"])),
        hurried=draw(st.booleans()),
        quota=GROUP if model.startswith("gpt-5") else "",
    )


def hindrances(one: Credential, state: CredentialState, request: CredentialRequest) -> list[str]:
    """Why a credential may not serve, as the config and the documentation say it."""
    scopes = {WHOLE, request.scope, request.quota}
    said = {
        "retired": state.retired,
        "cooling": any(about in scopes and each.until > NOW for about, each in state.cooldowns.items()),
        "full": one.max_concurrency is not None and state.in_flight >= one.max_concurrency,
        "of another tool": one.clients is not None and request.client not in one.clients,
        "denied": not one.models.serves(request.model),
        "refused": one.name in request.refused,
        "resting": one.name in request.resting,
        "held": one.name in request.held,
        "asked": request.only_others and one.name in request.avoid,
        "window": any(
            used(state.used.get((each.key, request.limits), ()), NOW) >= each.limit for each in one.windows
        ),
    }
    return [why for why, holds in said.items() if holds]


@given(pools(), requests())
def test_no_credential_is_chosen_that_cools_is_retired_full_or_denied(
    pool: PoolState, request: CredentialRequest
) -> None:
    found = choose(pool, request, NOW)
    if isinstance(found, Chosen):
        assert hindrances(found.credential, pool.state(found.credential.name), request) == []
        assert found.reason.endswith(".")


@given(pools(), requests())
def test_where_none_is_chosen_each_has_its_reason(pool: PoolState, request: CredentialRequest) -> None:
    found = choose(pool, request, NOW)
    assume(isinstance(found, Unavailable))
    assert isinstance(found, Unavailable)
    assert len(found.keys) == (1 if found.own else len(pool.credentials))
    for one in pool.credentials:
        state = pool.state(one.name)
        capped = one.caps and (state.used or state.learnt)
        assert found.own or capped or hindrances(one, state, request)


@given(pools(), requests())
def test_what_waits_is_no_longer_than_it_has_to_be(pool: PoolState, request: CredentialRequest) -> None:
    """After the stated wait one is free. Places, answers and other keys are not waited for by time."""
    pool = structs.replace(
        pool, credentials=tuple(replace(one, max_concurrency=None) for one in pool.credentials)
    )
    request = structs.replace(request, held=frozenset(), resting=frozenset(), only_others=False, hurried=True)
    found = choose(pool, request, NOW)
    if isinstance(found, Unavailable) and found.wait is not None:
        assert isinstance(choose(pool, request, NOW + found.wait + 0.001), Chosen)


@given(pools(), requests())
def test_a_conversation_is_on_its_key_wherever_that_may_serve(
    pool: PoolState, request: CredentialRequest
) -> None:
    states = {name: structs.replace(one, learnt={}, streaks={}) for name, one in pool.states.items()}
    own = replace(pool.credentials[-1], caps=())
    pool = structs.replace(pool, states=states, exhausted={}, credentials=(*pool.credentials[:-1], own))
    request = structs.replace(
        request, prefer=None, conversation=(own.name,), avoid=frozenset(), only_others=False
    )
    found = choose(pool, request, NOW)
    if not hindrances(own, pool.state(own.name), request):
        assert isinstance(found, Chosen)
        assert found.credential.name == own.name


OUTCOMES: list[Outcome] = [
    Completed(),
    Abandoned(),
    Truncated("reset"),
    Stalled(Timer.FIRST_TOKEN, 60.0),
    Unreachable("reset", sent=True),
    Unreachable("no route", connected=False),
    *(Rejected(400, kind) for kind in Kind),
    *(
        Rejected(429, kind, retry_after=wait)
        for kind in (Kind.RATE, Kind.QUOTA)
        for wait in (0.0, 5.0, 99_999.0)
    ),
]
STEPS = st.lists(
    st.tuples(
        st.booleans(),
        requests(),
        st.sampled_from(OUTCOMES),
        st.sampled_from([0.0, 0.3, 20.0, 700.0, 90_000.0]),
    ),
    max_size=12,
)


@given(pools(), STEPS)
def test_whatever_comes_of_attempts_places_are_given_back_and_no_cooldown_is_shortened(
    pool: PoolState, steps: list[tuple[bool, CredentialRequest, Outcome, float]]
) -> None:
    now, under_way, at_first = NOW, [], {one.name: pool.state(one.name).in_flight for one in pool.credentials}
    for begins, request, outcome, seconds in steps:
        now += seconds
        found = choose(pool, request, now) if begins else None
        if isinstance(found, Chosen):
            name = found.credential.name
            pool, _ = started(pool, found, request, now)
            under_way.append((Attempted(name, request.scope, "w", probe=found.probe), outcome))
        elif under_way:
            before = pool
            pool = settle(pool, *under_way.pop(0), now)
            assert shortened(before, pool, now) == []
        counted = {
            one.name: at_first[one.name] + sum(each.name == one.name for each, _ in under_way)
            for one in pool.credentials
        }
        assert {one.name: pool.state(one.name).in_flight for one in pool.credentials} == counted
    for attempted, outcome in under_way:
        pool = settle(pool, attempted, outcome, now)
    assert {one.name: pool.state(one.name).in_flight for one in pool.credentials} == at_first


def calm(pool: PoolState) -> PoolState:
    """The same with nothing to tell of its credentials."""
    states = {
        name: structs.replace(one, cooldowns={}, streaks={}, learnt={}, retired=False)
        for name, one in pool.states.items()
    }
    return structs.replace(pool, states=states, exhausted={}, fair_cycle=FairCycle.OFF)


EASY_POOLS = pools() | pools().map(calm)


@given(EASY_POOLS, requests() | st.sampled_from(SCOPES).map(CredentialRequest))
def test_rules_that_have_no_say_are_passed_over(pool: PoolState, request: CredentialRequest) -> None:
    """A credential with a limit that it never reaches is asked by all rules."""
    limited = tuple(replace(one, max_concurrency=one.max_concurrency or 10**9) for one in pool.credentials)
    found, asked = (
        choose(pool, request, NOW),
        choose(structs.replace(pool, credentials=limited), request, NOW),
    )
    if isinstance(found, Chosen) and isinstance(asked, Chosen):
        assert (found.credential.name, found.reason) == (asked.credential.name, asked.reason)
        assert (found.asked_last, found.probe, found.wheel is None) == (
            asked.asked_last,
            asked.probe,
            asked.wheel is None,
        )
    else:
        assert found == asked


@given(EASY_POOLS, st.sampled_from(OUTCOMES), st.integers(0, 4))
def test_an_attempt_that_changes_nothing_is_settled_at_once(
    pool: PoolState, outcome: Outcome, which: int
) -> None:
    name = pool.credentials[which % len(pool.credentials)].name
    after = served(pool, name, outcome, NOW)
    if after is not None:
        settled = settle(pool, Attempted(name, SCOPES[0], "w"), outcome, NOW)
        assert after == settled
        assert not is_news(pool, settled)


def test_a_completed_attempt_of_a_pool_without_failures_changes_nothing() -> None:
    pool = taken(PoolState((Credential("a", "vendor"),)), "a")
    after = served(pool, "a", Completed(), NOW)
    assert after is not None
    assert (after.state("a").in_flight, after.state("a").last) == (0, LastOutcome("completed", NOW))
    assert served(pool, "a", Truncated("reset"), NOW) is None


def shortened(before: PoolState, after: PoolState, now: float) -> list[tuple[str, str]]:
    """Cooldowns that were still on and are over sooner."""
    return [
        (name, scope)
        for name, state in before.states.items()
        for scope, one in state.cooldowns.items()
        if one.until > now
        and (scope not in after.state(name).cooldowns or after.state(name).cooldowns[scope].until < one.until)
    ]
