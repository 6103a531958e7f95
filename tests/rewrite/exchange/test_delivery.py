"""What the client has got: its head, its bytes, heartbeats, the record, or one whole answer of ours."""

from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from protocols.model.progress import Progress
from rewrite.exchange.attempt import Attempt
from rewrite.exchange.delivery import (
    LINGER,
    Delivery,
    Over,
    Waiting,
    cut_answer,
    error_response,
    misfit,
    waiting,
)
from rewrite.exchange.ledger import Ledger
from rewrite.targets.reading import Silence
from rewrite.values.decision import GiveUp
from rewrite.values.events import CALL, SendData, SendHeaders, SetTimer
from rewrite.values.outcome import Unreachable
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.rewrite.scenes import CHAT, DONE, SSE, TERMS, call, error_body, finishes, own, says, targets, timed

TIMING = timed(TERMS, heartbeat=15.0, hold=120.0).timing
HEARTBEAT = SendData(1, b"\n", heartbeat=True)


def delivery(began: float = 0.0) -> Delivery:
    return Delivery(call(), CHAT, TIMING, began)


def held(data: bytes) -> Attempt:
    """An attempt with an answer that begins with `data`."""
    attempt = Attempt(1, stall=Silence(30.0))
    current = attempt.reading = own(call(), CHAT).reading(SSE)
    for segment in current.feed(data):
        current.hold(segment)
    return attempt


def test_a_call_that_is_streamed_is_held_for_so_long() -> None:
    assert list(delivery().start()) == [SetTimer(CALL, Timer.HOLD, 120.0)]
    assert list(Delivery(call(stream=False), CHAT, TIMING, 0.0).start()) == []


def test_the_commit_sends_all_that_was_held_and_watches_both_silences() -> None:
    found, attempt = delivery(), held(says("Hi"))
    assert attempt.reading
    assert list(found.commit(attempt, attempt.reading, 7.0)) == [
        SendHeaders(1, SSE),
        SendData(1, says("Hi")),
        SetTimer(1, Timer.STALL, 30.0),
        SetTimer(1, Timer.HEARTBEAT, 15.0),
    ]
    assert (found.committed, found.head, found.first_token) == (True, SSE, 7.0)


def test_after_the_last_frame_the_connection_may_stay_for_a_while() -> None:
    found, attempt = delivery(), held(finishes("stop") + DONE)
    assert attempt.reading
    assert list(found.commit(attempt, attempt.reading, 7.0))[-1] == SetTimer(1, Timer.LINGER, LINGER)
    assert found.first_token is None


def test_only_silence_is_broken() -> None:
    found = delivery()
    assert found.send(1, b"x", 10.0) == (SendData(1, b"x"),)
    assert list(found.heartbeat(1, 15.0)) == [SetTimer(1, Timer.HEARTBEAT, 10.0)]
    assert list(found.heartbeat(1, 25.0)) == [HEARTBEAT, SetTimer(1, Timer.HEARTBEAT, 15.0)]
    found.drained(39.0)
    assert list(found.heartbeat(1, 40.0)) == [SetTimer(1, Timer.HEARTBEAT, 14.0)]


def test_nothing_to_say_is_no_life() -> None:
    found = delivery()
    assert found.send(1, b"", 10.0) == ()
    assert next(found.heartbeat(1, 15.0)) == HEARTBEAT


def test_the_record_counts_from_the_beginning_of_the_call() -> None:
    found, attempt = delivery(began=100.0), held(says("Hi"))
    assert attempt.reading
    assert list(found.commit(attempt, attempt.reading, 103.0))
    ledger = Ledger(call(), CHAT, targets(call(), CHAT, TERMS), found.latest)
    assert ledger.latest == 690.0
    summary = found.summary(Over("truncated", "cut", 200, SSE), ledger, Progress(), 110.0)
    assert (summary.began, summary.seconds, summary.first_token) == (100.0, 10.0, 3.0)
    assert (summary.end, summary.estimated, summary.status) == ("truncated", True, 200)


ANSWER = WireResponse(429, (("content-type", "application/json"),), error_body("slow down"))


def promised(*, begun: bool) -> Waiting:
    found = waiting(call(), CHAT, timed(TERMS, heartbeat=15.0, heartbeat_before_commit=True).timing)
    assert not begun or isinstance(next(found.fired()), SendHeaders)
    return found


def test_the_provider_s_own_answer_goes_back_as_it_was() -> None:
    found = error_response(GiveUp(ANSWER), CHAT, promised(begun=False))
    assert (found.head.status, found.body, found.over.status) == (429, ANSWER.body, 429)
    assert found.over.detail == "the provider's own answer"


def test_a_fault_of_ours_is_worded_by_the_protocol() -> None:
    found = error_response(GiveUp(Fault(504, "timeout", "no answer")), CHAT, promised(begun=False))
    assert (found.head.status, found.over.status, found.over.detail) == (504, 504, "no answer")
    assert b"no answer" in found.body


def test_where_a_stream_was_promised_it_goes_inside_and_is_kept_as_it_was() -> None:
    found = error_response(GiveUp(ANSWER), CHAT, promised(begun=True))
    assert found.body.startswith(b"data: ")
    assert (found.over.status, found.over.body) == (200, ANSWER.body)


def test_a_page_where_a_stream_was_promised_is_an_error_inside_it() -> None:
    page = WireResponse(200, (("content-type", "text/html"),), b"<html>")
    found = error_response(GiveUp(page), CHAT, promised(begun=True))
    assert b'"error"' in found.body
    assert b"not one of this protocol" in found.body
    assert b"<html>" not in found.body


def test_a_whole_answer_is_no_stream() -> None:
    found = misfit(CHAT, promised(begun=True))
    assert b"answered whole" in found.body
    assert found.over.end == "rejected"


def test_nothing_is_recorded_of_an_answer_that_never_began() -> None:
    assert cut_answer(None, Unreachable("reset"), OnTruncation.AUTO) is None
