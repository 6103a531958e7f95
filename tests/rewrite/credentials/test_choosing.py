"""Which credential serves, and what is said where none does."""

from dataclasses import replace

import pytest
from msgspec import structs

from rewrite.catalog.providers import Rotation
from rewrite.credentials.choosing import MOST_NAMED, Chosen, Unavailable, account, begun, choose, taken
from rewrite.credentials.credential import Credential, model_filter
from rewrite.credentials.health import MOST_SCOPES
from rewrite.credentials.rules import PLACE_WAIT, CredentialRequest
from rewrite.credentials.state import PoolState, forgiven, resumed
from rewrite.credentials.steering import retired
from rewrite.credentials.windows import Unit, Window
from rewrite.values.outcome import Completed, Kind, Outcome
from tests.rewrite.credentials.pools import (
    DOWN,
    WHO,
    WITH_FALLBACK,
    M,
    after,
    chosen,
    in_turn,
    pool,
    probe,
    refusals_of,
    rejected,
    suspected,
    wait,
)


def test_sequential_stays_on_the_first() -> None:
    assert in_turn(pool("a", "b", "c"), 4) == "aaaa"


def test_the_lower_priority_number_serves_first() -> None:
    assert chosen(pool("a", "b", "c", a=3, b=2, c=2)) == "b"
    assert [each.name for each in pool("a", "b", "c", a=3, b=2, c=2).credentials] == ["b", "c", "a"]


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


def test_a_message_says_of_each_key_why_it_does_not_serve_the_soonest_first() -> None:
    state = after(pool("a", "b"), (0.0, "a", rejected(Kind.AUTH)), (0.0, "b", rejected(Kind.RATE, 20.0)))
    found = choose(state, M, 10.0)
    assert isinstance(found, Unavailable)
    assert found.keys == (
        "vendor/b is rate-limited and is tried again in 10 s",
        "vendor/a was refused (400) and is tried again in 290 s: check the key",
    )


def test_a_message_lists_keys_by_when_all_that_keeps_them_is_over() -> None:
    """A cooldown that is short does not come first, where a window frees up later."""
    full = Credential("full", "vendor", windows=(Window(Unit.REQUESTS, 1, 3600.0),))
    state = structs.replace(pool("short", "full", "long", "gone"))
    listed = tuple(full if one.name == "full" else one for one in state.credentials)
    state = structs.replace(state, credentials=listed)
    state = begun(state, full, M, 0.0)
    state = after(
        state,
        (0.0, "full", rejected(Kind.RATE, 5.0)),
        (0.0, "short", rejected(Kind.RATE, 20.0)),
        (0.0, "long", rejected(Kind.RATE, 90.0)),
    )
    found = choose(retired(state, "gone"), M, 0.0)
    assert isinstance(found, Unavailable)
    short, long, window, gone = found.keys
    assert short == "vendor/short is rate-limited and is tried again in 20 s"
    assert long == "vendor/long is rate-limited and is tried again in 90 s"
    assert window.startswith("vendor/full has used its 1 requests per 3600 s, and may be used again in 36")
    assert gone == "vendor/gone is retired"
    assert found.wait == 20.0


def test_a_message_names_a_few_of_many_keys() -> None:
    names = [f"key-{number}" for number in range(30)]
    found = choose(after(pool(*names), *((0.0, name, rejected(Kind.RATE)) for name in names)), M, 10.0)
    assert isinstance(found, Unavailable)
    assert (len(found.keys), found.keys[-1]) == (MOST_NAMED + 1, "and 22 more")


# -- what the config allows -----------------------------------------------------------------------------


def limited(most: int | None = None, target: int | None = None) -> PoolState:
    """Of a credential `a` with these limits of calls at once, and `b` with none."""
    one = Credential("a", "vendor", max_concurrency=most, target_concurrency=target)
    return PoolState((one, Credential("b", "vendor", 2)))


def test_a_model_that_a_credential_may_not_serve_goes_to_another() -> None:
    only = Credential("a", "vendor", models=model_filter(["gpt-5*", "!*-pro"]))
    state = PoolState((only, Credential("b", "vendor")))
    served = {model: chosen(state, CredentialRequest(f"model:{model}", model=model)) for model in MODELS}
    assert served == {"gpt-5": "a", "gpt-5-pro": "b", "o3": "b"}
    alone = choose(
        structs.replace(state, credentials=(only,)), CredentialRequest("model:o3", model="o3"), 0.0
    )
    assert alone == Unavailable(None)
    assert isinstance(alone, Unavailable)
    assert alone.keys == ("vendor/a does not serve o3 by the config",)


MODELS = ["gpt-5", "gpt-5-pro", "o3"]


@pytest.mark.parametrize("prefer", [None, "a"])
def test_no_credential_serves_more_calls_than_it_may(prefer: str | None) -> None:
    state, request = limited(most=2), CredentialRequest("m", prefer=prefer)
    for name in ("a", "a", "b"):
        assert chosen(state, request) == name
        state = taken(state, name)
    assert chosen(after(state, (0.0, "a", Completed())), request) == "a"
    insists = structs.replace(request, prefer="a", insist=True)
    assert choose(state, insists, 5.0) == Unavailable(PLACE_WAIT, full=True)


def test_a_pool_that_is_full_may_be_waited_for() -> None:
    state = limited(most=1)
    full = structs.replace(taken(state, "a"), credentials=state.credentials[:1])
    found = choose(full, M, 5.0)
    assert found == Unavailable(PLACE_WAIT, full=True)
    assert isinstance(found, Unavailable)
    assert found.keys == ("vendor/a has 1 of 1 calls in flight",)
    cooled = after(taken(full, "a"), (5.0, "a", rejected(Kind.RATE, 9.0)))
    assert choose(cooled, M, 5.0) == Unavailable(9.0), "a place that is freed does not end a cooldown"


def test_from_its_target_on_others_serve_first_but_for_its_own_conversations() -> None:
    state = taken(limited(target=1), "a")
    assert chosen(state) == "b"
    assert chosen(state, CredentialRequest("m", prefer="a")) == "a"
    assert chosen(after(state, (0.0, "b", rejected(Kind.RATE)))) == "a"


def test_what_fails_serves_after_what_is_at_its_target() -> None:
    failing = [(at / 10, *one) for at in range(3) for one in (("b", DOWN), ("a", Completed()))]
    state = taken(after(limited(target=1), *failing), "a")
    assert chosen(state, M, 1.0) == "a"


def test_a_retired_credential_serves_nothing_until_it_is_resumed() -> None:
    state = pool("a", "b")
    state = state.with_state("a", structs.replace(state.state("a"), retired=True))
    assert chosen(state) == chosen(state, CredentialRequest("m", prefer="a")) == "b"
    assert choose(state, CredentialRequest("m", prefer="a", insist=True), 0.0) == Unavailable(None)
    assert account(state) == state.credentials[1]
    assert chosen(resumed(state)) == "a"


# -- the reason -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "request_", "reason"),
    [
        (pool("a"), M, "a is the only one."),
        (pool("a", "b"), M, "a is the first that is free."),
        (pool("a", "b"), CredentialRequest("m", conversation=("b",)), "b serves this conversation."),
        (
            pool("a", "b"),
            CredentialRequest("m", prefer="b", insist=True),
            "b is what the call is bound to.",
        ),
        (
            after(pool("a", "b", "c", rotation=Rotation.ROUND_ROBIN), (0.0, "a", rejected(Kind.RATE))),
            CredentialRequest("m", prefer="a"),
            "b is the next in turn; a is cooling.",
        ),
        (
            pool("a", "b"),
            CredentialRequest("m", avoid=frozenset("a")),
            "b is the first that is free; a was asked already.",
        ),
        (
            after(pool(*"abcdefghijk"), *((0.0, name, rejected(Kind.RATE)) for name in "abcdefghij")),
            M,
            "k is the first that is free; "
            + "; ".join(f"{name} is cooling" for name in "abcdefgh")
            + "; 2 more do not serve.",
        ),
    ],
)
def test_one_sentence_says_why_it_is_this_one_and_why_those_before_it_are_not(
    state: PoolState, request_: CredentialRequest, reason: str
) -> None:
    found = choose(state, request_, 0.0)
    assert isinstance(found, Chosen)
    assert found.reason == reason


# -- what was said of a refused key -------------------------------------------------------------------


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
