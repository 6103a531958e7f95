"""Attempts as flows of their own: what is in them, and how they and the client's flow know one another."""

import pytest
from mitmproxy.flow import Error

from addons.mitm.flows import TRUNCATED_KEY
from addons.mitm.messages import request_of
from addons.mitm.sink import BODY_LIMIT
from addons.records.record import record_of
from addons.upstream.failure import Cause, CauseKind
from addons.views.attempts import Attempts, Watched
from protocols.model.http import Head
from tests.addons.views.watching import KEY, LEASE, REACHED, TARGET, Seen, client_flow, upstream_request

SSE = Head(200, (("content-type", "text/event-stream"), ("x-echo", KEY)), "OK")


def watched(attempts: Attempts) -> Watched:
    flow = client_flow()
    return attempts.watch(flow, "c1", request_of(flow.request))


@pytest.mark.parametrize(("is_listed", "as_flows"), [(False, False), (True, False), (False, True)])
def test_calls_are_watched_where_somebody_looks(is_listed: bool, as_flows: bool) -> None:
    assert Seen().attempts(is_listed=is_listed, as_flows=as_flows).is_on is (is_listed or as_flows)


def test_with_a_list_alone_the_receiver_stays_the_same() -> None:
    seen = Seen()
    attempts = seen.attempts(as_flows=False)
    one = watched(attempts)
    assert one.asks(1, TARGET, LEASE, upstream_request(one._flow), seen) is seen
    assert [sent.number for sent in attempts.requests.of(one._flow)] == [1]
    assert seen.shown == []


def test_an_attempt_that_is_answered() -> None:
    seen = Seen()
    one = watched(seen.attempts())
    receiver = one.asks(1, TARGET, LEASE, upstream_request(one._flow), seen)
    (flow,) = seen.shown
    receiver.sent()
    receiver.started(SSE, REACHED)
    receiver.received(b"data: you are ")
    receiver.received(KEY.encode())
    receiver.closed(None)
    one._flow.metadata["rotator"]["attempts"] = [{"attempt": 1, "outcome": "completed"}]
    one.over()
    assert seen.came == ["sent", SSE, b"data: you are ", KEY.encode(), None]
    assert seen.saved == [flow]
    assert flow.response is not None
    assert flow.response.content == b"data: you are " + b"*" * len(KEY)
    assert KEY not in repr(flow.get_state())
    assert flow.server_conn.peername == REACHED.peer
    assert flow.comment == f"attempt 1 of c1: {TARGET.label} with main: completed"
    assert record_of(flow)["client_flow"] == one._flow.id
    assert record_of(one._flow)["attempt_flows"] == [flow.id]
    assert flow.error is None


def test_an_attempt_that_failed_and_one_that_was_cancelled() -> None:
    seen = Seen()
    one = watched(seen.attempts())
    first = one.asks(1, TARGET, LEASE, upstream_request(one._flow), seen)
    first.closed(Cause(CauseKind.CONNECT, "cannot connect"))
    one.asks(2, TARGET, LEASE, upstream_request(one._flow, b"{}"), seen)
    one._flow.metadata["rotator"]["attempts"] = [{"attempt": 1, "outcome": "unreachable"}]
    one.over()
    failed, cancelled = seen.saved
    assert isinstance(failed.error, Error)
    assert failed.error.msg == "cannot connect"
    assert failed.comment.endswith("main: unreachable")
    assert cancelled.error is not None
    assert cancelled.error.msg == "cancelled"
    assert cancelled.request.content == b"{}"
    one.over()
    assert len(seen.saved) == 2


def test_no_more_of_an_answer_is_kept_than_of_any() -> None:
    seen = Seen()
    one = watched(seen.attempts())
    receiver = one.asks(1, TARGET, LEASE, upstream_request(one._flow), seen)
    receiver.started(SSE, REACHED)
    receiver.received(b"x" * BODY_LIMIT)
    receiver.received(b"y")
    receiver.closed(None)
    (flow,) = {id(each): each for each in seen.shown}.values()
    assert flow.response is not None
    assert flow.response.content == b"x" * BODY_LIMIT
    assert flow.metadata[TRUNCATED_KEY] is True
