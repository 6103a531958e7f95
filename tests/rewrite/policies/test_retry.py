"""Before the commit point: what the last outcome of a call leads to."""

from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Operation
from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from rewrite.policies.retry import LONGEST_BACKOFF, decide, give_up, latest_start, spent
from rewrite.values.decision import GiveUp, History, Retry
from rewrite.values.outcome import Abandoned, Completed, Kind, Outcome, Rejected, Stalled, Unreachable
from rewrite.values.timeouts import Limits
from rewrite.values.timer import Timer
from tests.rewrite.histories import AWAY, CUT, LOST, STALLED, history, rejected

SERVER = rejected(Kind.SERVER, 500)


def elsewhere(otherwise: Retry | GiveUp) -> Retry:
    """To a free key that was not asked yet, at once; where there is none, otherwise."""
    return Retry(rotate=True, fresh=True, otherwise=otherwise)


def gives_back(outcome: Rejected) -> GiveUp:
    assert outcome.answer
    return GiveUp(outcome.answer)


def fault(decision: Retry | GiveUp) -> Fault:
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    return decision.answer


@pytest.mark.parametrize(
    ("outcome", "decision"),
    [
        (STALLED, Retry(rotate=True, fresh=True)),
        (CUT, Retry(rotate=True, fresh=True)),
        (LOST, elsewhere(Retry(delay=0.5, fresh=True))),
        (AWAY, Retry(delay=0.5, fresh=True)),
        (Unreachable("reset", sent=True), elsewhere(Retry(delay=0.5, fresh=True))),
        (SERVER, elsewhere(Retry(delay=0.5, fresh=True))),
        (rejected(Kind.SERVER, 503, 7.0), elsewhere(Retry(delay=7.0, fresh=True))),
        (rejected(Kind.SERVER, 503, 0.1), elsewhere(Retry(delay=0.5, fresh=True))),
        (rejected(Kind.AUTH, 401), Retry(rotate=True)),
        (rejected(Kind.QUOTA, 402), Retry(rotate=True)),
        (rejected(Kind.MODEL_QUOTA, 429), Retry(rotate=True)),
        (rejected(Kind.TOO_LARGE, 429), Retry(rotate=True)),
        (rejected(Kind.FORBIDDEN, 403), Retry(rotate=True)),
        (rejected(Kind.RATE, 429), Retry(rotate=True)),
        (rejected(Kind.REQUEST), gives_back(rejected(Kind.REQUEST))),
        (rejected(Kind.BINDING), gives_back(rejected(Kind.BINDING))),
    ],
)
def test_after_the_first_attempt_of_a_pool(outcome: Outcome, decision: Retry | GiveUp) -> None:
    assert decide(history(("a", outcome)), 1.0) == decision


def test_what_a_person_has_to_mend_ends_the_call_at_once() -> None:
    refused = Unreachable("the upstream proxy refused with 407", connected=False, lasting=True)
    said = fault(decide(history(("a", refused)), 1.0))
    assert (said.status, said.should_retry) == (502, False)
    assert said.message == "no answer: the upstream proxy refused with 407 (1 attempt)"


OVER = (
    rejected(Kind.QUOTA, 402),
    rejected(Kind.MODEL_QUOTA, 429),
    rejected(Kind.TOO_LARGE, 429, body=b"big"),
)


def test_after_three_keys_whose_quotas_do_not_allow_it_a_call_is_too_large() -> None:
    two = history(("a", OVER[0]), ("b", OVER[1]))
    assert decide(two, 2.0) == Retry(rotate=True)
    decision = decide(history(("a", OVER[0]), ("b", OVER[1]), ("c", OVER[2])), 3.0)
    assert decision == replace(
        gives_back(OVER[2]), detail="3 keys are over a quota: the call may be too large"
    )


def test_keys_that_are_over_their_rate_or_refused_say_nothing_of_the_size() -> None:
    rate, auth = rejected(Kind.RATE, 429), rejected(Kind.AUTH, 401)
    so_far = history(("a", rate), ("b", auth), ("c", rate), ("d", OVER[0]), ("e", OVER[1]))
    assert decide(so_far, 5.0) == Retry(rotate=True)
    assert decide(history(("a", OVER[0]), ("a", OVER[0]), ("b", OVER[0])), 3.0) == Retry(rotate=True)


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN, Kind.RATE])
def test_without_a_pool_a_rejection_of_the_key_goes_back(kind: Kind) -> None:
    assert decide(history(("a", rejected(kind)), pooled=False), 1.0) == gives_back(rejected(kind))


@pytest.mark.parametrize("outcome", [STALLED, CUT])
def test_without_a_pool_nothing_rotates(outcome: Outcome) -> None:
    assert decide(history(("a", outcome), pooled=False), 1.0) == Retry(fresh=True)


def test_server_faults_back_off_longer_each_time() -> None:
    again = Retry(delay=1.0, fresh=True)
    assert decide(history(("a", SERVER), ("a", LOST)), 2.0) == elsewhere(again)
    patient = replace(history(*[("a", SERVER)] * 7), limits=Limits(max_attempts=9))
    assert decide(patient, 7.0) == elsewhere(Retry(delay=LONGEST_BACKOFF, fresh=True))


@pytest.mark.parametrize(
    ("so_far", "decision"),
    [
        (["a"] * 2, elsewhere(Retry(delay=1.0, fresh=True))),
        (["a"] * 3, elsewhere(gives_back(SERVER))),
        (list("abcde"), elsewhere(gives_back(SERVER))),
        (list("abcdef"), gives_back(SERVER)),
    ],
)
def test_free_keys_are_asked_twice_as_often_as_attempts_may_cost_time(
    so_far: list[str], decision: Retry | GiveUp
) -> None:
    assert decide(history(*[(name, SERVER) for name in so_far]), 6.0) == decision


def test_a_lost_connection_may_have_been_paid_for_and_is_counted_in_full() -> None:
    assert isinstance(decide(history(("a", LOST), ("b", LOST)), 2.0), Retry)
    assert fault(decide(history(("a", LOST), ("b", LOST), ("c", LOST)), 3.0)).status == 502


def test_while_another_target_waits_two_attempts_are_made_whatever_keys_are_free() -> None:
    one = replace(history(("a", SERVER)), others_wait=True)
    two = replace(history(("a", SERVER), ("b", SERVER)), others_wait=True)
    assert decide(one, 1.0) == elsewhere(Retry(delay=0.5, fresh=True))
    assert decide(two, 2.0) == gives_back(SERVER)


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 0.5), (0.5, 0.4375), (0.999, 0.375125)])
def test_the_back_off_loses_up_to_a_quarter(jitter: float, delay: float) -> None:
    decision = decide(replace(history(("a", SERVER)), jitter=jitter), 1.0)
    assert decision == elsewhere(Retry(delay=delay, fresh=True))


def test_attempts_that_cost_time_are_counted() -> None:
    twice: list[tuple[str, Outcome]] = [("a", STALLED), ("b", CUT)]
    assert decide(history(*twice), 2.0) == Retry(rotate=True, fresh=True)
    assert fault(decide(history(*twice, ("c", LOST)), 3.0)).status == 502


def test_rejections_of_keys_are_not_counted() -> None:
    refused = [(key, rejected(Kind.RATE, 429)) for key in "abcdef"]
    assert decide(history(*refused), 6.0) == Retry(rotate=True)
    assert decide(history(*refused, ("g", STALLED)), 7.0) == Retry(rotate=True, fresh=True)


@pytest.mark.parametrize("outcome", [STALLED, CUT, LOST, AWAY, SERVER], ids=str)
def test_a_target_that_fails_is_asked_twice_while_others_wait(outcome: Outcome) -> None:
    once, twice = (replace(history(*[("a", outcome)] * times), others_wait=True) for times in (1, 2))
    assert isinstance(decide(once, 1.0), Retry)
    assert isinstance(decide(twice, 2.0), GiveUp)
    assert isinstance(decide(replace(twice, others_wait=False), 2.0), Retry)


@pytest.mark.parametrize(("turn_ends", "again"), [(60.0, True), (59.9, False)])
def test_a_target_is_not_asked_again_for_longer_than_its_turn(turn_ends: float, again: bool) -> None:
    (slow,) = history(("a", STALLED)).ended
    so_far = replace(history(), ended=(structs.replace(slow, sent=0.0, at=30.0),), turn_ends=turn_ends)
    assert isinstance(decide(replace(so_far, others_wait=True), 30.0), Retry) is again
    assert isinstance(decide(so_far, 30.0), Retry)


def test_nothing_costly_begins_after_the_deadline() -> None:
    one = history(("a", SERVER))
    assert latest_start(one) == 121.0
    assert decide(one, 120.5) == elsewhere(Retry(delay=0.5, fresh=True))
    assert decide(one, 121.0) == elsewhere(gives_back(SERVER))
    assert decide(one, 121.1) == gives_back(SERVER)


def test_nothing_costly_begins_after_the_clients_patience() -> None:
    assert decide(history(("a", STALLED), latest_start=50.0), 50.0) == Retry(rotate=True, fresh=True)
    assert fault(decide(history(("a", STALLED), latest_start=50.0), 50.1)).status == 504


def test_a_response_that_takes_too_long_is_not_asked_for_again() -> None:
    found = fault(decide(history(("a", Stalled(Timer.RESPONSE, 600.0))), 600.0))
    assert (found.status, found.should_retry) == (504, False)


def test_acting_tools_are_not_asked_twice_on_silence_but_on_a_fault() -> None:
    assert fault(decide(history(("a", STALLED), acting=True), 1.0)).status == 504
    assert decide(history(("a", SERVER), acting=True), 1.0) == elsewhere(Retry(delay=0.5, fresh=True))


@pytest.mark.parametrize("operation", [Operation.COUNT_TOKENS, Operation.EMBEDDINGS, Operation.MODELS])
def test_other_operations_are_retried_once_and_only_when_unreachable(operation: Operation) -> None:
    assert decide(history(("a", SERVER), operation=operation), 1.0) == gives_back(SERVER)
    assert fault(decide(history(("a", STALLED), operation=operation), 1.0)).status == 504
    assert decide(history(("a", LOST), operation=operation), 1.0) == Retry(delay=0.5, fresh=True)
    assert fault(decide(history(("a", LOST), ("a", LOST), operation=operation), 2.0)).status == 502
    assert decide(history(("a", rejected(Kind.RATE)), operation=operation), 1.0) == Retry(rotate=True)


@pytest.mark.parametrize("outcome", [STALLED, CUT, Unreachable("reset", sent=True)], ids=str)
def test_what_may_be_at_work_with_acting_tools_is_not_asked_twice(outcome: Outcome) -> None:
    assert fault(decide(history(("a", outcome), acting=True), 1.0)).should_retry is False
    assert isinstance(decide(history(("a", outcome)), 1.0), Retry)


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("acting", [True, False])
def test_what_never_connected_is_asked_again_until_the_deadline(operation: Operation, acting: bool) -> None:
    limits = Limits(max_attempts=1)
    found = []
    for times in range(1, 8):
        so_far = history(*[("a", AWAY)] * times, operation=operation, acting=acting)
        found.append(decide(replace(so_far, limits=limits), float(times)))
    assert found == [Retry(delay=delay, fresh=True) for delay in (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)]
    assert fault(decide(history(("a", AWAY), operation=operation), 121.0)).should_retry


def test_what_never_connected_is_not_counted() -> None:
    so_far = history(("a", STALLED), *[("a", AWAY)] * 5, ("a", STALLED))
    assert decide(so_far, 7.0) == Retry(rotate=True, fresh=True)
    assert decide(history(("a", SERVER), *[("a", AWAY)] * 5), 6.0) == Retry(delay=8.0, fresh=True)


def test_the_back_off_begins_anew_with_each_outage() -> None:
    so_far = history(*[("a", AWAY)] * 5, ("a", SERVER), ("a", AWAY))
    assert decide(so_far, 7.0) == Retry(delay=0.5, fresh=True)


def test_a_key_that_was_named_before_is_asked_for_nothing_where_nothing_is_sent() -> None:
    rated = rejected(Kind.RATE, 429)
    assert spent(history(("a", rated), ("a", AWAY), ("a", AWAY))) == 0
    assert spent(history(("a", rated), ("a", LOST))) == 1


def test_acting_tools_are_asked_again_where_the_request_was_never_sent() -> None:
    assert decide(history(("a", LOST), acting=True), 1.0) == elsewhere(Retry(delay=0.5, fresh=True))


@pytest.mark.parametrize("kind", [Kind.AUTH, Kind.QUOTA, Kind.FORBIDDEN, Kind.RATE])
def test_rotation_for_nothing_ends_with_the_clients_patience(kind: Kind) -> None:
    said = rejected(kind, 401)
    assert decide(history(("a", said), latest_start=50.0), 50.0) == Retry(rotate=True)
    assert decide(history(("a", said), latest_start=50.0), 50.1) == gives_back(said)


ODD = Rejected(200, Kind.FOREIGN, "not of this protocol", None, WireResponse(200, (), b"<html>"))
TOLD = "not of this protocol; passed on as it came"


def test_a_foreign_answer_is_asked_for_once_more_and_then_passed_on() -> None:
    assert decide(history(("a", ODD)), 1.0) == Retry(delay=0.5, rotate=True, fresh=True)
    assert decide(history(("a", ODD), ("b", ODD)), 2.0) == GiveUp(WireResponse(200, (), b"<html>"), TOLD)
    assert decide(history(("a", ODD), pooled=False), 1.0) == Retry(delay=0.5, fresh=True)


@pytest.mark.parametrize("operation", [Operation.COUNT_TOKENS, Operation.EMBEDDINGS, Operation.MODELS])
def test_so_it_is_where_the_answer_is_cheap(operation: Operation) -> None:
    assert isinstance(decide(history(("a", ODD), operation=operation), 1.0), Retry)


def test_a_foreign_answer_is_paid_for() -> None:
    """What the call may not pay for twice is passed on at once."""
    assert spent(history(("a", ODD))) == 1
    passed_on = GiveUp(WireResponse(200, (), b"<html>"), TOLD)
    assert decide(replace(history(("a", ODD)), limits=Limits(max_attempts=1)), 1.0) == passed_on
    assert decide(history(("a", ODD), acting=True), 1.0) == passed_on
    assert decide(history(("a", ODD)), 121.0) == passed_on


def test_a_foreign_answer_that_no_client_is_given_is_a_fault_that_is_not_multiplied() -> None:
    found = fault(decide(history(*[("a", replace(ODD, answer=None))] * 2), 2.0))
    assert (found.status, found.should_retry) == (502, False)


def test_asking_a_key_again_after_a_wait_is_counted() -> None:
    rated = rejected(Kind.RATE, 429)
    so_far: list[tuple[str, Outcome]] = [("a", rated), ("a", rated), ("a", STALLED)]
    assert decide(history(*so_far), 3.0) == Retry(rotate=True, fresh=True)
    assert decide(history(*so_far, ("b", STALLED)), 4.0) == gives_back(rated)


def test_a_wait_that_does_not_fit_is_left_to_its_key() -> None:
    busy = rejected(Kind.SERVER, 503, 200.0, headers=(("retry-after", "200"),))
    again = Retry(delay=0.5, rotate=True, fresh=True)
    assert decide(history(("a", busy)), 1.0) == elsewhere(again)
    spent = history(("a", busy), ("b", busy), ("c", busy))
    assert decide(spent, 3.0) == elsewhere(GiveUp(WireResponse(503, (), b"no")))


def test_nobody_waits_for_a_target_while_another_can_be_asked() -> None:
    busy = rejected(Kind.SERVER, 503, 20.0)
    assert isinstance(decide(replace(history(("a", busy), pooled=False), others_wait=True), 1.0), GiveUp)
    assert decide(history(("a", busy), pooled=False), 1.0) == Retry(delay=20.0, fresh=True)


def test_without_a_pool_a_wait_that_does_not_fit_goes_back_at_once() -> None:
    busy = rejected(Kind.SERVER, 503, 200.0, headers=(("retry-after", "200"),))
    assert decide(history(("a", busy), pooled=False), 1.0) == gives_back(busy)


@pytest.mark.parametrize("outcome", [Completed(), Abandoned()], ids=str)
def test_only_a_failure_is_decided_about(outcome: Outcome) -> None:
    with pytest.raises(AssertionError, match="nothing to decide"):
        decide(history(("a", outcome)), 1.0)


BOUND = rejected(Kind.BINDING, body=b"bound")


@pytest.mark.parametrize(
    ("so_far", "decision"),
    [
        (history(("a", BOUND), former="b"), Retry(credential="b")),
        (history(("a", BOUND), former="a"), gives_back(BOUND)),
        (history(("a", BOUND)), gives_back(BOUND)),
        (history(("a", rejected(Kind.RATE, 429)), ("b", BOUND)), gives_back(rejected(Kind.RATE, 429))),
        (history(("a", STALLED), ("b", BOUND)), gives_back(BOUND)),
        (history(("a", SERVER), ("b", BOUND)), Retry(delay=0.5, credential="a", fresh=True)),
        (history(("a", SERVER), ("b", BOUND), ("a", SERVER), ("c", BOUND)), gives_back(SERVER)),
        (history(("a", BOUND), ("b", BOUND), former="b"), gives_back(BOUND)),
        (history(("b", BOUND), ("b", BOUND), former="a"), gives_back(BOUND)),
    ],
    ids="former same none rotated silent failed failed-twice both once".split(),
)
def test_bound_content_goes_back_to_its_credential(so_far: History, decision: Retry | GiveUp) -> None:
    assert decide(so_far, 3.0) == decision


def test_the_providers_last_answer_goes_back() -> None:
    assert give_up(history(("a", SERVER), ("b", rejected(Kind.RATE, 429)), ("c", STALLED))) == GiveUp(
        WireResponse(429, (), b"no")
    )


@pytest.mark.parametrize(
    ("outcome", "status", "words", "should_retry"),
    [
        (STALLED, 504, "no answer within 60 s (1 attempt)", False),
        (Stalled(Timer.THROUGHPUT, 10.0), 504, "the provider's answer came too slowly (1 attempt)", False),
        (AWAY, 502, "refused (1 attempt)", True),
        (LOST, 502, "reset (1 attempt)", True),
        (Unreachable("reset", sent=True), 502, "reset (1 attempt)", False),
        (CUT, 502, "reset (1 attempt)", False),
        (Rejected(200, Kind.SERVER, "a page"), 502, "a page (1 attempt)", False),
    ],
)
def test_clients_are_asked_not_to_multiply_only_what_may_be_paid_for(
    outcome: Outcome, status: int, words: str, should_retry: bool
) -> None:
    found = fault(give_up(history(("a", outcome))))
    assert (found.status, found.should_retry) == (status, should_retry)
    assert words in found.message
    before = history(("a", STALLED), ("a", outcome))
    assert not fault(give_up(before)).should_retry


def test_what_another_target_may_be_paid_for_is_not_multiplied_either() -> None:
    stalled = history(("a", STALLED)).ended
    assert not fault(give_up(replace(history(("a", AWAY)), elsewhere=stalled))).should_retry


UNKNOWN = rejected(Kind.MODEL, 404)


def test_an_unknown_model_is_asked_of_each_other_key_and_the_first_answer_goes_back() -> None:
    first = rejected(Kind.MODEL, 404, body=b"first")
    wanted = Retry(rotate=True, otherwise=gives_back(first))
    assert decide(history(("a", first)), 1.0) == wanted
    assert decide(history(("a", first), *[(name, UNKNOWN) for name in "bcdefghi"]), 9.0) == wanted
    assert decide(history(("a", first), ("b", UNKNOWN)), 122.0) == gives_back(first)


def test_without_a_pool_an_unknown_model_goes_back_at_once() -> None:
    assert decide(history(("a", UNKNOWN), pooled=False), 1.0) == gives_back(UNKNOWN)


def test_a_key_that_does_not_know_the_model_is_not_asked_again_in_the_call() -> None:
    assert history(("a", UNKNOWN), ("b", SERVER)).refused == frozenset("a")
