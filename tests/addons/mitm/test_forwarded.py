"""Requests that leave with another head, through a real mitmdump, and a server that hangs up."""

import asyncio
import socket
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from mitmproxy.connection import Server
from mitmproxy.proxy.events import DataReceived
from mitmproxy.proxy.events import Event as LayerEvent
from mitmproxy.proxy.server import ConnectionHandler
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

from addons.mitm.forwarded import keep_last_words
from tests.addons.mitm.calls import BROKEN, SCRIPT, ask, get, settled, target
from tests.addons.mitm.stream_script import CREDENTIAL
from tests.addons.mitmdump import PATIENCE, H2Client, Mitmdump, tls_client
from tests.vendor import (
    Authority,
    Framing,
    Reply,
    Send,
    Upgrade,
    Vendor,
    VendorThread,
    WaitFor,
    streamed,
    whole,
)

# Forwarding.


def test_forward_changes_the_head_of_a_copy_only(confdir: Path, tmp_path: Path, name: str) -> None:
    flows = tmp_path / "flows"
    with VendorThread() as vendor, Mitmdump(SCRIPT, confdir, "-w", str(flows)) as other:
        vendor.reply(streamed([b"data: 1\n\n"], WaitFor("more"), Send(b"data: 2\n\n")))
        client = tls_client(other)
        body = b"x" * 100_000
        client.request(
            "POST", f"/files?name={name}&port={vendor.port}", body, {"Authorization": "Bearer mine"}
        )
        response = client.getresponse()
        assert response.read(9) == b"data: 1\n\n"
        assert other.order("flow", name=name)["authorization"] == "Bearer mine"
        vendor.release("more")
        assert response.read() == b"data: 2\n\n"
        client.close()
        (received,) = vendor.requests
    assert received.body == body
    assert (received.header("host"), received.credential) == ("elsewhere.test", CREDENTIAL)
    saved = flows.read_bytes()
    assert b"api.test" in saved
    assert b"Bearer mine" in saved
    assert CREDENTIAL.encode() not in saved


def test_forward_streams_the_request(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """The upstream answers part by part while the request is still being sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        http1.putrequest("POST", target(http1, f"/echo?name={name}&port={port}"))
        http1.putheader("Transfer-Encoding", "chunked")
        http1.endheaders()
        upstream, _ = listener.accept()
        with upstream, upstream.makefile("rwb") as wire:
            head = list(iter(wire.readline, b"\r\n"))
            assert f"authorization: Bearer {CREDENTIAL}\r\n".encode() in head
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")
            http1.send(b"5\r\nfirst\r\n")
            assert (wire.readline(), wire.readline()) == (b"5\r\n", b"first\r\n")
            wire.write(b"first")
            wire.flush()
            response = http1.getresponse()
            assert response.read(5) == b"first"
            http1.send(b"4\r\nlast\r\n0\r\n\r\n")
            assert (wire.readline(), wire.readline()) == (b"4\r\n", b"last\r\n")
            wire.write(b"-last")
            wire.flush()
            assert response.read() == b"-last"
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)


def test_forward_from_http2_to_tls(confdir: Path, tmp_path: Path, name: str) -> None:
    with VendorThread(Vendor(tls=Authority(tmp_path))) as vendor:
        trust = f"ssl_verify_upstream_trusted_ca={vendor.ca_path}"
        with Mitmdump(SCRIPT, confdir, "--set", trust) as other:
            vendor.always(whole(b"{}"))
            client = H2Client(other)
            streams = [
                client.request(f"/v1/files?name={name}-{each}&port={vendor.port}&tls=1") for each in "ab"
            ]
            assert [client.finished(each).data for each in streams] == [b"{}", b"{}"]
            client.close()
        assert [each.credential for each in vendor.requests] == [CREDENTIAL, CREDENTIAL]


@pytest.mark.parametrize("body", [None, b"a body"])
def test_forward_to_nowhere_is_answered(
    proxy: Mitmdump, http1: HTTPConnection, name: str, body: bytes | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    ask(http1, f"/files?name={name}&port={closed}", "POST", body)
    answer = http1.getresponse()
    assert (answer.status, answer.read()[:11]) == (502, b"no answer: ")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_forward_to_who_says_nothing_is_answered(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """It closes in the middle of the request, whose remainder is of no use then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        http1.putrequest("POST", target(http1, f"/echo?name={name}&port={listener.getsockname()[1]}"))
        http1.putheader("Transfer-Encoding", "chunked")
        http1.endheaders(b"5\r\nfirst\r\n")
        upstream, _ = listener.accept()
        assert upstream.recv(1)
        upstream.close()
    proxy.wait_order(lambda flow: flow["status"] == 502, "flow", name=name)
    http1.send(b"4\r\nlast\r\n0\r\n\r\n")
    assert http1.getresponse().read().startswith(b"no answer: ")
    settled(proxy, name, "response")


def test_what_is_forwarded_is_screened(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    with VendorThread() as vendor:
        steps = (Send(b"ax"), WaitFor("more"), Send(b"xbx"))
        vendor.reply(Reply(200, (("x-mark", "fox"),), steps, Framing.LENGTH))
        response = get(http1, f"/files?name={name}&port={vendor.port}")
        assert (response.headers["x-mark"], response.read(1)) == ("foX", b"a")
        vendor.release("more")
        assert response.read() == b"XXbX"
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)


@pytest.mark.parametrize(("mark", "body"), [("Y", b"fine"), ("fine", b"Y")])
def test_what_cannot_be_screened_is_withheld(
    proxy: Mitmdump, http1: HTTPConnection, name: str, mark: str, body: bytes
) -> None:
    """Before the head with an answer that says so, after it with a broken one. The server has not ended its
    answer by then, and what becomes of it changes nothing."""
    with VendorThread() as vendor:
        steps = (Send(body), WaitFor("more"), Send(b"more"))
        vendor.reply(Reply(200, (("x-mark", mark),), steps, Framing.LENGTH))
        response = get(http1, f"/files?name={name}&port={vendor.port}")
        if mark == "Y":
            assert (response.status, response.read()[:11]) == (502, b"no answer: ")
        else:
            with pytest.raises(BROKEN):
                response.read()
    settled(proxy, name, "response" if mark == "Y" else "error")
    assert not [each for each in proxy.log if CREDENTIAL in each]


@pytest.mark.parametrize("buffer", ["0", "60"])
def test_what_is_forwarded_can_be_edited_if_it_is_buffered(
    proxy: Mitmdump, http1: HTTPConnection, name: str, buffer: str
) -> None:
    with VendorThread() as vendor:
        vendor.reply(whole(b"theirs"))
        path = f"/files?name={name}&port={vendor.port}&edit=response&buffer={buffer}"
        assert get(http1, path).read() == (b"edited" if buffer == "60" else b"theirs")
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)
    assert proxy.order("flow", name=name)["status"] == (201 if buffer == "60" else 200)


# A stream that somebody asked for.


def test_what_is_not_to_be_streamed_is_collected(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    ask(http1, f"/hello?name={name}&streamed=1", "POST", b"x" * 100_000)
    assert http1.getresponse().read() == b"hello world"
    settled(proxy, name, "response")
    assert proxy.order("flow", name=name)["request"] == 100_000


def test_an_answer_to_half_a_request(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    """What follows of the request is read and thrown away, and the connection lives on."""
    http1.putrequest("POST", target(http1, f"/sized?name={name}&streamed=1&hasty=1"))
    http1.putheader("Transfer-Encoding", "chunked")
    http1.endheaders(b"5\r\nfirst\r\n")
    response = http1.getresponse()
    assert response.read() == b"sized"
    assert http1.sock is not None
    http1.sock.sendall(b"4\r\nlast\r\n0\r\n\r\n")
    settled(proxy, name, "response")
    assert get(http1, f"/hello?name={name}-next").read() == b"hello world"


def test_a_body_of_unsaid_length_leaves_in_chunks(proxy: Mitmdump, http2: H2Client, name: str) -> None:
    with VendorThread() as vendor:
        vendor.always(whole(b"{}"))
        smuggled = b"GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
        number = http2.request(f"/files?name={name}&port={vendor.port}", body=smuggled)
        assert http2.finished(number).data == b"{}"
        (received,) = vendor.requests
    assert received.body == smuggled


def test_forward_gives_way_to_an_answer_by_another_addon(
    proxy: Mitmdump, http1: HTTPConnection, name: str
) -> None:
    ask(http1, f"/files?name={name}&port=1&denied=1", "POST", b"body")
    assert http1.getresponse().status == 407
    settled(proxy, name, "response")


def next_event(sock: socket.socket, talk: WSConnection) -> Event:
    while True:
        for event in talk.events():
            return event
        talk.receive_data(sock.recv(65536))


def test_forward_carries_a_websocket(proxy: Mitmdump, http1: HTTPConnection, name: str) -> None:
    with VendorThread() as vendor:
        vendor.reply(Upgrade())
        http1.connect()
        assert http1.sock is not None
        talk = WSConnection(ConnectionType.CLIENT)
        path = target(http1, f"/realtime?name={name}&port={vendor.port}")
        http1.sock.sendall(talk.send(Request(host="api.test", target=path)))
        assert isinstance(next_event(http1.sock, talk), AcceptConnection)
        http1.sock.sendall(talk.send(TextMessage("there and back")))
        assert next_event(http1.sock, talk) == TextMessage("there and back")
        http1.sock.sendall(talk.send(CloseConnection(1000)))
        assert isinstance(next_event(http1.sock, talk), CloseConnection)
        (received,) = vendor.requests
    assert received.credential == CREDENTIAL
    proxy.wait_order(lambda flow: not flow["live"], "flow", name=name)


# A server that answers and hangs up while it is being written to.

ANSWER = b"HTTP/1.1 413 Too Large\r\n\r\n"


class Handler:
    """Its one connection, and what comes of that."""

    def __init__(self, connection: Server, *streams: object) -> None:
        reader, writer = streams
        self.transports = {connection: SimpleNamespace(reader=reader, writer=writer)}
        self.arrived: list[bytes] = []

    async def server_event(self, event: LayerEvent) -> None:
        assert isinstance(event, DataReceived)
        self.arrived.append(event.data)


async def lost(*, kept: bool, first: bytes = b"") -> list[bytes]:
    """What reaches the layers where a write finds that the server has answered, with bytes of ours unread,
    and gone. `first`: what of its answer had been read from the socket before."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, writer = await asyncio.open_connection(*server.getsockname())
        connection = Server(address=server.getsockname())
        handler = Handler(connection, reader, writer)
        if kept:
            keep_last_words(cast(ConnectionHandler, handler), connection)
            keep_last_words(cast(ConnectionHandler, handler), connection)
        peer, _ = server.accept()
        writer.write(b"unread")
        peer.recv(1)
        reader.feed_data(first)
        peer.sendall(ANSWER)
        peer.close()  # no turn of the event loop since the answer: nobody has read it
        writer.write(b"more")
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    return handler.arrived


async def test_what_had_arrived_comes_before_the_end() -> None:
    assert await lost(kept=True) == [ANSWER]


async def test_after_what_waited_in_the_reader() -> None:
    assert b"".join(await lost(kept=True, first=b"HTTP/1.1 100 Continue\r\n\r\n")).endswith(ANSWER)


async def test_it_is_lost_without() -> None:
    assert await lost(kept=False) == []


def test_a_connection_that_is_gone_is_left() -> None:
    handler = SimpleNamespace(transports={})
    keep_last_words(cast(ConnectionHandler, handler), Server(address=("127.0.0.1", 9)))
