"""How origins are reached: straight, through a tunnel, and with an absolute target."""

import asyncio

import pytest

from addons.upstream.events import Closed, Sent
from addons.upstream.failure import Cause, CauseKind
from addons.upstream.way import Direct, Proxied, way
from protocols.model.http import Origin
from tests.addons.asking import (
    PATIENCE,
    answering,
    attempt,
    body,
    call,
    collect,
    kind,
    listening,
    post,
    silence_until,
    through,
    trusting,
    tunnelling,
)
from tests.vendor import Authority, Fin, Vendor, streamed, whole


@pytest.mark.parametrize(
    ("url", "origin", "authorization"),
    [
        ("http://proxy.test", Origin("http", "proxy.test", 80), ()),
        ("HTTPS://proxy.test/", Origin("https", "proxy.test", 443), ()),
        ("http://[::1]:8080", Origin("http", "::1", 8080), ()),
        (
            "http://us%40er:p%3Aw@proxy.test:3128",
            Origin("http", "proxy.test", 3128),
            (("Proxy-Authorization", "Basic dXNAZXI6cDp3"),),
        ),
    ],
)
def test_a_proxy_s_url_is_read_once(
    authority: Authority, url: str, origin: Origin, authorization: tuple[tuple[str, str], ...]
) -> None:
    tls = trusting(authority)
    assert way(url, tls) == Proxied(tls, origin, authorization)
    assert way("", tls) == Direct(tls)


@pytest.mark.parametrize(
    "url", ["http://user:7sec#ret@proxy.test", "http://user:7sec@proxy.test:99999", "http://"]
)
def test_a_proxy_s_url_that_cannot_be_read_is_not_quoted(authority: Authority, url: str) -> None:
    with pytest.raises(ValueError, match="upstream proxy's URL") as refusal:
        way(url, trusting(authority))
    assert "7" not in str(refusal.value)


async def test_a_proxy_that_speaks_before_the_tunnel_does_is_refused(authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
        await reader.read()

    async with listening(serve) as port:
        upstream = through(authority, f"http://127.0.0.1:{port}")
        events = await collect(attempt(upstream, post("https://provider.test/")))
        await upstream.close()
    assert kind(events) is CauseKind.CONNECT


async def test_a_tunnel_through_a_proxy(authority: Authority) -> None:
    async with Vendor(tls=authority) as vendor, tunnelling(vendor.port) as (proxy, heads):
        upstream = through(authority, proxy)
        vendor.always(streamed([b"abc"]))
        request = post(f"{vendor.base_url}//v1/%7e?key=k", Authorization="Bearer sk-test")
        for _ in range(2):
            events = await collect(attempt(upstream, request))
            assert (body(events), kind(events)) == (b"abc", None)
            assert events[0] == Sent()
        await upstream.close()
        target = f"127.0.0.1:{vendor.port}"
    assert [received.target for received in vendor.requests] == ["//v1/%7e?key=k"] * 2
    assert [received.connection for received in vendor.requests] == [1, 1]
    assert len(heads) == 1
    assert heads[0].startswith(f"CONNECT {target} HTTP/1.1\r\n".encode())
    assert b"proxy-authorization: basic dxnlcjp3b3jk\r\n" in heads[0].lower()
    assert b"sk-test" not in heads[0]
    assert vendor.requests[0].header("proxy-authorization") is None


async def test_a_fresh_connection_and_a_dead_one_through_a_proxy(authority: Authority) -> None:
    async with Vendor(tls=authority) as vendor, tunnelling(vendor.port) as (proxy, heads):
        upstream = through(authority, proxy)
        vendor.reply(whole(b"1")).reply(whole(b"2")).reply(Fin()).reply(whole(b"3"))
        for expected, fresh in ((b"1", False), (b"2", True), (b"3", False)):
            assert body(await call(upstream, vendor, fresh=fresh)) == expected
        await upstream.close()
    assert [received.connection for received in vendor.requests] == [1, 2, 1, 3]
    assert len(heads) == 3


async def test_plain_http_through_a_proxy_has_an_absolute_target(authority: Authority) -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi") as (proxy, heads):
        upstream = through(authority, proxy)
        events = await collect(attempt(upstream, post("http://provider.test:81//a/../%7e")))
        await upstream.close()
    assert body(events) == b"hi"
    assert heads[0].startswith(b"POST http://provider.test:81//a/../%7e HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("status", "kind", "remedy"),
    [
        (407, CauseKind.REFUSED, "put its user name and password into its URL"),
        (403, CauseKind.REFUSED, "its operator has to allow that host"),
        (302, CauseKind.REFUSED, "its operator knows why"),
        (429, CauseKind.CONNECT, "it may be overloaded"),
        (503, CauseKind.CONNECT, "it may be overloaded"),
    ],
)
async def test_a_proxy_that_refuses(authority: Authority, status: int, kind: CauseKind, remedy: str) -> None:
    refusal = b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % status
    async with answering(refusal) as (proxy, _):
        upstream = through(authority, proxy)
        events = await collect(attempt(upstream, post("https://provider.test/?key=secret")))
        await upstream.close()
    address = proxy.rpartition("@")[2]
    assert [type(event) for event in events] == [Closed]
    cause = events[0].cause if isinstance(events[0], Closed) else None
    assert cause is not None
    assert cause.kind is kind
    assert (cause.connected, cause.is_lasting) == (False, kind is CauseKind.REFUSED)
    said = f"the upstream proxy {address} refused to connect to provider.test:443 with {status}: "
    assert cause.text.startswith(said + remedy)


async def test_the_connect_timeout_covers_the_proxy(authority: Authority) -> None:
    left = asyncio.Event()
    async with listening(silence_until(left)) as port:
        upstream = through(authority, f"http://127.0.0.1:{port}")
        request = post("https://provider.test/")
        events = await collect(attempt(upstream, request, connect_timeout=0.05))
        await asyncio.wait_for(left.wait(), PATIENCE)
        await upstream.close()
    assert events == [Closed(Cause(CauseKind.TIMEOUT, "no connection in time"))]


def test_other_kinds_of_proxy_are_refused_without_their_password(authority: Authority) -> None:
    with pytest.raises(ValueError, match="'socks5'") as refusal:
        way("socks5://user:word@127.0.0.1:1", trusting(authority))
    assert "word" not in str(refusal.value)


async def test_a_name_the_certificate_is_not_for(authority: Authority) -> None:
    async with Vendor(tls=authority) as vendor, tunnelling(vendor.port) as (proxy, _):
        upstream = through(authority, proxy)
        events = await collect(attempt(upstream, post("https://other.test/")))
        await upstream.close()
    assert kind(events) is CauseKind.CERTIFICATE
    assert vendor.requests == []
