"""The view "As sent": what each attempt was sent, and never the default."""

from mitmproxy.contentviews import Metadata

from addons.mitm.messages import request_of
from addons.secrets.redaction import Redactor
from addons.views.as_sent import LONGEST_BODY, AsSent
from addons.views.sent import SentRequests, sent_request
from tests.addons.views.watching import LEASE, TARGET, client_flow, upstream_request


def test_each_attempt_with_its_head_and_its_body() -> None:
    requests, flow = SentRequests(), client_flow()
    for number, body in enumerate((None, b'{"model":"other"}', b'{"model":"other"}', b"no json"), start=1):
        request = upstream_request(flow, body)
        requests.note(flow, sent_request(number, TARGET, LEASE, request, request_of(flow.request)))
    view = AsSent(requests, Redactor())
    text = view.prettify(b"", Metadata(flow))
    assert view.render_priority(b"", Metadata(flow)) < 0
    assert f"asked: {TARGET.label} (openai_chat) with main" in text
    assert 'request: "POST ' in text
    assert "body: as the client sent it" in text
    assert 'body:\n{\n  "model": "other"\n}\n' in text
    assert "body: as that of attempt 2" in text
    assert "body:\nno json\n" in text


def test_a_long_body_is_shortened() -> None:
    requests, flow = SentRequests(), client_flow()
    request = upstream_request(flow, b"[" + b"1," * LONGEST_BODY)
    requests.note(flow, sent_request(1, TARGET, LEASE, request, request_of(flow.request)))
    text = AsSent(requests, Redactor()).prettify(b"", Metadata(flow))
    assert f"# ... {LONGEST_BODY + 1:,} bytes more" in text


def test_what_is_not_known_is_said() -> None:
    view = AsSent(SentRequests(), Redactor())
    assert "Of this flow nothing is" in view.prettify(b"", Metadata(client_flow()))
    assert "Of this flow nothing is" in view.prettify(b"", Metadata())
