"""Which credential serves next, and what an outcome does to it."""

from dataclasses import replace
from functools import reduce

import pytest

from protocols.model.call import Call, Operation
from protocols.model.http import WireResponse
from rewrite.catalog.providers import Rotation
from rewrite.credentials.health import MOST_SCOPES, PAUSE_LONGEST
from rewrite.credentials.rotation import (
    MOST_NAMED,
    WHOLE,
    Attempted,
    Chosen,
    Credential,
    CredentialRequest,
    PoolState,
    Unavailable,
    account,
    choose,
    forgiven,
    probing,
    resumed,
    scope_of,
    serving_order,
    settle,
    taken,
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
from rewrite.values.timer import Timer

M = CredentialRequest("m")
CALL = Call("call", "openai_chat", Operation.GENERATE, "m", True, ())
DOWN = Rejected(400, Kind.SERVER)
NO_CONNECTION = Unreachable("no route", connected=False)
STALLED = Stalled(Timer.FIRST_TOKEN, 60.0)
HARMLESS = [Completed(), Abandoned(), STALLED, Truncated("reset"), Unreachable("refused")]


def pool(*names: str, rotation: Rotation = Rotation.SEQUENTIAL, **priorities: int) -> PoolState:
    credentials = tuple(Credential(name, "vendor", priorities.get(name, 1)) for name in names)
    return PoolState(serving_order(credentials), rotation)


def rejected(kind: Kind, retry_after: float | None = None) -> Rejected:
    return Rejected(400, kind, retry_after=retry_after)


def after(
    state: PoolState, *events: tuple[float, str, Outcome], model: str = "m", talk: str = ""
) -> PoolState:
    """The pool after attempts that ended at these seconds, each of its own conversation unless `talk`."""

    def one(so_far: PoolState, event: tuple[int, tuple[float, str, Outcome]]) -> PoolState:
        number, (at, name, outcome) = event
        return settle(so_far, Attempted(name, model, talk or f"talk {number} at {at}"), outcome, at)

    return reduce(one, enumerate(events), state)


def chosen(state: PoolState, request: CredentialRequest = M, now: float = 0.0) -> str:
    found = choose(state, request, now)
    assert isinstance(found, Chosen), found
    return found.credential.name


def in_turn(state: PoolState, times: int) -> str:
    """The names that serve one after another."""
    names = ""
    for _ in range(times):
        name = chosen(state)
        names, state = names + name, taken(state, name)
    return names


def wait(state: PoolState, now: float, name: str = "") -> float:
    """Seconds until a key is free, or the one of that name."""
    found = choose(replace(state, credentials=state.credentials[:1]) if name else state, M, now)
    assert isinstance(found, Unavailable), found
    assert found.wait is not None
    return found.wait


# -- who serves -----------------------------------------------------------------------------------------


def test_sequential_stays_on_the_first() -> None:
    assert in_turn(pool("a", "b", "c"), 4) == "aaaa"


def test_round_robin_goes_round() -> None:
    assert in_turn(pool("a", "b", "c", rotation=Rotation.ROUND_ROBIN), 7) == "abcabca"


def test_round_robin_passes_over_what_cools() -> None:
    state = after(pool("a", "b", "c", rotation=Rotation.ROUND_ROBIN), (0.0, "b", rejected(Kind.RATE)))
    assert in_turn(state, 4) == "acac"


def test_the_lower_priority_number_serves_first() -> None:
    assert chosen(pool("a", "b", "c", a=3, b=2, c=2)) == "b"
    assert [each.name for each in pool("a", "b", "c", a=3, b=2, c=2).credentials] == ["b", "c", "a"]


def test_round_robin_leaves_the_spare_alone_until_it_is_needed() -> None:
    state = pool("a", "b", "spare", rotation=Rotation.ROUND_ROBIN, spare=2)
    assert in_turn(state, 4) == "abab"
    cooled = after(state, (0.0, "a", rejected(Kind.RATE)), (0.0, "b", rejected(Kind.RATE)))
    assert chosen(cooled) == "spare"


def test_a_preferred_one_serves_if_it_is_free() -> None:
    assert chosen(pool("a", "b"), CredentialRequest("m", prefer="b")) == "b"
    cooled = after(pool("a", "b"), (0.0, "b", rejected(Kind.RATE)))
    assert chosen(cooled, CredentialRequest("m", prefer="b")) == "a"
    assert chosen(pool("a", "b"), CredentialRequest("m", prefer="gone")) == "a"


def test_one_that_is_insisted_on_serves_though_it_cools() -> None:
    cooled = after(pool("a", "b"), (0.0, "b", rejected(Kind.RATE)))
    assert chosen(cooled, CredentialRequest("m", prefer="b", insist=True)) == "b"


def test_one_that_is_insisted_on_serves_or_none_does() -> None:
    assert choose(pool("a", "b"), CredentialRequest("m", prefer="gone", insist=True), 0.0) == Unavailable(
        None
    )
    refused = CredentialRequest("m", prefer="a", insist=True, refused=frozenset("a"))
    assert choose(pool("a", "b"), refused, 0.0) == Unavailable(None)


def test_one_that_refused_the_call_never_serves_it_and_is_not_waited_for() -> None:
    assert chosen(pool("a", "b"), CredentialRequest("m", prefer="a", refused=frozenset("a"))) == "b"
    assert choose(pool("a"), CredentialRequest("m", refused=frozenset("a")), 0.0) == Unavailable(None)
    cooled = after(pool("a", "b"), (0.0, "b", rejected(Kind.RATE, 9.0)))
    assert choose(cooled, CredentialRequest("m", refused=frozenset("a")), 0.0) == Unavailable(9.0)


def test_one_that_rests_is_waited_for() -> None:
    assert chosen(pool("a", "b"), CredentialRequest("m", prefer="a", resting=frozenset("a"))) == "b"
    cooled = after(pool("a"), (0.0, "a", rejected(Kind.RATE, 9.0)))
    assert choose(cooled, CredentialRequest("m", resting=frozenset("a")), 4.0) == Unavailable(5.0)
    assert choose(cooled, CredentialRequest("m", resting=frozenset("a")), 20.0) == Unavailable(0.0)


def test_avoided_ones_serve_only_if_no_other_does() -> None:
    assert chosen(pool("a", "b"), CredentialRequest("m", avoid=frozenset("a"))) == "b"
    assert chosen(pool("a"), CredentialRequest("m", avoid=frozenset("a"))) == "a"
    assert chosen(pool("a", "b"), CredentialRequest("m", prefer="a", avoid=frozenset("a"))) == "b"


def test_the_account_is_always_the_same() -> None:
    cooled = after(pool("a", "b", b=0), (0.0, "b", rejected(Kind.AUTH)))
    assert account(cooled) == Credential("b", "vendor", 0)
    assert account(pool()) is None


def test_an_empty_pool_never_has_one() -> None:
    assert choose(pool(), M, 0.0) == Unavailable(None)


# -- cooldowns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "seconds", "whole"),
    [
        (rejected(Kind.AUTH), 300.0, True),
        (rejected(Kind.AUTH, 5.0), 300.0, True),
        (rejected(Kind.QUOTA), 3600.0, True),
        (rejected(Kind.QUOTA, 90.0), 90.0, True),
        (rejected(Kind.QUOTA, 86_400.0), 86_400.0, True),
        (rejected(Kind.FORBIDDEN), 300.0, False),
        (rejected(Kind.RATE), 60.0, False),
        (rejected(Kind.RATE, 7.0), 7.0, False),
        (rejected(Kind.RATE, 0.0), 1.0, False),
        (rejected(Kind.RATE, 9999.0), 1800.0, False),
    ],
)
def test_how_long_a_rejection_cools_what(outcome: Rejected, seconds: float, whole: bool) -> None:
    state = after(pool("a", "b"), (10.0, "a", outcome))
    assert chosen(state, M, 10.0) == "b"
    assert chosen(state, M, 9.9 + seconds) == "b"
    assert chosen(state, M, 10.0 + seconds) == "a"
    assert chosen(state, CredentialRequest("other"), 10.0) == ("b" if whole else "a")


@pytest.mark.parametrize(
    "outcome", [*HARMLESS, rejected(Kind.REQUEST), rejected(Kind.SERVER), rejected(Kind.BINDING)], ids=str
)
def test_what_cools_nothing(outcome: Outcome) -> None:
    assert chosen(after(pool("a", "b"), (0.0, "a", outcome))) == "a"


@pytest.mark.parametrize("model", ["whole", WHOLE, "operation:models", "model:m", "*", "\0"])
def test_no_model_is_named_like_anything_else(model: str) -> None:
    listing = replace(CALL, operation=Operation.MODELS, model=None)
    assert scope_of(replace(CALL, model=model)) not in {WHOLE, scope_of(listing), scope_of(CALL)}


@pytest.mark.parametrize("kind", [Kind.FORBIDDEN, Kind.RATE])
def test_a_call_without_a_model_cools_its_own_operation_alone(kind: Kind) -> None:
    listing = scope_of(replace(CALL, operation=Operation.MODELS, model=None))
    cooled = after(pool("a", "b"), (0.0, "a", rejected(kind)), model=listing)
    assert chosen(cooled, CredentialRequest(listing)) == "b"
    assert chosen(cooled, CredentialRequest(scope_of(CALL))) == "a"


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA])
def test_a_call_without_a_model_can_still_cool_the_whole_key(kind: Kind) -> None:
    listing = scope_of(replace(CALL, operation=Operation.MODELS, model=None))
    cooled = after(pool("a", "b"), (0.0, "a", rejected(kind)), model=listing)
    assert chosen(cooled, CredentialRequest(scope_of(CALL))) == "b"


def test_a_longer_cooldown_is_never_shortened() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.RATE, 600.0)), (1.0, "a", rejected(Kind.RATE, 2.0)))
    assert choose(state, M, 10.0) == Unavailable(590.0)
    longer = after(state, (20.0, "a", rejected(Kind.RATE, 900.0)))
    assert choose(longer, M, 20.0) == Unavailable(900.0)


def test_a_whole_cooldown_outlasts_that_of_a_model() -> None:
    state = after(pool("a"), (0.0, "a", rejected(Kind.QUOTA, 100.0)), (0.0, "a", rejected(Kind.RATE, 10.0)))
    assert wait(state, 50.0) == 50.0


def test_the_wait_is_that_of_the_soonest() -> None:
    state = after(pool("a", "b"), (0.0, "a", rejected(Kind.RATE, 40.0)), (0.0, "b", rejected(Kind.RATE, 9.0)))
    assert choose(state, M, 1.0) == Unavailable(8.0)


def refusals_of(state: PoolState, *seconds: float) -> PoolState:
    return after(state, *((at, "a", rejected(Kind.AUTH)) for at in seconds))


def test_refusals_in_a_row_back_off_from_five_minutes_to_six_hours_and_never_retire_a_key() -> None:
    state, now, waits = pool("a"), 0.0, []
    for _ in range(9):
        state = refusals_of(state, now)
        waits.append(wait(state, now))
        now += waits[-1]
    assert waits == [300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19_200.0, 21_600.0, 21_600.0]
    assert chosen(state, M, now) == "a"


def test_a_success_starts_the_count_anew() -> None:
    served = after(refusals_of(pool("a"), 0.0, 400.0), (1000.0, "a", Completed()))
    assert wait(refusals_of(served, 1200.0), 1200.0) == 300.0


def test_what_began_before_the_refusal_and_completes_after_it_proves_nothing() -> None:
    state = after(refusals_of(pool("a", "b"), 0.0), (1.0, "a", Completed()))
    assert chosen(state, M, 2.0) == "b"
    assert wait(refusals_of(state, 300.0), 300.0, "a") == 600.0


def test_calls_that_were_under_way_together_are_one_failure_of_their_key() -> None:
    state = refusals_of(pool("a"), 0.0, 0.0, 1.0, 2.0, 299.0)
    assert wait(state, 299.0) == 1.0
    assert wait(refusals_of(state, 400.0), 400.0) == 600.0


def test_another_cooldown_hides_no_failure() -> None:
    state = refusals_of(after(pool("a"), (0.0, "a", rejected(Kind.QUOTA, 500.0))), 0.0, 400.0)
    assert wait(state, 400.0) == 600.0


# -- what was said of a refused key ---------------------------------------------------------------------

WHO = Rejected(401, Kind.AUTH, "who?", None, WireResponse(401, (), b'{"error": {"code": "bad_key"}}'))


def test_when_each_key_is_refused_the_last_refusal_is_given() -> None:
    state = after(pool("a", "b"), (0.0, "a", WHO), (1.0, "b", replace(WHO, status=403, kind=Kind.FORBIDDEN)))
    found = choose(state, M, 2.0)
    assert isinstance(found, Unavailable)
    assert found.refused is not None
    said = found.refused.refusal
    assert (said.credential, said.status, found.refused.wait) == ("vendor/b", 403, 299.0)
    assert chosen(state, CredentialRequest("other"), 2.0) == "b"


@pytest.mark.parametrize("other", [rejected(Kind.RATE, 900.0), Completed()], ids=["rated", "free"])
def test_while_a_key_is_merely_rate_limited_or_free_no_refusal_is_given(other: Outcome) -> None:
    state = after(pool("a", "b"), (0.0, "a", WHO), (1.0, "b", other))
    found = choose(state, CredentialRequest("m", refused=frozenset("b")), 2.0)
    assert isinstance(found, Unavailable)
    assert found.refused is None


def test_a_refusal_that_is_over_is_not_given_again() -> None:
    state = after(pool("a"), (0.0, "a", WHO), (301.0, "a", rejected(Kind.RATE, 9.0)))
    assert choose(state, M, 302.0) == Unavailable(8.0)


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN, Kind.RATE])
def test_resuming_ends_every_cooldown(kind: Kind) -> None:
    state = after(pool("a", "b"), (0.0, "a", rejected(kind, 900.0)), (0.0, "b", rejected(kind, 900.0)))
    assert chosen(resumed(state), M, 1.0) == "a"
    assert chosen(resumed(state, "b"), M, 1.0) == "b"
    assert wait(refusals_of(resumed(refusals_of(pool("a"), 0.0)), 1.0), 1.0) == 300.0


def test_resuming_ends_a_pause_and_forgets_nothing_that_is_under_way() -> None:
    busy = taken(probe(suspected(), DOWN, 2.0), "a")
    assert isinstance(choose(busy, WITH_FALLBACK, 3.0), Unavailable)
    assert choose(resumed(busy), WITH_FALLBACK, 3.0) == Chosen(busy.credentials[0])
    assert resumed(busy).state("a").in_flight == 1


def test_new_settings_forgive_refusals_and_no_rate_limits() -> None:
    state = after(pool("a"), (0.0, "a", WHO), (0.0, "a", rejected(Kind.RATE, 900.0)))
    assert wait(state.with_state("a", forgiven(state.state("a"))), 1.0) == 899.0


def test_the_cooldowns_of_a_key_are_bounded_and_pruned() -> None:
    state = pool("a")
    for number in range(3 * MOST_SCOPES):
        state = after(state, (number / 1000, "a", rejected(Kind.RATE, 30.0)), model=f"m{number}")
    assert len(state.state("a").cooldowns) == MOST_SCOPES
    assert choose(state, CredentialRequest(f"m{3 * MOST_SCOPES - 1}"), 1.0) != Chosen(state.credentials[0])
    assert len(after(state, (100.0, "a", rejected(Kind.RATE))).state("a").cooldowns) == 1


# -- keys that do not know a model ----------------------------------------------------------------------

UNKNOWN = Rejected(404, Kind.MODEL, "no such model", None, WireResponse(404, (), b"no"))


def test_an_unknown_model_rests_no_key_while_none_serves_it() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", UNKNOWN))
    assert chosen(state, M, 1.0) == "a"


def test_once_another_key_serves_it_a_key_rests_for_the_model_that_it_does_not_know() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", Completed()))
    assert [chosen(state, request, 3600.0) for request in (M, CredentialRequest("other"))] == ["b", "a"]
    assert chosen(state, M, 3600.1) == "a"


def test_what_a_key_said_long_ago_of_a_model_is_no_reason_to_rest_it() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (601.0, "b", Completed()))
    assert chosen(state, M, 602.0) == "a"


def test_a_key_that_serves_the_model_after_all_does_not_rest() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (1.0, "a", Completed()), (2.0, "b", Completed()))
    assert chosen(state, M, 3.0) == "a"


def test_when_the_others_are_gone_the_refusal_of_a_key_that_rests_is_given() -> None:
    state = after(pool("a", "b"), (0.0, "a", UNKNOWN), (0.1, "b", Completed()), (0.2, "b", WHO))
    found = choose(replace(state, credentials=state.credentials[:1]), M, 1.0)
    assert isinstance(found, Unavailable)
    assert found.refused is not None
    assert found.refused.refusal.status == 404


# -- keys that fail while others serve ------------------------------------------------------------------


def failing(name: str = "a", times: int = 3, other: Outcome = Completed()) -> PoolState:  # noqa: B008
    """After so many failures of one key, each followed by this outcome of the other one."""
    events = [(at / 10, *one) for at in range(times) for one in ((name, DOWN), ("b", other))]
    return after(pool("a", "b", "c"), *events)


@pytest.mark.parametrize(
    "outcome", [DOWN, STALLED, Truncated("reset"), Unreachable("reset", sent=True)], ids=str
)
def test_a_key_that_fails_three_times_in_a_row_while_others_serve_is_asked_last_for_a_minute(
    outcome: Outcome,
) -> None:
    state = after(failing(times=2), (0.3, "a", outcome))
    assert choose(state, M, 0.3) == Chosen(state.credentials[1], ("a",))
    assert chosen(state, CredentialRequest("m", prefer="a"), 0.3) == "b"
    assert chosen(state, CredentialRequest("m", avoid=frozenset("bc"), only_others=True), 0.3) == "a"
    assert chosen(state, CredentialRequest("m", prefer="a", insist=True), 0.3) == "a"
    assert chosen(state, M, 60.3) == chosen(state, CredentialRequest("other"), 0.3) == "a"


@pytest.mark.parametrize(
    "state",
    [
        failing(times=2),
        failing(other=DOWN),
        failing(other=rejected(Kind.RATE, 0.01)),
        after(failing(times=2), (0.3, "a", Completed()), (0.4, "a", DOWN)),
        after(failing(times=2), (0.3, "a", rejected(Kind.REQUEST)), (0.4, "a", Abandoned())),
        after(failing(times=2), (0.3, "a", Unreachable("no route", connected=False))),
    ],
    ids="two nobody-serves rated success request outage".split(),
)
def test_what_makes_no_key_the_last(state: PoolState) -> None:
    assert chosen(state, M, 30.0) == "a"


def test_the_success_of_another_key_may_come_after_the_third_failure() -> None:
    state = after(pool("a", "b"), *[(float(at), "a", DOWN) for at in range(3)])
    assert chosen(state, M, 2.0) == "a"
    assert chosen(after(state, (3.0, "b", Completed())), M, 62.0) == "b"


def test_one_more_failure_after_the_minute_makes_it_the_last_again_and_a_success_does_not() -> None:
    assert chosen(after(failing(), (61.0, "a", DOWN)), M, 61.0) == "b"
    served = after(failing(), (61.0, "a", Completed()), (62.0, "a", DOWN), (62.1, "b", Completed()))
    assert chosen(served, M, 63.0) == "a"


def test_streaks_are_bounded_and_pruned() -> None:
    state = pool("a")
    for number in range(2 * MOST_SCOPES):
        state = after(state, (number / 1000, "a", STALLED), model=f"m{number}")
    assert len(state.state("a").streaks) == MOST_SCOPES
    assert len(after(state, (9999.0, "a", STALLED)).state("a").streaks) == 1


# -- the pause of a provider ----------------------------------------------------------------------------


WITH_FALLBACK = CredentialRequest("m", fallback=True)
ELSEWHERE = CredentialRequest("other", fallback=True)


def suspected(*events: tuple[float, str, Outcome]) -> PoolState:
    """After faults of two keys in calls of several clients."""
    return after(pool("a", "b"), *(events or [(0.0, "a", DOWN), (1.0, "b", DOWN), (2.0, "a", DOWN)]))


def probe(state: PoolState, outcome: Outcome, now: float) -> PoolState:
    """The next call is the probe, and comes to this."""
    found = choose(state, WITH_FALLBACK, now)
    assert isinstance(found, Chosen)
    assert found.probe
    return settle(
        probing(state, "m", now), Attempted(found.credential.name, "m", "probe", probe=True), outcome, now
    )


def test_after_server_faults_of_two_keys_and_clients_a_single_probe_decides() -> None:
    state = suspected()
    assert choose(state, WITH_FALLBACK, 2.0) == Chosen(state.credentials[0], probe=True)
    asked = probing(state, "m", 2.0)
    assert choose(asked, WITH_FALLBACK, 3.0) == Unavailable(29.0, paused=True)
    assert choose(asked, ELSEWHERE, 3.0) == Chosen(state.credentials[0])
    assert choose(asked, WITH_FALLBACK, 32.0) == Chosen(state.credentials[0], probe=True)


def test_a_probe_that_fails_pauses_the_model_and_one_that_succeeds_ends_it() -> None:
    state = probe(suspected(), DOWN, 2.0)
    assert choose(state, WITH_FALLBACK, 2.0) == Unavailable(30.0, paused=True)
    assert chosen(state, ELSEWHERE, 2.0) == "a"
    assert chosen(probe(state, Completed(), 32.0), WITH_FALLBACK, 32.0) == "a"
    assert probe(state, Completed(), 32.0).health == {}


def test_a_call_without_another_target_is_never_kept_away() -> None:
    state = probe(suspected(), DOWN, 2.0)
    assert choose(state, M, 3.0) == Chosen(state.credentials[0])
    served = after(state, (4.0, "a", Completed()))
    assert choose(served, WITH_FALLBACK, 4.0) == Chosen(state.credentials[0])
    assert choose(after(state, (4.0, "a", DOWN)), WITH_FALLBACK, 4.0) == Unavailable(28.0, paused=True)


@pytest.mark.parametrize("outcome", [rejected(Kind.REQUEST), rejected(Kind.RATE, 1.0), rejected(Kind.AUTH)])
def test_a_probe_that_the_provider_answers_properly_proves_that_it_is_up(outcome: Outcome) -> None:
    assert probe(suspected(), outcome, 2.0).health == {}


@pytest.mark.parametrize(
    "outcome", [Abandoned(), STALLED, Truncated("reset"), Unreachable("", connected=False)]
)
def test_a_probe_that_says_nothing_is_followed_by_another(outcome: Outcome) -> None:
    found = choose(probe(suspected(), outcome, 2.0), WITH_FALLBACK, 2.0)
    assert isinstance(found, Chosen)
    assert found.probe


@pytest.mark.parametrize(
    "events",
    [
        [(0.0, "a", DOWN), (1.0, "b", DOWN)],
        [(0.0, "a", DOWN), (1.0, "a", DOWN), (2.0, "a", DOWN)],
        [(0.0, "a", DOWN), (1.0, "b", DOWN), (61.0, "b", DOWN)],
        [(0.0, "a", DOWN), (1.0, "b", DOWN), (2.0, "a", Completed()), (3.0, "b", DOWN)],
        [(0.0, "a", STALLED), (1.0, "b", STALLED), (2.0, "a", STALLED)],
        [(0.0, "a", NO_CONNECTION), (1.0, "b", NO_CONNECTION), (2.0, "a", NO_CONNECTION)],
        [(0.0, "a", rejected(Kind.REQUEST)), (1.0, "b", rejected(Kind.REQUEST)), (2.0, "a", DOWN)],
    ],
    ids="two one-key spread success silence outage requests".split(),
)
def test_what_makes_no_provider_suspected(events: list[tuple[float, str, Outcome]]) -> None:
    found = choose(suspected(*events), WITH_FALLBACK, events[-1][0])
    assert isinstance(found, Chosen)
    assert not found.probe


def test_three_kinds_of_one_client_s_request_are_not_three_witnesses() -> None:
    events = [(float(at), "ab"[at % 2], DOWN) for at in range(9)]
    found = choose(after(pool("a", "b"), *events, talk="one client"), WITH_FALLBACK, 9.0)
    assert isinstance(found, Chosen)
    assert not found.probe


def test_pauses_double_up_to_their_longest_until_a_success() -> None:
    state, now, pauses = suspected(), 2.0, []
    for _ in range(6):
        state = probe(state, DOWN, now)
        found = choose(state, WITH_FALLBACK, now)
        assert isinstance(found, Unavailable)
        assert found.wait is not None
        pauses.append(found.wait)
        now += found.wait
    assert pauses == [30.0, 60.0, 120.0, 240.0, PAUSE_LONGEST, PAUSE_LONGEST]
    served = after(probe(state, Completed(), now), *[(now, name, DOWN) for name in "aba"])
    assert choose(probe(served, DOWN, now), WITH_FALLBACK, now) == Unavailable(30.0, paused=True)


def test_what_is_known_of_models_is_bounded_and_pruned() -> None:
    state = pool("a")
    for number in range(2 * MOST_SCOPES):
        state = after(state, (number / 1000, "a", DOWN), model=f"m{number}")
    assert len(state.health) == MOST_SCOPES
    assert len(after(state, (9999.0, "a", DOWN)).health) == 1


# -- what is under way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [*HARMLESS, rejected(Kind.RATE), rejected(Kind.SERVER)], ids=str)
def test_every_outcome_ends_what_was_under_way(outcome: Outcome) -> None:
    busy = taken(taken(pool("a"), "a"), "a")
    assert busy.state("a").in_flight == 2
    once = after(busy, (0.0, "a", outcome))
    assert once.state("a").in_flight == 1
    assert after(once, (0.0, "a", outcome), (0.0, "a", outcome)).state("a").in_flight == 0


def test_a_message_says_of_each_key_why_it_does_not_serve_the_soonest_first() -> None:
    state = after(pool("a", "b"), (0.0, "a", rejected(Kind.AUTH)), (0.0, "b", rejected(Kind.RATE, 20.0)))
    found = choose(state, M, 10.0)
    assert isinstance(found, Unavailable)
    assert found.keys == (
        "vendor/b is rate-limited and is tried again in 10 s",
        "vendor/a was refused (400) and is tried again in 290 s: check the key",
    )


def test_a_message_names_a_few_of_many_keys() -> None:
    names = [f"key-{number}" for number in range(30)]
    found = choose(after(pool(*names), *((0.0, name, rejected(Kind.RATE)) for name in names)), M, 10.0)
    assert isinstance(found, Unavailable)
    assert (len(found.keys), found.keys[-1]) == (MOST_NAMED + 1, "and 22 more")


def test_a_pool_in_which_nothing_changes_stays_the_same_object() -> None:
    used = after(taken(pool("a", "b"), "a"), (0.0, "a", Completed()))
    assert used.with_state("a", used.state("a")) is used
    assert used.without_health("m") is used
