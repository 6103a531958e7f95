"""What a call is answered with that no attempt was committed to."""

from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from rewrite.exchange.uncommitted import misfit, partial, refusal
from rewrite.exchange.waiting import Waiting, waiting
from rewrite.values.decision import GiveUp
from rewrite.values.events import SendHeaders
from rewrite.values.outcome import Unreachable
from rewrite.values.timeouts import OnTruncation
from tests.rewrite.scenes import CHAT, TERMS, call, error_body, timed

ANSWER = WireResponse(429, (("content-type", "application/json"),), error_body("slow down"))


def promised(*, begun: bool) -> Waiting:
    found = waiting(call(), CHAT, timed(TERMS, heartbeat=15.0, heartbeat_before_commit=True).timing)
    assert not begun or isinstance(next(found.fired()), SendHeaders)
    return found


def test_the_provider_s_own_answer_goes_back_as_it_was() -> None:
    found = refusal(GiveUp(ANSWER), CHAT, promised(begun=False))
    assert (found.head.status, found.told, found.over.status) == (429, ANSWER.body, 429)
    assert found.over.words == "the provider's own answer"


def test_a_fault_of_ours_is_worded_by_the_protocol() -> None:
    found = refusal(GiveUp(Fault(504, "timeout", "no answer")), CHAT, promised(begun=False))
    assert (found.head.status, found.over.status, found.over.words) == (504, 504, "no answer")
    assert b"no answer" in found.told


def test_where_a_stream_was_promised_it_is_told_inside_and_kept_as_it_was() -> None:
    found = refusal(GiveUp(ANSWER), CHAT, promised(begun=True))
    assert found.told.startswith(b"data: ")
    assert (found.over.status, found.over.body) == (200, ANSWER.body)


def test_a_page_where_a_stream_was_promised_is_an_error_inside_it() -> None:
    page = WireResponse(200, (("content-type", "text/html"),), b"<html>")
    found = refusal(GiveUp(page), CHAT, promised(begun=True))
    assert b'"error"' in found.told
    assert b"not one of this protocol" in found.told
    assert b"<html>" not in found.told


def test_a_whole_answer_is_no_stream() -> None:
    found = misfit(CHAT, promised(begun=True))
    assert b"answered whole" in found.told
    assert found.over.end == "rejected"


def test_nothing_is_told_of_an_answer_that_never_began() -> None:
    assert partial(None, Unreachable("reset"), OnTruncation.AUTO) is None
