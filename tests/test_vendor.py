"""The fake provider does exactly what its script says, seen from raw sockets and from httpx."""

import asyncio
import contextlib
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request, TextMessage

from tests.vendor import (
    Answer,
    Authority,
    End,
    Fin,
    Framing,
    Hang,
    Pace,
    Pause,
    Raw,
    Reply,
    Reset,
    Send,
    SendShort,
    Upgrade,
    Vendor,
    VendorThread,
    WaitFor,
    chat_stream,
    streamed,
    whole,
)

GET = b"GET /x HTTP/1.1\r\nhost: vendor\r\n\r\n"
PATIENCE = 10.0  # seconds; it bounds a failing test, no passing one
SEEN = Reply(steps=(Send(b"seen"),))


class Wire:
    """A client that shows every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes = GET) -> None:
        self.writer.write(request)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def until(self, separator: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(separator)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def exactly(self, expected: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            assert await self.reader.readexactly(len(expected)) == expected


@contextlib.asynccontextmanager
async def dial(vendor: Vendor, context: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", vendor.port, ssl=context)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def fetch(vendor: Vendor, path: str = "/x", key: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(vendor.base_url + path, headers=headers)


# Framing


async def test_chunked_is_one_chunk_per_send_and_a_last_one() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(headers=(("X-One", "1"),), steps=(Send(b"hello"), Send(b""), Send(b"!"))))
        await wire.ask()
        assert await wire.head() == b"HTTP/1.1 200 OK\r\nX-One: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        await wire.exactly(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")


async def test_content_length_and_a_status_without_a_name() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(529, steps=(Send(b"hel"), Send(b"lo")), framing=Framing.LENGTH))
        await wire.ask()
        await wire.exactly(b"HTTP/1.1 529 \r\ncontent-length: 5\r\n\r\nhello")


async def test_until_close_ends_with_the_connection() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"hello"),), framing=Framing.UNTIL_CLOSE))
        await wire.ask()
        assert await wire.rest() == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


async def test_a_declared_length_longer_than_what_is_sent() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"hello"),), framing=Framing.LENGTH, length=9))
        await wire.ask()
        assert (await wire.rest()).endswith(b"content-length: 9\r\n\r\nhello")


async def test_drip_cuts_every_send_into_chunks() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"abcde"),), pace=Pace(2, 0.001)))
        await wire.ask()
        await wire.head()
        await wire.exactly(b"2\r\nab\r\n2\r\ncd\r\n1\r\ne\r\n0\r\n\r\n")


async def test_the_interval_of_a_drip_is_silence_ahead_of_each_piece() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"ab"),), pace=Pace(1, 3600.0)))
        await wire.ask()
        await wire.head()
        [received] = await vendor.wait_requests(1)
        wire.writer.close()
        await asyncio.wait_for(received.closed_by_client.wait(), PATIENCE)
        assert await wire.rest() == b""


async def test_a_client_that_leaves_is_seen_however_much_is_still_to_be_written() -> None:
    """Nothing of it may wait: writes to a connection that is lost need no room."""
    async with Vendor(tls=True) as vendor:
        vendor.reply(Reply(steps=(WaitFor("go"), *[Send(b"x" * 60_000)] * 100)))
        context = ssl.create_default_context(cafile=str(vendor.ca_path))
        async with dial(vendor, context) as wire:
            await wire.ask()
            await wire.head()
            await vendor.wait_gate("go")
            peer: socket.socket = wire.writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wire.writer.transport.abort()
            vendor.release("go")
            await asyncio.wait_for(vendor.requests[0].closed_by_client.wait(), PATIENCE)


async def test_head_has_no_body() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(whole(b"{}")).reply(SEEN)
        await wire.ask(GET.replace(b"GET", b"HEAD") + GET)
        assert b"content-length: 2" in await wire.head()
        assert b"transfer-encoding" in await wire.head()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_an_encoded_body_arrives_send_by_send(encoding: str) -> None:
    events = (Send(b"data: one\n\n"), WaitFor("second"), Send(b"data: two\n\n"))
    async with Vendor() as vendor, httpx.AsyncClient(trust_env=False) as client:
        vendor.reply(Reply(steps=events, encoding=encoding))
        async with client.stream("GET", vendor.base_url) as response:
            pieces = response.aiter_bytes()
            first = await anext(pieces)
            vendor.release("second")
            rest = b"".join([piece async for piece in pieces])
    assert response.headers["content-encoding"] == encoding
    assert (first, rest) == (b"data: one\n\n", b"data: two\n\n")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_the_length_of_an_encoded_body_is_declared(encoding: str) -> None:
    async with Vendor() as vendor:
        vendor.reply(Reply(steps=(Send(b"a" * 500), Send(b"b")), encoding=encoding, framing=Framing.LENGTH))
        response = await fetch(vendor)
    assert response.content == b"a" * 500 + b"b"
    assert int(response.headers["content-length"]) < 500


async def test_a_cut_leaves_a_truncated_compressed_body() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        cut = (Send(b"data: one\n\n"), Fin())
        vendor.reply(Reply(steps=cut, encoding="gzip", framing=Framing.UNTIL_CLOSE))
        await wire.ask()
        await wire.head()
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        assert inflater.decompress(await wire.rest()) == b"data: one\n\n"
        assert not inflater.eof


# Misbehaviour


async def test_reset_in_the_body() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"hello"), Reset())))
        await wire.ask()
        await wire.head()
        await wire.exactly(b"5\r\nhello\r\n")
        with pytest.raises(ConnectionResetError):
            await wire.rest()


async def test_fin_without_the_last_chunk() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"hello"), Fin())))
        await wire.ask()
        await wire.head()
        assert await wire.rest() == b"5\r\nhello\r\n"


async def test_fin_inside_a_chunk() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(SendShort(b"hello", missing=3), Fin())))
        await wire.ask()
        await wire.head()
        assert await wire.rest() == b"8\r\nhello"


@pytest.mark.parametrize("answer", [Reset(), Reply(before=(Reset(),))])
async def test_reset_before_the_head(answer: Answer) -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(answer)
        await wire.ask()
        with pytest.raises(ConnectionResetError):
            await wire.rest()


@pytest.mark.parametrize("answer", [Fin(), Reply(before=(Fin(),))])
async def test_close_before_the_head(answer: Answer) -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(answer)
        await wire.ask()
        assert await wire.rest() == b""
        [received] = vendor.requests
        assert received.sent == 0
        assert not received.closed_by_client.is_set()


async def test_hang_sends_nothing_until_the_client_leaves() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Hang())
        await wire.ask()
        [received] = await vendor.wait_requests(1)
        assert not received.closed_by_client.is_set()
        wire.writer.close()
        await asyncio.wait_for(received.closed_by_client.wait(), PATIENCE)
        assert received.sent == 0


async def test_the_head_waits_for_its_gate() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(before=(WaitFor("head"),), steps=(Send(b"x"),)))
        await wire.ask()
        await vendor.wait_gate("head")
        assert vendor.requests[0].sent == 0
        vendor.release("head")
        assert (await wire.head()).startswith(b"HTTP/1.1 200")


async def test_all_before_a_gate_is_sent_and_nothing_after_it() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"a"), WaitFor("more"), Send(b"b"))))
        await wire.ask()
        head = await wire.head()
        await wire.exactly(b"1\r\na\r\n")
        await vendor.wait_gate("more")
        assert vendor.requests[0].sent == len(head) + len(b"1\r\na\r\n")
        vendor.release("more")
        await wire.exactly(b"1\r\nb\r\n0\r\n\r\n")


async def test_a_pause_is_silence() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Pause(0.001), Send(b"a"), Pause(3600.0), Send(b"never"))))
        await wire.ask()
        await wire.head()
        await wire.exactly(b"1\r\na\r\n")
        wire.writer.close()
        await asyncio.wait_for(vendor.requests[0].closed_by_client.wait(), PATIENCE)


async def test_raw_bytes_go_out_as_they_are() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Raw((Send(b"HTTP/1.1 200"), Send(b"\nbroken\x00"))))
        await wire.ask()
        assert await wire.rest() == b"HTTP/1.1 200\nbroken\x00"


async def test_an_idle_connection_closes_when_the_test_says_so() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Reply(steps=(Send(b"a"), End(), WaitFor("idle"), Fin())))
        await wire.ask()
        await wire.until(b"0\r\n\r\n")
        await vendor.wait_gate("idle")
        assert vendor.open_connections == 1
        vendor.release("idle")
        assert await wire.rest() == b""
        assert not vendor.requests[0].closed_by_client.is_set()


# Which answer


async def test_the_narrowest_queue_that_has_an_answer_decides() -> None:
    async with Vendor() as vendor:
        vendor.always(whole(b"any"))
        vendor.on(path="/p").reply(whole(b"path"))
        vendor.on(key="k").reply(whole(b"key 1")).reply(whole(b"key 2"))
        vendor.on(key="k", path="/p").reply(whole(b"both"))
        answers = [(await fetch(vendor, "/p?q=1", key="k")).text for _ in range(5)]
    assert answers == ["both", "key 1", "key 2", "path", "any"]


async def test_an_answer_given_several_times_and_one_for_ever() -> None:
    async with Vendor() as vendor:
        vendor.on(key="k").reply(whole(b"twice"), times=2).always(whole(b"ever"))
        answers = [(await fetch(vendor, key="k")).text for _ in range(4)]
    assert answers == ["twice", "twice", "ever", "ever"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [True, False])
async def test_an_unscripted_call_is_answered_well(path: str, stream: bool) -> None:
    async with Vendor() as vendor, httpx.AsyncClient(trust_env=False) as client:
        call = {"model": "m-1", "stream": stream}
        response = await client.post(vendor.base_url + path, json=call)
    kind = "text/event-stream; charset=utf-8" if stream else "application/json"
    assert (response.status_code, response.headers["content-type"]) == (200, kind)
    assert '"model":"m-1"' in response.text
    last = b"data: [DONE]\n\n" if "chat" in path else b'data: {"type":"message_stop"}\n\n'
    assert response.content.endswith(last) is stream


async def test_an_unknown_path_is_not_found() -> None:
    async with Vendor() as vendor:
        response = await fetch(vendor, "/v1/unknown")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


# The record


async def test_a_request_is_recorded_as_it_came() -> None:
    lines = b"Host: v", b"X-Twice: 1", b"x-twice:  2 ", b"Transfer-Encoding: chunked", b"", b""
    head = b"\r\n".join([b"POST /a/b?c=d HTTP/1.1", *lines])
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(SEEN)
        await wire.ask(head + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\ntrailer: 1\r\n\r\n")
        [received] = await vendor.wait_requests(1)
    assert (received.number, received.connection) == (1, 1)
    assert (received.method, received.target, received.path) == ("POST", "/a/b?c=d", "/a/b")
    names = (b"Host", b"X-Twice", b"x-twice", b"Transfer-Encoding")
    assert received.headers == tuple(zip(names, (b"v", b"1", b"2", b"chunked"), strict=True))
    assert (received.header("X-TWICE"), received.body) == ("1", b"abcde")


@pytest.mark.parametrize(
    ("target", "header", "credential"),
    [
        ("/x", b"Authorization: Bearer sk-1", "sk-1"),
        ("/x", b"x-api-key: sk-2", "sk-2"),
        ("/x", b"Api-Key: sk-3", "sk-3"),
        ("/x", b"X-Goog-Api-Key: sk-4", "sk-4"),
        ("/x?key=sk-5", b"accept: */*", "sk-5"),
        ("/x", b"authorization: Basic abc", ""),
    ],
)
async def test_the_credential_is_the_bare_key(target: str, header: bytes, credential: str) -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        await wire.ask(b"GET " + target.encode() + b" HTTP/1.1\r\n" + header + b"\r\n\r\n")
        [received] = await vendor.wait_requests(1)
        assert received.credential == credential


async def test_requests_of_one_connection_share_its_number() -> None:
    async with Vendor() as vendor:
        vendor.always(SEEN)
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(vendor.base_url)
            await client.get(vendor.base_url)
            assert vendor.open_connections == 1
        await fetch(vendor)
        await vendor.wait_idle()
        assert [received.connection for received in vendor.requests] == [1, 1, 2]
        assert vendor.open_connections == 0


async def test_connection_close_is_honoured() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(SEEN)
        await wire.ask(GET.replace(b"host: vendor", b"Connection: close"))
        assert (await wire.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_that_leaves_a_stream_is_noticed(tls: bool) -> None:
    async with Vendor(tls=tls) as vendor:
        vendor.reply(streamed([b"data: 1\n\n"], Hang()))
        trust: ssl.SSLContext | bool = vendor.authority.client_context() if tls else False
        async with httpx.AsyncClient(trust_env=False, verify=trust) as client:
            async with client.stream("GET", vendor.base_url) as response:
                await anext(response.aiter_bytes())
                [received] = vendor.requests
                assert not received.closed_by_client.is_set()
            await asyncio.wait_for(received.closed_by_client.wait(), PATIENCE)
        await asyncio.wait_for(received.finished.wait(), PATIENCE)
        await vendor.wait_idle()


async def test_a_client_that_took_the_whole_answer_has_not_left_it() -> None:
    async with Vendor() as vendor:
        vendor.reply(streamed(chat_stream(["Hello"])))
        await fetch(vendor)
        await vendor.wait_idle()
        [received] = vendor.requests
        assert received.finished.is_set()
        assert not received.closed_by_client.is_set()


async def test_waiting_for_what_never_comes_ends() -> None:
    async with Vendor(patience=0.01) as vendor:
        with pytest.raises(TimeoutError):
            await vendor.wait_requests(1)


async def test_a_request_that_is_none_is_refused() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        await wire.ask(b"hello\r\n\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")
        assert vendor.requests == []


async def test_a_client_that_asks_before_it_uploads_gets_a_100() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(SEEN)
        await wire.ask(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.ask(b"ab")
        assert (await wire.head()).startswith(b"HTTP/1.1 200 OK")


async def test_a_fault_of_the_fake_fails_the_test() -> None:
    vendor = await Vendor().__aenter__()
    vendor.reply(Reply(encoding="rot13"))
    async with dial(vendor) as wire:
        await wire.ask()
        assert await wire.rest() == b""
    with pytest.raises(KeyError, match="rot13"):
        await vendor.__aexit__(None, None, None)


# TLS


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "api.openai.com", "api.anthropic.com"])
async def test_the_certificate_is_good_for_every_name(name: str) -> None:
    async with (
        Vendor(tls=True) as vendor,
        httpx.AsyncClient(
            trust_env=False, verify=ssl.create_default_context(cafile=str(vendor.ca_path))
        ) as client,
    ):
        vendor.reply(SEEN)
        response = await client.get(vendor.base_url, extensions={"sni_hostname": name})
        assert response.text == "seen"


def test_the_authority_passes_strict_verification(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.client_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    client_in, client_out, server_in, server_out = (ssl.MemoryBIO() for _ in range(4))
    client = context.wrap_bio(client_in, client_out, server_hostname="api.openai.com")
    server = authority.server_context().wrap_bio(server_in, server_out, server_side=True)
    for _ in range(4):
        for side, outgoing, incoming in ((client, client_out, server_in), (server, server_out, client_in)):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            incoming.write(outgoing.read())
    assert client.version() == "TLSv1.3"


async def test_an_untrusting_client_is_turned_away() -> None:
    async with Vendor(tls=True) as vendor:
        with pytest.raises(ssl.SSLCertVerificationError):
            async with dial(vendor, ssl.create_default_context()):
                pass


async def test_vendors_can_share_an_authority(tmp_path: Path) -> None:
    shared = Authority(tmp_path)
    async with Vendor(tls=shared) as one, Vendor(tls=shared) as two:
        assert one.ca_path == two.ca_path == tmp_path / "ca.pem"
        for vendor in (one, two):
            async with dial(vendor, shared.client_context()) as wire:
                await wire.ask()
                assert (await wire.head()).startswith(b"HTTP/1.1 404")


async def test_reset_over_tls() -> None:
    async with Vendor(tls=True) as vendor, dial(vendor, vendor.authority.client_context()) as wire:
        vendor.reply(Reply(steps=(Send(b"hello"), Reset())))
        await wire.ask()
        await wire.head()
        await wire.exactly(b"5\r\nhello\r\n")
        with pytest.raises(ConnectionResetError):
            await wire.rest()


@pytest.mark.parametrize("close_notify", [True, False])
def test_fin_over_tls_with_and_without_the_closing_alert(close_notify: bool) -> None:
    with VendorThread(Vendor(tls=True)) as vendor:
        vendor.reply(Reply(steps=(Send(b"a"), Fin(close_notify=close_notify))))
        context = ssl.create_default_context(cafile=str(vendor.ca_path))
        with socket.create_connection(("127.0.0.1", vendor.port), PATIENCE) as plain:
            # The default takes a ragged end for a clean one.
            client = context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
            with client:
                client.sendall(GET)
                expected = contextlib.nullcontext() if close_notify else pytest.raises(ssl.SSLEOFError)
                with expected:
                    data = b"".join(iter(lambda: client.recv(1024), b""))
                    assert data.endswith(b"1\r\na\r\n")


# WebSocket


def _handshake() -> tuple[wsproto.WSConnection, bytes]:
    client = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    return client, client.send(Request(host="vendor", target="/v1/realtime"))


async def _next_event(client: wsproto.WSConnection, wire: Wire) -> Event:
    client.receive_data(await wire.reader.read(65536))
    return next(iter(client.events()))


async def test_a_websocket_is_accepted_and_echoes_frames() -> None:
    client, handshake = _handshake()
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.on(path="/v1/realtime").reply(Upgrade())
        await wire.ask(handshake)
        # wsproto checks Sec-WebSocket-Accept.
        assert isinstance(await _next_event(client, wire), AcceptConnection)
        await wire.ask(client.send(TextMessage("héllo")))
        assert await _next_event(client, wire) == TextMessage("héllo")
        await wire.ask(client.send(BytesMessage(b"\x00\xff")))
        assert await _next_event(client, wire) == BytesMessage(bytearray(b"\x00\xff"))
        await wire.ask(client.send(CloseConnection(1000)))
        assert await _next_event(client, wire) == CloseConnection(1000, "")
        await vendor.wait_idle()
        assert not vendor.requests[0].closed_by_client.is_set()


async def test_any_other_upgrade_echoes_bytes() -> None:
    async with Vendor() as vendor, dial(vendor) as wire:
        vendor.reply(Upgrade())
        await wire.ask(b"GET / HTTP/1.1\r\nUpgrade: chatter\r\nConnection: Upgrade\r\n\r\n")
        assert (await wire.head()).startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chatter\r\n")
        await wire.ask(b"\x00raw")
        await wire.exactly(b"\x00raw")


# Without an event loop


def test_a_vendor_in_a_thread() -> None:
    with VendorThread() as vendor:
        vendor.on(key="sk-one").reply(Reply(steps=(Send(b"a"), WaitFor("more"), Send(b"b"))))
        headers = {"x-api-key": "sk-one"}
        with (
            httpx.Client(trust_env=False) as client,
            client.stream("GET", vendor.base_url, headers=headers) as got,
        ):
            pieces = got.iter_raw()
            assert next(pieces) == b"a"
            vendor.wait_gate("more")
            vendor.release("more")
            assert b"".join(pieces) == b"b"
        vendor.wait_idle()
        [received] = vendor.wait_requests(1)
        vendor.run(received.finished.wait())
        assert received.credential == "sk-one"
