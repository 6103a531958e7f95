"""SIGTERM: what is under way ends first, and nobody who asks on an open connection is turned away."""

import json
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from wsproto.events import CloseConnection

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import PATIENCE, Http1, Http2, Listener, ask, connect, post, tunnel
from tests.vendor import (
    SPEECHES,
    Hang,
    Said,
    Send,
    Upgrade,
    VendorThread,
    WaitFor,
    chat_stream,
    streamed,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}]
[shutdown]
drain_timeout = {drain_timeout}
"""
HOST, CHAT = "api.openai.com", "/v1/chat/completions"
TEXT = chat_stream(["Hello", " there"])
HELD = streamed(TEXT[:2], WaitFor("more"), *map(Send, TEXT[2:]))
HEALTH = b"GET http://rotator.local/health HTTP/1.1\r\nHost: rotator.local\r\n\r\n"
END = b"0\r\n\r\n"
JSON = {"content-type": "application/json"}


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


def begun(vendor: VendorThread, folder: Path, drain_timeout: float = 60.0) -> Proxy:
    config = CONFIG.format(url=vendor.base_url, drain_timeout=drain_timeout)
    return Proxy(folder, config, keys={"ONE": "sk-pool-number-one-0001"})


def direct(proxy: Proxy) -> Http1:
    return Http1(socket.create_connection(("127.0.0.1", proxy.port), PATIENCE))


def test_streams_end_by_themselves_and_who_asks_meanwhile_is_served(
    vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT)).reply(HELD).reply(streamed(TEXT))
    with (
        begun(vendor, tmp_path) as proxy,
        Http1(tunnel(proxy, HOST)) as streaming,
        Http1(tunnel(proxy, HOST)) as idle,
        direct(proxy) as balancer,
        direct(proxy) as at_the_address,
    ):
        at_its_address = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\n\r\n".encode()
        at_the_address.send(at_its_address)
        at_the_address.until(b"\r\n\r\nok")
        balancer.send(HEALTH)
        assert b"200 OK" in balancer.until(b'"status": "ok"')
        idle.send(post(CHAT, HOST, ask()))
        assert b"connection: close" not in idle.until(END).lower()
        streaming.send(post(CHAT, HOST, ask()))
        streaming.until(b"Hello")
        proxy.process.terminate()
        proxy.wait_log("stopping: what is under way has 60 s")
        with pytest.raises(ConnectionRefusedError):
            connect(proxy, HOST)
        balancer.received.clear()
        balancer.send(HEALTH)
        said = balancer.rest()
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b'"status": "draining"' in said
        at_the_address.send(at_its_address)
        assert at_the_address.rest().endswith(b"\r\n\r\ndraining\n")
        idle.received.clear()
        idle.send(post(CHAT, HOST, ask()))
        said = idle.rest()
        assert b"connection: close" in said.lower()
        assert said.endswith(END)
        vendor.release("more")
        assert streaming.rest().endswith(b"data: [DONE]\n\n\r\n" + END)
        assert proxy.wait_exit() == 0
    assert proxy.log.count("verdict=ok") == 3
    assert "not over" not in proxy.log
    assert "Traceback" not in proxy.log


def test_calls_that_are_not_over_in_time_end_with_an_error_of_their_protocol(
    vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(path=CHAT).reply(HELD).reply(streamed((), Hang()))
    with (
        begun(vendor, tmp_path, 0.2) as proxy,
        Http1(tunnel(proxy, HOST)) as streaming,
        Http1(tunnel(proxy, HOST)) as asking,
    ):
        streaming.send(post(CHAT, HOST, ask()))
        streaming.until(b"Hello")
        asking.send(post(CHAT, HOST, ask()))
        vendor.wait_requests(2)
        proxy.process.terminate()
        last = streaming.rest().removesuffix(b"\r\n" + END).split(b"data: ")[-1]
        assert "the proxy was stopped" in json.loads(last)["error"]["message"]
        answer = asking.rest()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer.lower()
        assert b"the proxy was stopped" in answer
        assert proxy.wait_exit() == 0
    assert "stopping: calls not over after 0.2 s, which end with an error: 2" in proxy.log
    assert "end=failed" in proxy.log
    assert "end=rejected" in proxy.log


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_waits_for_nothing(
    vendor: VendorThread, tmp_path: Path, second: signal.Signals
) -> None:
    vendor.on(path=CHAT).reply(HELD)
    with begun(vendor, tmp_path) as proxy, Http1(tunnel(proxy, HOST)) as streaming:
        streaming.send(post(CHAT, HOST, ask()))
        streaming.until(b"Hello")
        proxy.process.terminate()
        proxy.wait_log("stopping: what is under way")
        proxy.process.send_signal(second)
        assert proxy.wait_exit() == 0
    assert 'end=abandoned detail="the proxy was stopped"' in proxy.log


def test_clients_of_http2_are_sent_elsewhere_once_they_ask_nothing(
    vendor: VendorThread, tmp_path: Path
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT)).reply(HELD)
    with (
        begun(vendor, tmp_path) as proxy,
        Http2(proxy, HOST) as idle,
        Http2(proxy, HOST) as streaming,
    ):
        idle.finished(idle.post(CHAT, ask(), JSON))
        number = streaming.post(CHAT, ask(), JSON)
        streaming.until(number, b"Hello")
        proxy.process.terminate()
        assert idle.sent_elsewhere() == 1
        vendor.release("more")
        assert streaming.finished(number).data.endswith(b"data: [DONE]\n\n")
        assert streaming.sent_elsewhere() == number
        assert proxy.wait_exit() == 0
    assert proxy.log.count("verdict=ok") == 2


def test_a_websocket_is_closed_after_the_turn_that_is_under_way(vendor: VendorThread, tmp_path: Path) -> None:
    whole = SPEECHES["openai_responses"].stream(Said(("Hello", " there")), model="gpt-4o")
    steps = (whole.steps[0], WaitFor("more"), *whole.steps[1:])
    vendor.on(path="/v1/realtime").reply(Upgrade())
    vendor.on(path="/v1/responses").reply(replace(whole, steps=steps))
    with (
        begun(vendor, tmp_path) as proxy,
        WebSocket(proxy, HOST) as turns,
        WebSocket(proxy, HOST) as idle,
        WebSocket(proxy, HOST, "/v1/realtime") as passed,
    ):
        assert passed.accepted
        turns.create(model="gpt-4o", input="hi")
        vendor.wait_requests(1)
        proxy.process.terminate()
        proxy.wait_log("stopping: what is under way")
        vendor.release("more")
        assert turns.answer()[-1]["type"] == "response.completed"
        for each in (turns, idle, passed):
            closed = each.next()
            assert isinstance(closed, CloseConnection)
            assert closed.code == 1012
        assert proxy.wait_exit() == 0


def test_who_is_in_the_middle_of_a_request_is_served(vendor: VendorThread, tmp_path: Path) -> None:
    vendor.on(path=CHAT).always(streamed(TEXT))
    request = post(CHAT, HOST, ask())
    with (
        begun(vendor, tmp_path) as proxy,
        Http1(tunnel(proxy, HOST)) as sending,
        Listener() as other,
        Http1(connect(proxy, f"127.0.0.1:{other.port}")[0]) as here,
    ):
        sending.send(request[:-20])
        here.send(b"\x00hello")
        with other.accept() as there:
            there.until(b"hello")
            with Http1(tunnel(proxy, HOST)) as quiet:
                proxy.process.terminate()
                proxy.wait_log("stopping: what is under way")
                quiet.send(request)
                assert quiet.rest().endswith(END)
            there.send(b"welcome")
            here.until(b"welcome")
            sending.send(request[-20:])
            assert sending.rest().endswith(END)
            assert here.rest() == b"welcome"  # nothing came for a second
        assert proxy.wait_exit() == 0
    assert proxy.log.count("verdict=ok") == 2
