"""Attempts over real sockets, plain and in TLS: what goes out, what comes back, and how it can end."""

import asyncio
import contextlib
import gzip
import logging
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import OpenSSL.crypto
import pytest
import zstandard

from addons.upstream.client import AT_ONCE, Upstream
from addons.upstream.events import Closed, Data, Sent, Started, UpstreamEvent
from addons.upstream.failure import Cause, CauseKind
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from protocols.model.http import Head, header
from tests.addons.asking import (
    PATIENCE,
    asking,
    attempt,
    body,
    call,
    cause,
    collect,
    head,
    kind,
    listening,
    post,
    silence_until,
    through,
    until,
)
from tests.vendor import (
    Authority,
    Fin,
    Framing,
    Hang,
    Raw,
    Reply,
    Reset,
    Send,
    SendShort,
    Vendor,
    WaitFor,
    streamed,
    whole,
)


@pytest.fixture(params=["http", "https"])
async def vendor(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[Vendor]:
    async with Vendor(tls=authority if request.param == "https" else False) as vendor:
        yield vendor


@pytest.fixture
async def upstream(authority: Authority) -> AsyncIterator[Upstream]:
    upstream = through(authority)
    yield upstream
    await upstream.close()


# What goes out


async def test_the_request_goes_out_byte_for_byte(upstream: Upstream) -> None:
    seen = b""

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen = await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(3)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    headers = (
        ("X-First", "1"),
        ("user-agent", "Tool/1 (caf\udce9; \N{SNOWMAN})"),
        ("Host", "provider.test"),
        ("x-DUP", "b"),
        ("X-Dup", "a"),
        ("Content-Length", "3"),
        ("x-empty", ""),
    )
    async with listening(record) as port:
        target = "/v1beta//models/a%2fb:x/../y%7e~?alt=sse&q='%20+\"{|}"
        request = asking("POST", f"http://127.0.0.1:{port}{target}", headers, b"\x00{}")
        assert kind(await collect(attempt(upstream, request))) is None
    assert seen == (
        b"POST " + target.encode() + b" HTTP/1.1\r\nHost: provider.test\r\nX-First: 1\r\n"
        b"user-agent: Tool/1 (caf\xe9; \xe2\x98\x83)\r\nx-DUP: b\r\nX-Dup: a\r\n"
        b"Content-Length: 3\r\nx-empty: \r\n\r\n\x00{}"
    )


async def test_a_request_without_body_gets_a_host_and_nothing_else(
    vendor: Vendor, upstream: Upstream
) -> None:
    vendor.reply(whole(b"[]"))
    await collect(attempt(upstream, asking("GET", f"{vendor.base_url}/?limit=1", ())))
    received = vendor.requests[0]
    assert received.target == "/?limit=1"
    assert received.headers == ((b"Host", f"127.0.0.1:{vendor.port}".encode()),)


async def test_the_way_to_the_server_is_reported_with_its_times(vendor: Vendor, upstream: Upstream) -> None:
    vendor.always(whole(b"[]"))
    events = [each for _ in range(2) for each in await call(upstream, vendor)]
    first, second = (one.reached for one in events if isinstance(one, Started))
    assert first is not None
    assert first == second, "of one connection"
    assert first.peer == ("127.0.0.1", vendor.port)
    times = [first.began, first.connected, *([first.secured] if first.secured else [])]
    assert (times, len(times)) == (sorted(times), 3 if vendor.base_url.startswith("https") else 2)


async def test_the_framing_is_that_of_the_body(vendor: Vendor, upstream: Upstream) -> None:
    vendor.always(whole(b"{}"))
    url = f"{vendor.base_url}/v1/x"
    for headers in ((("content-length", "999"), ("a", "b")), (("transfer-encoding", "chunked"), ("a", "b"))):
        await collect(attempt(upstream, asking("POST", url, headers, b"four")))
    first, second = vendor.requests
    assert first.headers[1:] == ((b"content-length", b"4"), (b"a", b"b"))
    assert second.headers[1:] == ((b"a", b"b"), (b"Content-Length", b"4"))
    assert first.body == second.body == b"four"


async def test_a_body_of_many_pieces(vendor: Vendor, upstream: Upstream) -> None:
    large = bytes(range(256)) * 6000
    vendor.reply(whole(b"{}"))
    assert kind(await collect(attempt(upstream, post(f"{vendor.base_url}/v1/x", large)))) is None
    assert vendor.requests[0].body == large


async def test_no_cookie_is_kept(vendor: Vendor, upstream: Upstream) -> None:
    vendor.always(whole(b"{}", headers=(("set-cookie", "session=1; Path=/"),)))
    events = [await call(upstream, vendor) for _ in range(2)]
    assert header(head(events[0]).headers, "set-cookie") == "session=1; Path=/"
    assert [received.header("cookie") for received in vendor.requests] == [None, None]


async def test_a_redirect_is_an_answer(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(whole(b"", 307, (("location", "http://[broken"),)))
    events = await call(upstream, vendor)
    assert (head(events).status, kind(events), len(vendor.requests)) == (307, None, 1)


async def test_a_request_that_cannot_be_written(upstream: Upstream) -> None:
    async with listening(lambda reader, writer: asyncio.sleep(0)) as port:
        broken = post(f"http://127.0.0.1:{port}/x", Authorization="sk-secret\nx: y")
        events = await collect(attempt(upstream, broken))
    assert events == [Closed(Cause(CauseKind.PROTOCOL, "the request cannot be written as HTTP/1.1"))]


# What comes back


async def test_the_head_is_as_received(vendor: Vendor, upstream: Upstream) -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 529 Over Loaded\r\nX-Request-ID: 7\r\nx-dup: b\r\nX-DUP: a\r\n"
        b"x-name: caf\xe9 \xe2\x98\x83\r\nContent-Length: 2\r\n\r\nhi"
    )
    vendor.reply(Raw((Send(raw),)))
    events = await call(upstream, vendor)
    assert head(events) == Head(
        529,
        (
            ("X-Request-ID", "7"),
            ("x-dup", "b"),
            ("X-DUP", "a"),
            ("x-name", "caf\udce9 \N{SNOWMAN}"),
            ("Content-Length", "2"),
        ),
        "Over Loaded",
    )
    assert (body(events), kind(events)) == (b"hi", None)


async def test_sent_comes_before_the_head(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(Reply(before=(WaitFor("head"),)))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    assert await until(events, Sent) == [Sent()]
    vendor.release("head")
    assert isinstance((await collect(events))[0], Started)


LARGE = bytes(30_000_000)  # more than the system's buffers hold
EARLY = {
    "refusal": (b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno", 413, b"no"),
    "until close": (b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\nno", 401, b"no"),
    "answer": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, b"hi"),
    "after 100": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n",
        413,
        b"",
    ),
}


@pytest.fixture(params=["plain", "tls"])
def speaking(request: pytest.FixtureRequest, authority: Authority) -> Authority | None:
    return authority if request.param == "tls" else None


def at(port: int, authority: Authority | None) -> str:
    return f"{'https' if authority else 'http'}://127.0.0.1:{port}/"


@pytest.mark.parametrize(("answer", "status", "said"), EARLY.values(), ids=EARLY.keys())
async def test_an_answer_before_the_body_was_read(
    upstream: Upstream, speaking: Authority | None, answer: bytes, status: int, said: bytes
) -> None:
    """It comes at once, and what was not sent by then never is."""
    got: list[int] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if b"connection: close" in answer:
            writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            got.append(len(await reader.read()))

    async with listening(refuse, speaking) as port:
        for number in (1, 2):
            events = await collect(attempt(upstream, post(at(port, speaking), LARGE)))
            assert (events[0], head(events).status, body(events)) == (Sent(), status, said)
            assert kind(events) is None
            async with asyncio.timeout(PATIENCE):
                while len(got) < number:  # noqa: ASYNC110  # closed by this side: of no use any more
                    await asyncio.sleep(0)
    assert max(got) < len(LARGE) // 2


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("framing", [b"content-length: 9", b"connection: close"])
@pytest.mark.parametrize("size", [100_000, len(LARGE)])
async def test_a_refusal_and_a_close_in_the_same_breath(
    upstream: Upstream, speaking: Authority | None, used: bool, framing: bytes, size: int
) -> None:
    """The reset that follows, since the body was not read, takes nothing away; and nothing is asked twice."""
    heads = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heads
        while b"content-length: 1\r" in (await reader.readuntil(b"\r\n\r\n")).lower():
            await reader.readexactly(1)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        heads += 1
        writer.write(b"HTTP/1.1 413 Too Large\r\n" + framing + b"\r\n\r\ntoo large")
        writer.transport.abort()

    async with listening(refuse, speaking) as port:
        url = at(port, speaking)
        for number in range(1, 6):
            if used:
                await collect(attempt(upstream, post(url, b"1")))
            events = await collect(attempt(upstream, post(url, bytes(size))))
            assert (head(events).status, body(events), kind(events)) == (413, b"too large", None)
            assert heads == number


async def test_chunks_come_when_they_are_sent(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(Reply(steps=(Send(b"one"), WaitFor("one"), Send(b"two"), WaitFor("two"))))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    got = await until(events, Data)
    vendor.release("one")
    got += await until(events, Data)
    vendor.release("two")
    got += await collect(events)
    assert got[2:] == [Data(b"one"), Data(b"two"), Closed(None)]


@pytest.mark.parametrize("framing", Framing)
async def test_every_framing_ends_properly(vendor: Vendor, upstream: Upstream, framing: Framing) -> None:
    vendor.reply(Reply(steps=(Send(b"abc"), Send(b"def")), framing=framing))
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"abcdef", None)


async def test_a_close_ends_a_body_without_a_length_also_without_close_notify(
    vendor: Vendor, upstream: Upstream
) -> None:
    vendor.reply(Reply(steps=(Send(b"abc"), Fin(close_notify=False)), framing=Framing.UNTIL_CLOSE))
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"abc", None)


@pytest.mark.parametrize(
    ("answer", "expected", "got"),
    [
        (streamed([b"abc"], Reset()), CauseKind.RESET, b"abc"),
        (streamed([b"abc"], Fin()), CauseKind.INCOMPLETE, b"abc"),
        (streamed([b"abc"], Fin(close_notify=False)), CauseKind.INCOMPLETE, b"abc"),
        (streamed([b"abc"], SendShort(b"de"), Fin()), CauseKind.INCOMPLETE, b"abcde"),
        (Reply(steps=(Send(b"abc"),), framing=Framing.LENGTH, length=99), CauseKind.INCOMPLETE, b"abc"),
        (Reply(steps=(Send(b"a"), Reset()), framing=Framing.UNTIL_CLOSE), CauseKind.RESET, b"a"),
        (
            Raw((Send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n"),)),
            CauseKind.PROTOCOL,
            b"a",
        ),
    ],
    ids=[
        "reset",
        "fin",
        "fin without notify",
        "fin in chunk",
        "short length",
        "reset without length",
        "chunk",
    ],
)
async def test_a_cut_inside_the_body(
    vendor: Vendor, upstream: Upstream, answer: Reply | Raw, expected: CauseKind, got: bytes
) -> None:
    vendor.reply(answer)
    events = await call(upstream, vendor)
    assert (kind(events), body(events)) == (expected, got)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Reset(), CauseKind.RESET),
        (Fin(), CauseKind.RESET),
        (Fin(close_notify=False), CauseKind.RESET),
        (Raw((Send(b"HTTP/1.1 200 OK\r\ncontent-"),)), CauseKind.RESET),
        (Raw((Send(b"220 mail.test ESMTP\r\n\r\n"),)), CauseKind.PROTOCOL),
    ],
    ids=["reset", "fin", "fin without notify", "fin in the head", "not http"],
)
async def test_a_cut_before_the_head(
    vendor: Vendor, upstream: Upstream, answer: Reset | Fin | Raw, expected: CauseKind
) -> None:
    vendor.reply(answer)
    events = await call(upstream, vendor)
    assert kind(events) is expected
    assert not any(isinstance(event, Started) for event in events)
    # A connection that was new is no excuse: nothing was sent a second time.
    assert len(vendor.requests) == 1


# Connections


async def test_a_connection_is_used_again_unless_a_fresh_one_is_asked_for(
    vendor: Vendor, upstream: Upstream
) -> None:
    vendor.always(whole(b"{}"))
    for fresh in (False, False, True, True, False):
        assert kind(await call(upstream, vendor, fresh=fresh)) is None
    assert [received.connection for received in vendor.requests] == [1, 1, 2, 3, 1]


async def test_a_broken_answer_s_connection_is_not_used_again(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(streamed([b"abc"], WaitFor("never"))).reply(whole(b"{}"))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    await until(events, Data)
    await events.aclose()
    await call(upstream, vendor)
    assert [received.connection for received in vendor.requests] == [1, 2]


@pytest.mark.parametrize("death", [Fin(), Fin(close_notify=False), Reset()])
async def test_a_dead_idle_connection_costs_nothing(
    vendor: Vendor, upstream: Upstream, death: Fin | Reset
) -> None:
    vendor.reply(whole(b"one")).reply(death).reply(whole(b"two"))
    await call(upstream, vendor)
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"two", None)
    assert [received.connection for received in vendor.requests] == [1, 1, 2]


@pytest.mark.parametrize(("seconds", "repeated"), [(AT_ONCE - 0.1, True), (AT_ONCE + 0.1, False)])
async def test_a_used_connection_that_ends_later_was_an_attempt(
    vendor: Vendor,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    repeated: bool,
) -> None:
    """The provider may have been at work on what it got whole: to ask again may be paid for again."""
    vendor.reply(whole(b"one")).reply(Reply(before=(WaitFor("late"), Fin()))).reply(whole(b"two"))
    await call(upstream, vendor)
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"), connect_timeout=0)
    assert await until(events, Sent) == [Sent()]
    await vendor.wait_gate("late")
    monkeypatch.setattr(loop, "time", lambda: now + seconds)
    vendor.release("late")
    remainder = [event async for event in events]
    assert len(vendor.requests) == 2 + repeated
    if repeated:
        assert (body(remainder), kind(remainder)) == (b"two", None)
    else:
        assert remainder == [Closed(Cause(CauseKind.RESET, "the connection was closed without an answer"))]


async def test_a_dead_connection_and_then_nobody_is_no_connection(upstream: Upstream) -> None:
    """What went out before went to nobody."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n{}"):
                asked += 1
                if asked == 2:
                    server.close()
                    break
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    request = post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    await collect(attempt(upstream, request))
    found = cause(await collect(attempt(upstream, request)))
    assert asked == 2
    assert found is not None
    assert (found.kind, found.connected) == (CauseKind.CONNECT, False)


async def test_a_dead_idle_connection_is_replaced_once(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(whole(b"one")).reply(Fin(), times=2)
    await call(upstream, vendor)
    assert kind(await call(upstream, vendor)) is CauseKind.RESET
    assert len(vendor.requests) == 3


async def test_a_used_connection_that_breaks_after_a_head_is_no_dead_one(
    vendor: Vendor, upstream: Upstream
) -> None:
    vendor.reply(whole(b"one")).reply(streamed([b"abc"], Reset()))
    await call(upstream, vendor)
    assert kind(await call(upstream, vendor)) is CauseKind.RESET
    assert len(vendor.requests) == 2


async def test_nobody_listens(upstream: Upstream) -> None:
    async with listening(lambda reader, writer: asyncio.sleep(0)) as port:
        pass
    events = await collect(attempt(upstream, post(f"http://127.0.0.1:{port}/?key=secret")))
    assert events == [Closed(Cause(CauseKind.CONNECT, "cannot connect: Connection refused"))]
    assert not Cause(CauseKind.CONNECT, "").connected


async def test_no_such_name(upstream: Upstream) -> None:
    """Longer than DNS can ask for, so that nobody is asked."""
    host = ".".join(["a" * 63] * 4)
    events = await collect(attempt(upstream, post(f"http://{host}/")))
    assert events == [Closed(Cause(CauseKind.DNS, "the host name cannot be resolved"))]


async def test_a_certificate_nobody_vouches_for(authority: Authority) -> None:
    upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
    async with Vendor(tls=authority) as vendor:
        events = await call(upstream, vendor)
        assert vendor.requests == []
    found = cause(events)
    assert found is not None
    assert found.kind is CauseKind.CERTIFICATE
    assert "certificate" in found.text
    assert found.connected, "no wait mends that"


async def test_a_server_that_speaks_no_tls(upstream: Upstream) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with listening(answer) as port:
        events = await collect(attempt(upstream, post(f"https://127.0.0.1:{port}/")))
    assert events == [Closed(Cause(CauseKind.TLS, "TLS: WRONG_VERSION_NUMBER"))]


async def test_a_close_in_the_handshake(upstream: Upstream) -> None:
    async with listening(lambda reader, writer: reader.readexactly(1)) as port:  # type: ignore[arg-type,return-value]
        events = await collect(attempt(upstream, post(f"https://127.0.0.1:{port}/")))
    assert kind(events) is CauseKind.TLS


async def test_the_connect_timeout_covers_the_handshake(upstream: Upstream) -> None:
    left = asyncio.Event()
    async with listening(silence_until(left)) as port:
        request = post(f"https://127.0.0.1:{port}/")
        events = await collect(attempt(upstream, request, connect_timeout=0.05))
        await asyncio.wait_for(left.wait(), PATIENCE)
    assert events == [Closed(Cause(CauseKind.TIMEOUT, "no connection in time"))]


async def test_the_connect_timeout_ends_with_the_connection(
    vendor: Vendor, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.reply(Reply(before=(WaitFor("head"),), steps=(Send(b"late"),)))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"), connect_timeout=5.0)
    assert await until(events, Sent) == [Sent()]
    loop = asyncio.get_running_loop()
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + 60.0)
    vendor.release("head")
    assert body([event async for event in events]) == b"late"


# Leaving


async def test_cancelled_in_the_handshake(upstream: Upstream) -> None:
    left, greeted = asyncio.Event(), asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        greeted.set()
        await silence_until(left)(reader, writer)

    async with listening(handle) as port:
        task = asyncio.create_task(collect(attempt(upstream, post(f"https://127.0.0.1:{port}/"))))
        await asyncio.wait_for(greeted.wait(), PATIENCE)
        await cancelled(task)
        await asyncio.wait_for(left.wait(), PATIENCE)


async def test_cancelled_before_the_head(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(Hang())
    task = asyncio.create_task(call(upstream, vendor))
    (received,) = await vendor.wait_requests(1)
    await cancelled(task)
    await asyncio.wait_for(received.closed_by_client.wait(), PATIENCE)


async def test_cancelled_in_the_body(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(streamed([b"abc"], WaitFor("never")))
    task = asyncio.create_task(call(upstream, vendor))
    await vendor.wait_gate("never")
    await cancelled(task)
    await asyncio.wait_for(vendor.requests[0].closed_by_client.wait(), PATIENCE)


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_while_it_closes(vendor: Vendor, upstream: Upstream, turns: int) -> None:
    """The last bytes are in, and so many turns of the loop later nobody waits for the end any more."""
    vendor.reply(streamed([b"abc"]))
    seen = asyncio.Event()

    async def read() -> None:
        async for event in attempt(upstream, post(f"{vendor.base_url}/v1/x")):
            if isinstance(event, Data):
                seen.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(seen.wait(), PATIENCE)
    await vendor.requests[0].finished.wait()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert upstream._connections._used == set()


@pytest.mark.parametrize("last", [Sent, Started, Data])
async def test_closed_by_the_reader(
    vendor: Vendor, upstream: Upstream, last: type[Sent] | type[Started] | type[Data]
) -> None:
    vendor.reply(streamed([b"abc"], WaitFor("never")))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    await until(events, last)
    await events.aclose()
    await vendor.wait_idle()
    assert len(vendor.requests) <= 1


async def cancelled(task: asyncio.Task[list[UpstreamEvent]]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), PATIENCE)


async def test_close_ends_what_is_under_way(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(streamed([b"abc"], WaitFor("never")))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    await until(events, Data)
    await upstream.close()
    assert await collect(events) == [Closed(Cause(CauseKind.RESET, "the connection was reset"))]
    await vendor.wait_idle()


# Content codings


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_compressed_events_are_decoded_as_they_come(
    vendor: Vendor, upstream: Upstream, coding: str
) -> None:
    vendor.reply(Reply(steps=(Send(b"one"), WaitFor("one"), Send(b"two")), encoding=coding))
    events = attempt(upstream, post(f"{vendor.base_url}/v1/x"))
    got = await until(events, Data)
    assert body(got) == b"one"
    vendor.release("one")
    got += await collect(events)
    assert (body(got), kind(got)) == (b"onetwo", None)
    assert header(head(got).headers, "content-encoding") is None


CODED = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("coding", CODED)
async def test_a_compressed_body_cut_inside_good_framing(
    vendor: Vendor, upstream: Upstream, coding: str
) -> None:
    coded = CODED[coding](b"hello" * 50)
    vendor.reply(whole(coded[:-1], headers=(("Content-Encoding", coding),)))
    events = await call(upstream, vendor)
    assert cause(events) == Cause(CauseKind.ENCODING, "the body ends inside its compressed data")


async def test_a_reset_in_a_compressed_body_is_a_reset(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(Reply(steps=(Send(b"abc"), Reset()), encoding="gzip"))
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"abc", CauseKind.RESET)


async def test_corrupt_data_closes_the_connection(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(
        streamed([b"secret" * 20], WaitFor("never"), headers=(("content-encoding", "gzip"),)),
    )
    events = await call(upstream, vendor)
    assert cause(events) == Cause(CauseKind.ENCODING, "corrupt gzip or deflate data")
    await vendor.wait_idle()


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
async def test_an_empty_body_needs_no_end_of_its_coding(
    vendor: Vendor, upstream: Upstream, framing: Framing
) -> None:
    vendor.reply(Reply(headers=(("content-encoding", "gzip"),), framing=framing))
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"", None)


async def test_an_unknown_coding_passes_as_it_is(vendor: Vendor, upstream: Upstream) -> None:
    vendor.reply(whole(b"opaque", headers=(("Content-Encoding", "gzip"), ("Content-Encoding", "snappy"))))
    events = await call(upstream, vendor)
    assert (body(events), kind(events)) == (b"opaque", None)
    assert [value for name, value in head(events).headers if name == "Content-Encoding"] == ["gzip", "snappy"]


# Trust


async def test_insecure_takes_any_certificate(vendor: Vendor) -> None:
    upstream = Upstream(Direct(tls_context(insecure=True, ca_file=None, ca_dir=None)))
    vendor.reply(whole(b"{}"))
    assert kind(await call(upstream, vendor)) is None
    await upstream.close()


async def test_a_directory_of_trusted_certificates(authority: Authority, tmp_path: Path) -> None:
    pem = authority.ca_path.read_bytes()
    certificate = OpenSSL.crypto.load_certificate(OpenSSL.crypto.FILETYPE_PEM, pem)
    (tmp_path / f"{certificate.subject_name_hash():08x}.0").write_bytes(pem)
    upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=str(tmp_path))))
    async with Vendor(tls=authority) as vendor:
        vendor.reply(whole(b"{}"))
        assert kind(await call(upstream, vendor)) is None
        await upstream.close()


# Secrets


async def test_nothing_is_logged(
    vendor: Vendor, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    vendor.reply(whole(b"{}", headers=(("x-echo", "sk-secret"),)))
    with caplog.at_level(logging.DEBUG):
        await collect(attempt(upstream, post(f"{vendor.base_url}/?key=sk-secret", Authorization="sk-secret")))
    assert "sk-secret" not in caplog.text
