"""What is kept of the request of an attempt: all but the key, and no body that is the client's own."""

import gc

from addons.mitm.messages import request_of
from addons.mitm.sink import BODY_LIMIT
from addons.views.sent import SentRequests, sent_request
from tests.addons.views.watching import KEY, LEASE, TARGET, client_flow, upstream_request


def test_the_key_is_left_out() -> None:
    flow = client_flow()
    sent = sent_request(2, TARGET, LEASE, upstream_request(flow), request_of(flow.request))
    assert KEY not in repr(sent)
    assert sent.headers == (("host", "elsewhere.example"), ("x-mine", "1"))
    assert (sent.number, sent.credential, sent.path) == (2, "main", "/v1/chat/completions")


def test_a_body_is_kept_where_it_is_another_and_not_more_than_a_flow_keeps() -> None:
    flow = client_flow()
    received = request_of(flow.request)
    assert sent_request(1, TARGET, LEASE, upstream_request(flow), received).body is None
    other = sent_request(1, TARGET, LEASE, upstream_request(flow, b"x" * (BODY_LIMIT + 1)), received)
    assert other.body == b"x" * BODY_LIMIT


def test_it_is_forgotten_with_its_flow() -> None:
    requests, flow = SentRequests(), client_flow()
    sent = sent_request(1, TARGET, LEASE, upstream_request(flow), request_of(flow.request))
    requests.note(flow, sent)
    assert requests.of(flow) == [sent]
    del flow
    gc.collect()
    assert not requests._of
