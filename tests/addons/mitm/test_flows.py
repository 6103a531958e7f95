"""Flows from their dispatch to their end: kills, and what other add-ons may make of an answer of ours."""

from collections.abc import Callable
from http.client import HTTPConnection

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons.mitm.dispatch import Forwarding, Responder
from addons.mitm.flows import CLEAN_AFTER, CONNECTION, QUIET, FlowRegistry, Framing
from tests.addons.mitm.calls import BROKEN, ask, get, settled
from tests.addons.mitmdump import H2Client, Mitmdump, plain_client
from tests.vendor import VendorThread, whole

CHUNKED = {"x-id": "1", "transfer-encoding": "chunked"}


def answer(status: int = 200, headers: dict[str, str] | None = None) -> http.Response:
    response = http.Response.make(status, b"", {})
    response.headers = http.Headers([(k.encode(), v.encode()) for k, v in (headers or CHUNKED).items()])
    return response


def test_an_edit_of_other_headers_and_of_the_status_stays() -> None:
    head = answer()
    framing = Framing.of(head)
    head.headers["x-id"], head.status_code = "2", 403
    assert framing.restored(head) is head
    assert (head.status_code, list(head.headers.fields)) == (
        403,
        [(b"x-id", b"2"), (b"transfer-encoding", b"chunked")],
    )


@pytest.mark.parametrize(
    "edited",
    [{"Content-Length": "5"}, {"content-length": "5", **CHUNKED}, {"Transfer-Encoding": "gzip, chunked"}, {}],
)
def test_the_framing_is_as_it_was(edited: dict[str, str]) -> None:
    found = Framing.of(answer()).restored(answer(403, {"x-new": "1", **edited}))
    assert found.status_code == 403
    assert found.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in found.headers
    assert found.headers["x-new"] == "1"


def test_none_stays_none() -> None:
    found = Framing.of(answer(headers={"x-id": "1"})).restored(answer(403, {"content-length": "5"}))
    assert list(found.headers.fields) == []


@pytest.mark.parametrize("status", [101, 204, 205, 304])
def test_a_body_stays_one(status: int) -> None:
    assert Framing.of(answer()).restored(answer(status)).status_code == 200
    assert Framing.of(answer(status)).restored(answer()).status_code == status


def test_what_was_taken_away_is_back() -> None:
    head = answer()
    assert Framing.of(head).restored(None) is head


# A head that another add-on changes.


@pytest.mark.parametrize("buffer", [0, 60])
def test_an_answer_ends_where_it_ends_whatever_its_head_becomes(
    proxy: Mitmdump, http1: HTTPConnection, name: str, buffer: int
) -> None:
    """Else what is left of it would be the answer to the next request."""
    got = get(http1, f"/hello?name={name}&edit=responseheaders&buffer={buffer}")
    assert (got.status, got.headers.get("content-length"), got.read()) == (201, None, b"hello world")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_nor_is_a_stream_of_http2_broken(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    got = http2.finished(http2.request(f"/hello?name={name}&edit=responseheaders"))
    assert (got.data, got.headers.get(b"content-length")) == (b"hello world", None)
    settled(proxy, name, "response")


def test_an_edit_of_what_was_streamed_is_taken_back(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    assert get(http1, f"/hello?name={name}&edit=response").read() == b"hello world"
    settled(proxy, name, "response")
    flow = proxy.order("flow", name=name)
    assert (flow["status"], flow["kept"]) == (200, len("hello world"))
    assert "was taken back" in flow["comment"]


# Intercept and kill.


@pytest.mark.parametrize("hook", ["request", "responseheaders", "response"])
def test_intercept_and_resume_lose_nothing(
    proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str
) -> None:
    for number in (1, 2):
        proxy.order("open", name=f"{name}-{number}")
    ask(http1, f"/pace?name={name}&pause={hook}")
    proxy.wait(hook, name)
    proxy.order("resume", name=name)
    assert http1.getresponse().read() == b"part 0\npart 1\npart 2\n"
    settled(proxy, name, "response")


@pytest.mark.parametrize("order", ["kill", "kill-by-command", "kill-by-error"])
@pytest.mark.parametrize("path", ["mute", "silence"])
def test_kill_in_silence(proxy: Mitmdump, http1: HTTPConnection, name: str, path: str, order: str) -> None:
    ask(http1, f"/{path}?name={name}")
    proxy.wait("started" if path == "mute" else "first", name)
    proxy.order(order, name=name)
    proxy.wait("cancelled", name)
    with pytest.raises(BROKEN):
        http1.getresponse().read()
    settled(proxy, name, "error")
    assert proxy.wait("error", name)["error"] == "Connection killed."


@pytest.mark.parametrize("order", ["kill", "kill-by-command", "kill-by-error"])
@pytest.mark.parametrize("hook", ["request", "responseheaders", "response"])
def test_kill_while_a_hook_is_paused(
    proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str, order: str
) -> None:
    path = "hello" if hook == "response" else "silence"
    ask(http1, f"/{path}?name={name}&pause={hook}")
    proxy.wait(hook, name)
    proxy.order(order, name=name)
    with pytest.raises(BROKEN):
        http1.getresponse().read()
    settled(proxy, name, "response" if hook == "response" else "error")
    assert len(proxy.seen("cancelled", name)) == int(hook == "responseheaders")


@pytest.mark.parametrize("hook", ["request", "responseheaders"])
def test_kill_by_another_hook(proxy: Mitmdump, http1: HTTPConnection, name: str, hook: str) -> None:
    with pytest.raises(BROKEN):
        get(http1, f"/silence?name={name}&kill={hook}")
    settled(proxy, name, "error")
    assert len(proxy.seen("started", name)) == len(proxy.seen("cancelled", name)) == int(hook != "request")


def test_what_is_killed_is_cancelled_once(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    response = get(http1, f"/tidy?name={name}")
    proxy.wait("first", name)
    proxy.order("kill", name=name)
    with pytest.raises(BROKEN):
        response.read()
    proxy.wait_order(lambda flow: not flow["patched"], "flow", name=name)
    assert proxy.order("status")["active"] == 1
    proxy.order("open", name=name)
    proxy.wait("after", name)
    settled(proxy, name, "error")


def test_kill_resets_one_http2_stream(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    killed, kept = http2.request(f"/silence?name={name}"), http2.request(f"/pace?name={name}-kept")
    proxy.wait("first", name)
    proxy.order("kill", name=name)
    assert http2.finished(killed).reset
    for number in (1, 2):
        proxy.order("open", name=f"{name}-kept-{number}")
    assert http2.finished(kept).ended
    settled(proxy, name, "error")


# Registrations that are not used.


def test_an_answer_by_another_addon_wins(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    assert get(http1, f"/hello?name={name}&answered=1").read() == b"another add-on"
    settled(proxy, name, "response")
    assert not proxy.seen("started", name)


def test_a_replayed_flow_leaves_nothing(proxy: Mitmdump, name: str) -> None:
    with VendorThread() as vendor:
        vendor.always(whole(b"from the server"))
        client = plain_client(proxy)
        client.request("GET", f"{vendor.base_url}/hello?name={name}")
        assert client.getresponse().read() == b"hello world"
        client.close()
        proxy.order("replay", name=name)
        vendor.wait_requests(1)
        proxy.wait_order(lambda flow: flow["kept"] == len("from the server"), "flow", name=name)
        status = proxy.wait_order(lambda now: not now["collected"], "status")
    assert status["active"] == 0
    assert len(proxy.seen("started", name)) == 1
    assert not proxy.order("flow", name=name)["patched"]


# Memory is given back by the bytes that have ended, not by the number of calls.


class Never:
    """A dispatcher that is not asked."""

    def streams(self, flow: http.HTTPFlow) -> bool:
        raise NotImplementedError

    def too_long(self, flow: http.HTTPFlow, size: int) -> Responder | None:
        raise NotImplementedError

    def dispatch(self, flow: http.HTTPFlow) -> Responder | Forwarding | None:
        raise NotImplementedError

    def hide(self, flow: http.HTTPFlow) -> None:
        pass

    def buffers(self, flow: http.HTTPFlow) -> float:
        raise NotImplementedError


class Later:
    """In the place of timers: what was set is called by hand."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], None]] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> None:
        assert seconds == QUIET
        self.pending.append(callback)

    def passes(self) -> None:
        pending, self.pending = self.pending, []
        for each in pending:
            each()


class Unkilled:
    """A stream that nobody kills."""

    def kill(self) -> None:
        raise NotImplementedError

    def leave(self) -> None:
        raise NotImplementedError


def ended(size: int) -> http.HTTPFlow:
    made = tflow.tflow(resp=True)
    made.request.raw_content, made.response = b"", http.Response.make(200, b"x" * size)
    return made


def test_a_request_is_collected_until_it_is_too_long_or_answered() -> None:
    flows, flow = FlowRegistry(Never(), lambda: None, Later()), tflow.tflow()
    assert flows.collected(flow) is None
    flows.collect(flow, 9)
    assert (flows.collected(flow), flow.request.stream) == (9, False)
    flow.response = http.Response.make()
    flows.update([flow])
    assert flows.collected(flow) is None


def test_it_is_cleaned_up_when_enough_bytes_have_passed() -> None:
    times: list[None] = []
    flows = FlowRegistry(Never(), lambda: times.append(None), Later())
    for _ in range(3):
        flows.response(ended(CLEAN_AFTER // 4))
    assert times == []
    flows.response(ended(CLEAN_AFTER // 4))
    assert len(times) == 1
    flows.response(ended(CLEAN_AFTER // 4))
    assert len(times) == 1


def test_connections_that_end_are_cleaned_up_too() -> None:
    times: list[None] = []
    flows = FlowRegistry(Never(), lambda: times.append(None), Later())
    for _ in range(CLEAN_AFTER // CONNECTION + 1):
        flows.client_disconnected(tflow.tclient_conn())
    assert len(times) == 1


def test_it_waits_longer_while_hundreds_of_streams_are_open() -> None:
    times: list[None] = []
    flows = FlowRegistry(Never(), lambda: times.append(None), Later())
    streams = [ended(0) for _ in range(300)]
    for each in streams:
        flows.opened(each, Unkilled())
    flows.response(ended(CLEAN_AFTER))
    flows.response(ended(CLEAN_AFTER))
    assert times == []
    flows.response(ended(CLEAN_AFTER))
    assert len(times) == 1
    for each in streams[100:]:
        flows.closed(each)
    flows.response(ended(CLEAN_AFTER))
    assert len(times) == 2


def test_a_flow_without_an_answer_counts_its_request() -> None:
    times: list[None] = []
    left = tflow.tflow()
    left.request.raw_content = b"x" * CLEAN_AFTER
    FlowRegistry(Never(), lambda: times.append(None), Later()).error(left)
    assert len(times) == 1


def test_what_has_ended_is_given_back_when_it_is_quiet() -> None:
    times: list[None] = []
    later = Later()
    flows = FlowRegistry(Never(), lambda: times.append(None), later)
    flows.response(ended(1))
    flows.client_disconnected(tflow.tclient_conn())
    assert len(later.pending) == 1
    later.passes()  # something has ended since it was set
    assert times == []
    later.passes()
    assert (len(times), later.pending) == (1, [])
    flows.client_disconnected(tflow.tclient_conn())
    later.passes()
    assert len(times) == 2


def test_it_is_not_quiet_while_a_stream_is_open() -> None:
    times: list[None] = []
    later = Later()
    flows, stream = FlowRegistry(Never(), lambda: times.append(None), later), ended(0)
    flows.opened(stream, Unkilled())
    flows.client_disconnected(tflow.tclient_conn())
    for _ in range(3):
        later.passes()
    assert times == []
    flows.closed(stream)
    later.passes()
    assert (len(times), later.pending) == (1, [])


def test_nobody_looks_again_once_all_is_given_back() -> None:
    times: list[None] = []
    later = Later()
    flows = FlowRegistry(Never(), lambda: times.append(None), later)
    flows.response(ended(1))
    flows.response(ended(CLEAN_AFTER))
    assert len(times) == 1
    later.passes()
    later.passes()
    assert (len(times), later.pending) == (1, [])
