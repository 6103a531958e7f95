"""Limits of credentials: what they count, whom they keep from serving, and what is learnt of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocols.model.call import Call, Operation
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from rewrite.catalog.providers import Rotation
from rewrite.credentials.allowance import Memo
from rewrite.credentials.choosing import Chosen, Unavailable, begun, choose, taken
from rewrite.credentials.credential import Credential
from rewrite.credentials.health import MOST_SCOPES
from rewrite.credentials.learning import LONGEST_WAIT, Reported, asked_to_wait
from rewrite.credentials.limits import allowance, amounts, counted, learnt, limited, used_shares, uses
from rewrite.credentials.rules import CredentialRequest
from rewrite.credentials.settling import Attempted, settle
from rewrite.credentials.state import WHOLE, CredentialState, PoolState
from rewrite.credentials.windows import Cap, Period, Unit, Window
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected, Unreachable

NOW = 1_795_000_000.0
M, OTHER = CredentialRequest("model:m", model="m"), CredentialRequest("model:other", model="other")
GROUPED = CredentialRequest("model:gpt-5-pro", model="gpt-5-pro", quota="group:gpt-5")
THREE = Window(Unit.REQUESTS, 3, 60.0)
TOKENS = Window(Unit.TOKENS, 100, Period.DAY)
COST = Window(Unit.COST, 1.0, Period.MONTH)
REQUESTS_LEFT = Reported("x-ratelimit-requests", Unit.REQUESTS, 8, 10, NOW + 60)
WEEK = Reported("anthropic-ratelimit-unified-7d", Unit.PERCENT, 100, 100, NOW + 9000, whole=True)


def pool(**of: Credential) -> PoolState:
    return PoolState(tuple(replace(one, name=name) for name, one in of.items()))


def one(*windows: Window, caps: tuple[Cap, ...] = ()) -> Credential:
    return Credential("a", "vendor", windows=windows, caps=caps)


def serve(
    state: PoolState,
    outcome: Outcome | None = None,
    request: CredentialRequest = M,
    now: float = NOW,
    **used: float,
) -> tuple[str, PoolState]:
    """Who serves, and the pool after that."""
    found = choose(state, request, now)
    if isinstance(found, Unavailable):
        return f"none for {found.wait:.0f} s", state
    name = found.credential.name
    state = begun(taken(state, name, found.wheel), found.credential, request, now)
    attempted = Attempted(
        name,
        request.scope,
        "w",
        quota=request.quota,
        used={Unit(unit): amount for unit, amount in used.items()},
    )
    return name, settle(state, attempted, outcome or Completed(), now)


def served(state: PoolState, times: int, request: CredentialRequest = M) -> list[str]:
    names = []
    for _ in range(times):
        name, state = serve(state, request=request)
        names.append(name)
    return names


# -- windows ----------------------------------------------------------------------------------------------


def test_a_full_window_lets_the_next_one_serve_and_is_per_model() -> None:
    state = pool(a=one(THREE), b=one())
    assert served(state, 5) == ["a", "a", "a", "b", "b"]
    for _ in range(3):
        _, state = serve(state)
    assert served(state, 1, OTHER) == ["a"]


def test_without_another_the_wait_is_until_some_of_it_is_free_and_says_why() -> None:
    state = pool(a=one(THREE))
    for _ in range(3):
        _, state = serve(state)
    found = choose(state, M, NOW + 20)
    assert isinstance(found, Unavailable)
    assert found.wait == pytest.approx(41, abs=1)
    (why,) = found.keys
    assert why == f"vendor/a has used its 3 requests per 60 s, and may be used again in {found.wait:.0f} s"
    assert isinstance(choose(state, M, NOW + 61), Chosen)


def test_what_never_left_is_not_counted() -> None:
    state = pool(a=one(THREE))
    for _ in range(9):
        name, state = serve(state, Unreachable("no route", connected=False))
        assert name == "a"
    assert served(state, 4) == ["a", "a", "a", "none for 61 s"]


def test_tokens_and_costs_are_counted_when_they_are_known() -> None:
    state = pool(a=one(TOKENS), b=one(COST), c=one())
    name, state = serve(state, tokens=60, cost=0.5)
    assert name == "a"
    name, state = serve(state, tokens=60, cost=0.5)
    assert name == "a"
    assert served(state, 1) == ["b"]
    name, state = serve(state, tokens=60, cost=1.5)
    assert served(state, 1) == ["c"]


def test_models_of_a_quota_group_share_a_window() -> None:
    state = pool(a=one(THREE), b=one())
    for request in (GROUPED, structs.replace(GROUPED, scope="model:gpt-5"), GROUPED):
        name, state = serve(state, request=request)
        assert name == "a"
    assert served(state, 1, structs.replace(GROUPED, scope="model:gpt-5-mini")) == ["b"]
    assert served(state, 1, M) == ["a"]


def test_windows_are_bounded_however_many_models_clients_name() -> None:
    credential, state = one(Window(Unit.REQUESTS, 3, Period.DAY)), CredentialState()
    for _ in range(3):
        state = counted(credential, state, "model:real", {Unit.REQUESTS: 1}, NOW)
    for number in range(3 * MOST_SCOPES):
        state = counted(credential, state, f"model:{number}", {Unit.REQUESTS: 1}, NOW)
        assert len(state.used) <= MOST_SCOPES
    assert limited(credential, state, "model:real", NOW)


# -- caps -------------------------------------------------------------------------------------------------

CAPS = [
    (Cap(Unit.REQUESTS, 3), 2, 3),
    (Cap(Unit.REQUESTS, -8), 1, 2),
    (Cap(Unit.REQUESTS, share=0.5), 4, 5),
]


@pytest.mark.parametrize(("cap", "below", "reached"), CAPS)
def test_a_cap_is_of_the_limit_that_the_provider_reports(cap: Cap, below: int, reached: int) -> None:
    credential = one(caps=(cap,))
    for used, is_reached in ((below, False), (reached, True)):
        state = learnt(CredentialState(), M.scope, [replace(REQUESTS_LEFT, used=used)], NOW)
        found = limited(credential, state, M.scope, NOW)
        assert (found is not None) is is_reached
        assert limited(credential, state, OTHER.scope, NOW) is None
        assert limited(credential, state, M.scope, NOW + 60) is None
        if found:
            assert found.until == NOW + 60


def test_a_fixed_cap_holds_by_days_while_nothing_is_reported() -> None:
    state = pool(a=one(caps=(Cap(Unit.REQUESTS, 2),)), b=one())
    assert served(state, 3) == ["a", "a", "b"]


def test_a_share_is_capped_of_a_subscription_too() -> None:
    credential = one(caps=(Cap(Unit.REQUESTS, share=0.5),))
    state = learnt(CredentialState(), M.scope, [replace(WEEK, used=49)], NOW)
    assert limited(credential, state, M.scope, NOW) is None
    state = learnt(state, M.scope, [replace(WEEK, used=50)], NOW)
    assert limited(credential, state, OTHER.scope, NOW)


@pytest.mark.parametrize(
    "cap", [Cap(Unit.REQUESTS, share=0.5), Cap(Unit.REQUESTS, 3), Cap(Unit.REQUESTS, -8)]
)
def test_a_wait_is_no_limit_of_which_a_share_may_be_used(cap: Cap) -> None:
    """It was about something else than a call, and keeps nobody from serving."""
    state = learnt(CredentialState(), "", [asked_to_wait(1e300, NOW)], NOW)
    capped = one(caps=(cap,))
    found = PoolState((capped,), states={capped.name: state})
    assert isinstance(choose(found, M, NOW), Chosen)
    assert max(each.resets_in for each in uses(capped, state, NOW)) == LONGEST_WAIT


def test_requests_under_way_count_in_what_was_reported() -> None:
    """Until its answer says, a request is one of those that are left."""
    state = pool(a=one(caps=(Cap(Unit.REQUESTS, -1),)), b=one())
    known = learnt(CredentialState(), M.scope, [REQUESTS_LEFT], NOW)
    state = state.with_state("a", known)
    assert served(state, 2) == ["a", "b"]


# -- learning ---------------------------------------------------------------------------------------------


def test_what_is_used_up_is_asked_last_and_still_asked_where_all_are() -> None:
    state = pool(a=one(), b=one())
    spent = learnt(CredentialState(), M.scope, [replace(REQUESTS_LEFT, used=10)], NOW)
    state = state.with_state("a", spent)
    assert served(state, 1) == ["b"]
    assert served(state, 1, OTHER) == ["a"]
    assert served(state, 1, structs.replace(M, prefer="a")) == ["b"]
    assert serve(state, now=NOW + 60)[0] == "a"
    assert served(state.with_state("b", spent), 1) == ["a"]


def test_a_limit_of_all_models_is_learnt_without_a_scope_and_no_other_is() -> None:
    state = learnt(CredentialState(), "", [REQUESTS_LEFT, WEEK], NOW)
    assert [*state.learnt] == [(WEEK.name, WHOLE)]
    assert learnt(CredentialState(), "", [REQUESTS_LEFT], NOW) == CredentialState()


@pytest.mark.parametrize(
    ("asked", "serves"),
    [
        (structs.replace(M, scope="model:claude-opus-4-5", model="claude-opus-4-5"), "b"),
        (structs.replace(M, scope="model:Claude-OPUS-5", model="Claude-OPUS-5"), "b"),
        (structs.replace(M, scope="model:claude-sonnet-4-6", model="claude-sonnet-4-6"), "a"),
        (structs.replace(GROUPED, quota="group:opus"), "a"),
        (structs.replace(M, scope="model:*opus", model="*opus"), "b"),
        (GROUPED, "a"),
    ],
)
def test_a_limit_of_some_models_is_learnt_without_a_scope_and_holds_for_these(
    asked: CredentialRequest, serves: str
) -> None:
    spent = learnt(CredentialState(), "", [replace(WEEK, whole=False, models="*opus*")], NOW)
    assert served(pool(a=one(), b=one()).with_state("a", spent), 1, asked) == [serves]


def test_what_is_learnt_is_bounded_and_forgets_what_was_reset() -> None:
    state = CredentialState()
    for number in range(3 * MOST_SCOPES):
        state = learnt(state, f"model:{number}", [REQUESTS_LEFT], NOW)
    assert len(state.learnt) == MOST_SCOPES
    later = replace(REQUESTS_LEFT, resets_at=NOW + 200)
    assert [*learnt(state, "model:x", [later], NOW + 60).learnt] == [(later.name, "model:x")]


def test_balanced_is_by_what_is_left() -> None:
    state = structs.replace(pool(a=one(THREE), b=one(), c=one()), rotation=Rotation.BALANCED)
    state = state.with_state("c", learnt(CredentialState(), M.scope, [REQUESTS_LEFT], NOW))
    credential = state.credentials[0]
    assert allowance(credential, state.state("a"), M.scope, NOW).used == 0.0
    name, state = serve(state)
    assert name == "a"
    assert allowance(credential, state.state("a"), M.scope, NOW).used == 0.33
    assert served(state, 2) == ["b", "b"]
    assert served(structs.replace(state, credentials=state.credentials[::2]), 1) == ["a"]


@pytest.mark.parametrize(
    ("limited", "reported"),
    [
        (one(THREE), []),
        (one(caps=(Cap(Unit.REQUESTS, 3),)), []),
        (one(caps=(Cap(Unit.REQUESTS, share=0.5),)), [replace(REQUESTS_LEFT, used=1)]),
        (one(), [replace(REQUESTS_LEFT, used=1)]),
    ],
    ids="window own_cap cap reported".split(),
)
def test_balanced_is_by_any_limit_that_one_of_them_has(limited: Credential, reported: list[Reported]) -> None:
    state = structs.replace(pool(a=limited, b=one()), rotation=Rotation.BALANCED)
    state = state.with_state("a", learnt(CredentialState(), M.scope, reported, NOW))
    if not reported:
        name, state = serve(state)
        assert name == "a"
    assert served(state, 4) == ["b"] * 4


def test_what_is_left_of_a_cap_is_less_than_its_provider_says() -> None:
    a, b = one(caps=(Cap(Unit.REQUESTS, share=0.5),)), one()
    state = structs.replace(pool(a=a, b=b), rotation=Rotation.BALANCED)
    for name, already in (("a", 3.0), ("b", 5.0)):
        found = [replace(REQUESTS_LEFT, used=already)]
        state = state.with_state(name, learnt(CredentialState(), M.scope, found, NOW))
    used = [allowance(each, state.state(each.name), M.scope, NOW).used for each in state.credentials]
    assert used == [0.6, 0.5]
    assert served(state, 1) == ["b"]
    none = replace(a, caps=(Cap(Unit.REQUESTS, -10),))
    assert allowance(none, state.state("a"), M.scope, NOW).used == 1.0


# -- quota groups -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.RATE, Kind.QUOTA, Kind.MODEL_QUOTA])
def test_rate_and_quota_cool_the_group(kind: Kind) -> None:
    state = pool(a=one(), b=one())
    name, state = serve(state, Rejected(429, kind, retry_after=600.0), GROUPED)
    assert name == "a"
    assert served(state, 1, structs.replace(GROUPED, scope="model:gpt-5")) == ["b"]
    assert served(state, 1, M) == ["a"]


def test_a_forbidden_model_cools_no_group() -> None:
    _, state = serve(pool(a=one(), b=one()), Rejected(403, Kind.FORBIDDEN), GROUPED)
    assert served(state, 1, structs.replace(GROUPED, scope="model:gpt-5")) == ["a"]


def test_the_group_of_a_model_is_that_of_the_first_glob() -> None:
    state = structs.replace(pool(), groups=(("gpt-5*-mini", "small"), ("gpt-5*", "gpt-5")))
    assert [state.quota_of(name) for name in ("gpt-5-mini", "GPT-5-pro", "gpt-4o", None)] == [
        "group:small",
        "group:gpt-5",
        "",
        "",
    ]


def test_a_group_that_served_again_is_no_longer_cooled() -> None:
    _, state = serve(pool(a=one()), Rejected(429, Kind.RATE, retry_after=10.0), GROUPED)
    assert "group:gpt-5" in state.state("a").cooldowns
    _, state = serve(state, request=GROUPED, now=NOW + 11)
    assert state.state("a").cooldowns == {}


# -- what an attempt used ---------------------------------------------------------------------------------

CALL = Call("c", "openai_chat", Operation.GENERATE, "m", True, (), text_bytes=400)


def progress(usage: Usage | None, characters: int = 0) -> Progress:
    return Progress(usage=usage, characters=characters)


def test_tokens_are_those_that_the_provider_counted_else_an_estimate() -> None:
    def tokens(said: Progress, call: Call = CALL, before: Usage | None = None) -> float:
        return amounts(one(TOKENS), call, said, before).get(Unit.TOKENS, -1)

    assert tokens(progress(Usage(30, 12))) == 42
    assert tokens(progress(Usage(30), 80)) == 50
    assert tokens(progress(None, 80)) == 120
    assert tokens(progress(Usage(60, 24)), before=Usage(30, 12)) == 42
    assert tokens(progress(None), replace(CALL, operation=Operation.COUNT_TOKENS)) == 0


def test_costs_are_those_that_the_provider_stated() -> None:
    assert amounts(one(COST), CALL, progress(Usage(3, 4, cost=0.25)), None)[Unit.COST] == 0.25
    assert amounts(one(COST), CALL, progress(Usage(3, 4, cost=0.25)), Usage(cost=0.2))[
        Unit.COST
    ] == pytest.approx(0.05)
    assert amounts(one(COST), CALL, progress(Usage(3, 4, cost=0.25)), Usage(1, 1))[Unit.COST] == 0.25
    assert amounts(one(COST), CALL, progress(Usage(3, 4)), None)[Unit.COST] == 0.0


def test_nothing_is_computed_where_nothing_is_counted() -> None:
    assert amounts(one(THREE), CALL, progress(Usage(3, 4)), None) == {}
    assert amounts(one(TOKENS), CALL, None, None) == {}


# -- for a reader -----------------------------------------------------------------------------------------


def test_all_limits_are_shown_with_their_source() -> None:
    credential = one(THREE, caps=(Cap(Unit.TOKENS, 100),))
    state = counted(credential, CredentialState(), M.scope, {Unit.REQUESTS: 1, Unit.TOKENS: 7}, NOW)
    state = learnt(state, M.scope, [WEEK], NOW)
    found = {(use.source, use.unit, use.scope, use.used, use.limit) for use in uses(credential, state, NOW)}
    assert found == {
        ("config", Unit.REQUESTS, "model:m", 1, 3),
        ("cap", Unit.TOKENS, "model:m", 7, 100),
        (WEEK.name, Unit.PERCENT, WHOLE, 100, 100),
    }


# -- what is kept between two looks -------------------------------------------------------------------------


def test_what_is_left_is_worked_out_again_only_when_something_changed() -> None:
    credential, state = one(THREE, TOKENS), CredentialState()
    state = counted(credential, state, M.scope, {Unit.REQUESTS: 3}, NOW)
    found = allowance(credential, state, M.scope, NOW)
    assert found.limited is not None
    assert allowance(credential, state, M.scope, found.limited.until - 0.1) is found
    assert allowance(credential, structs.replace(state, in_flight=1), M.scope, NOW) is found
    assert allowance(credential, state, M.scope, found.limited.until).limited is None
    assert allowance(one(), state, M.scope, NOW).limited is None
    for model in range(100):
        allowance(credential, state, f"model:{model}", NOW)
    assert len(state.allowances) < 20
    assert state == structs.replace(state, allowances=Memo())


def test_one_credential_does_not_take_the_place_of_what_was_worked_out_of_another() -> None:
    state = pool(a=one(THREE), b=one(THREE))
    for _ in range(6):
        _, state = serve(state)
    a, b = state.credentials
    found = allowance(a, state.state("a"), M.scope, NOW)
    allowance(b, state.state("b"), M.scope, NOW)
    assert allowance(a, state.state("a"), M.scope, NOW) is found


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["use", "report", "look"]), st.integers(0, 90)),
    max_size=30,
)


@given(STEPS)
def test_what_is_kept_is_what_comes_out_without_it(steps: list[tuple[str, str, int]]) -> None:
    capped = one(Window(Unit.REQUESTS, 2, 120.0), caps=(CAPS[0][0],))
    state, now = pool(a=one(THREE, TOKENS), b=capped), NOW
    for name, step, seconds in steps:
        now += seconds
        credential, known = next(c for c in state.credentials if c.name == name), state.state(name)
        match step:
            case "use":
                known = counted(credential, known, M.scope, {Unit.REQUESTS: 1, Unit.TOKENS: seconds}, now)
            case "report":
                limit = replace(REQUESTS_LEFT, used=seconds % 10, resets_at=now + seconds)
                known = learnt(known, M.scope, [limit], now)
        state = state.with_state(name, known)
        fresh = {key: structs.replace(each, allowances=Memo()) for key, each in state.states.items()}
        fresh_pool = structs.replace(state, states=fresh, shares=Memo())
        assert used_shares(state, M.scope, now) == used_shares(fresh_pool, M.scope, now)
        kept = allowance(credential, state.state(name), M.scope, now)
        assert kept.limited == allowance(credential, fresh_pool.state(name), M.scope, now).limited
