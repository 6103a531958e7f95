"""The ledger of a call's attempts: what is released, and which one is next."""

from msgspec import structs

from protocols.model.errors import Fault
from rewrite.exchange.ledger import Ledger
from rewrite.values.decision import GiveUp, Retry
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
    NoneFree,
    Release,
    SetTimer,
)
from rewrite.values.outcome import Kind, Outcome, Truncated, Unreachable
from rewrite.values.timer import Timer
from tests.rewrite.histories import CUT, STALLED, rejected
from tests.rewrite.scenes import (
    CHAT,
    TERMS,
    Spec,
    call,
    own,
    targets,
    timed,
)

OTHER = structs.replace(TERMS, jitter=0.5)
LIMITED, REFUSED = rejected(Kind.RATE, 429), rejected(Kind.AUTH, 401)


def ledger(*specs: Spec) -> Ledger:
    """Of a client that waits for 590 s."""
    return Ledger(
        call(), CHAT, targets(call(), CHAT, *specs or (TERMS,)), lambda one: one.terms.timing.patience
    )


def ended(found: Ledger, credential: str, outcome: Outcome, now: float = 1.0) -> Ledger:
    found.acquired(Acquired(1, credential, None))
    found.sent(now)
    assert list(found.end(outcome, now))
    return found


def test_what_was_held_is_given_back_once() -> None:
    found = ledger()
    found.acquired(Acquired(1, "a", None))
    assert list(found.end(CUT, 1.0)) == [CancelUpstream(1), Release(1, CUT)]
    assert list(found.end(CUT, 2.0)) == []
    assert [(one.number, one.credential, one.at) for one in found.ended] == [(1, "a", 1.0)]


def test_nothing_is_given_back_that_was_never_held() -> None:
    found = ledger()
    assert list(found.end(CUT, 1.0)) == []
    assert found.ended == ()


def test_another_one_at_the_same_target() -> None:
    found = ended(ledger(), "a", STALLED)
    decision = found.decision(1.0)
    assert decision == Retry(rotate=True, fresh=True)
    found.again(Retry(rotate=True, fresh=True))
    assert (found.current.number, found.current.fresh, found.target.index) == (2, True, 0)
    assert found.acquire == Acquire(2, avoid=frozenset("a"))


def test_the_next_target_knows_nothing_of_the_keys_of_the_last() -> None:
    found = ended(ledger(TERMS, OTHER), "a", LIMITED)
    assert found.skip_to_next(1.0)
    assert (found.target.index, found.terms, found.current.number) == (1, OTHER, 2)
    assert found.acquire == Acquire(2, target=1)
    assert not found.skip_to_next(1.0)


def test_an_attempt_without_a_credential_was_none() -> None:
    found = ledger(TERMS, OTHER)
    assert found.skip_to_next(1.0)
    assert found.acquire == Acquire(1, target=1)


def test_a_fault_of_the_request_is_not_passed_on_to_the_next_target() -> None:
    found = ended(ledger(TERMS, OTHER), "a", rejected(Kind.REQUEST))
    assert not found.skip_to_next(1.0)
    assert (found.target.index, found.current.number) == (0, 1)


def test_a_rest_is_asked_of_the_next_target_and_has_all_the_time() -> None:
    found = ended(ledger(TERMS, OTHER), "a", Truncated("reset"))
    assert found.current.latest == 590.0
    found.begin_continuation()
    assert found.acquire == Acquire(2, target=1)
    assert list(found.current.arm(Timer.FIRST_EVENT, 30.0, 1000.0)) == [SetTimer(2, Timer.FIRST_EVENT, 30.0)]


def test_a_rest_is_asked_of_the_next_target_also_if_that_answers_whole() -> None:
    """What comes whole is sent as the remainder of the stream."""
    whole = own(call(stream=False), CHAT, OTHER)
    found = ended(ledger(TERMS, whole, OTHER), "a", CUT)
    found.begin_continuation()
    assert found.acquire == Acquire(2, target=1)


def test_a_rest_is_asked_of_another_key_and_of_none_that_refused() -> None:
    found = ended(ledger(), "a", REFUSED)
    found.again(Retry(rotate=True))
    ended(found, "b", CUT)
    found.begin_continuation()
    assert found.acquire == Acquire(3, avoid=frozenset("ab"), refused=frozenset("a"))


def test_whether_another_one_would_follow() -> None:
    found = ledger()
    found.acquired(Acquired(1, "a", None))
    assert found.would_follow(CUT, 1.0)
    assert not found.would_follow(CUT, 591.0)
    assert found.ended == ()


def test_after_the_wait_for_a_key_one_that_rested_may_be_asked() -> None:
    found = ended(ledger(), "a", LIMITED)
    found.again(Retry(rotate=True))
    assert found.acquire.resting == frozenset("a")
    in_line = found.without_credential(NoneFree(2, 5.0), 1.0)
    assert in_line == AwaitCredential(2, structs.replace(found.acquire, resting=frozenset()), 120.0)
    assert found.acquire.resting == frozenset()


def test_a_wait_that_does_not_fit_leaves_the_wish_as_it_is() -> None:
    found = ended(ledger(), "a", LIMITED)
    found.again(Retry(rotate=True))
    decision = found.without_credential(NoneFree(2, 900.0), 1.0)
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.answer, Fault)
    assert found.acquire.resting == frozenset("a")


def test_each_silence_doubles_the_next_wait_and_the_request_leaves_once() -> None:
    found = ended(ledger(timed(TERMS, first_event=30.0)), "a", STALLED)
    found.again(Retry(rotate=True))
    assert list(found.sent(1.0)) == [SetTimer(2, Timer.FIRST_EVENT, 60.0)]
    assert list(found.sent(2.0)) == []
    assert found.current.sent_at == 1.0


def test_a_rest_is_waited_for_in_full_though_the_turn_of_its_target_is_long_over() -> None:
    timed_out = timed(TERMS, first_event=300.0)
    found = ended(ledger(timed_out, timed_out), "a", CUT)
    found.begin_continuation()
    assert list(found.sent(1000.0)) == [SetTimer(2, Timer.FIRST_EVENT, 300.0)]
    ended(found, "b", CUT, now=1001.0)
    found.begin_continuation()
    assert list(found.sent(2000.0)) == [SetTimer(3, Timer.FIRST_EVENT, 300.0)]


def test_what_came_without_an_answer() -> None:
    assert ledger().unanswered(None, 0.0) == Unreachable("closed without an answer")
