"""How a host is reached over real sockets, and whose certificates are trusted."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.upstream.connection import NetworkStream
from addons.upstream.failure import Cause, CauseKind, Failure
from addons.upstream.network import connect, is_this_machine, tls_context
from tests.addons.upstream.peer import PATIENCE, ByHand, cancelled, open_sockets, reset, serving, until
from tests.vendor import Authority

type Address = tuple[int, int, int, str, tuple[Any, ...]]

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="a full queue of connections is silent on Linux alone"
)


pytestmark = pytest.mark.usefixtures("tasks", "nothing_left")


# Addresses


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives a name these addresses: pairs of an address and a port, or what its look-up raises."""

    def give(*addresses: tuple[str, int], error: Exception | None = None) -> str:
        async def look_up(host: str, port: int, **how: object) -> list[Address]:
            if error is not None:
                raise error
            return [_address(*each) for each in addresses]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        return "provider.test"

    return give


def _address(host: str, port: int) -> Address:
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses: bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_a_connection_sends_probes_in_silence() -> None:
    async with serving() as peer:
        stream, _, _ = await peer.both()
        connection = stream.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
        stream.abort()


async def test_after_an_address_that_refuses_comes_the_next(
    name: Callable[..., str], closed_port: int
) -> None:
    async with serving() as peer:
        host = name(("127.0.0.1", closed_port), ("127.0.0.1", peer.port))
        stream = await connect(host, 443, NetworkStream)
        assert stream.transport.get_extra_info("peername") == ("127.0.0.1", peer.port)
        stream.abort()


@on_linux
async def test_beside_an_address_that_is_silent_the_next_is_tried(
    name: Callable[..., str], silent_port: int
) -> None:
    async with serving() as peer:
        host = name(("127.0.0.1", silent_port), ("127.0.0.1", peer.port))
        async with asyncio.timeout(PATIENCE):
            stream = await connect(host, 443, NetworkStream)
        assert stream.transport.get_extra_info("peername") == ("127.0.0.1", peer.port)
        stream.abort()


@pytest.mark.parametrize(("there", "other"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
async def test_of_two_families_the_one_that_answers(
    name: Callable[..., str], closed_port: int, there: str, other: str
) -> None:
    if not can_listen(there):
        pytest.skip(f"this machine has no {there}")
    async with serving(host=there) as peer:
        stream = await connect(name((other, closed_port), (there, peer.port)), 443, NetworkStream)
        assert stream.transport.get_extra_info("peername")[:2] == (there, peer.port)
        stream.abort()


def can_listen(host: str) -> bool:
    with socket.socket(_address(host, 0)[0]) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
        return True


@pytest.mark.parametrize("count", [1, 2])
async def test_no_address_answers(name: Callable[..., str], closed_port: int, count: int) -> None:
    with pytest.raises(Failure) as failure:
        await connect(name(*[("127.0.0.1", closed_port)] * count), 443, NetworkStream)
    assert failure.value.cause == Cause(CauseKind.CONNECT, "cannot connect: Connection refused")


async def test_a_name_without_an_address(name: Callable[..., str]) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "unknown")
    with pytest.raises(Failure) as failure:
        await connect(name(error=unknown), 443, NetworkStream)
    assert failure.value.cause == Cause(CauseKind.DNS, "the host name cannot be resolved")


@on_linux
@pytest.mark.parametrize("count", [1, 2])
async def test_cancelled_while_connecting(name: Callable[..., str], silent_port: int, count: int) -> None:
    host, before = name(*[("127.0.0.1", silent_port)] * count), open_sockets()
    await cancelled(
        connect(host, 443, NetworkStream), lambda: until(lambda: len(open_sockets() - before) == count)
    )


# TLS


async def test_a_certificate_nobody_vouches_for(authority: Authority) -> None:
    async with serving(authority) as peer:
        stream = await connect("127.0.0.1", peer.port, NetworkStream)
        with pytest.raises(Failure) as failure:
            await stream.start_tls(ssl.create_default_context(), "localhost")
        assert failure.value.cause.kind is CauseKind.CERTIFICATE


async def test_a_server_that_speaks_no_tls(authority: Authority) -> None:
    async with serving() as peer:
        stream, _, writer = await peer.both()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(Failure) as failure:
            await stream.start_tls(authority.client_context(), "localhost")
        assert failure.value.cause == Cause(CauseKind.TLS, "TLS: WRONG_VERSION_NUMBER")


@pytest.mark.parametrize("end", [asyncio.StreamWriter.close, reset])
async def test_a_close_in_the_handshake(
    authority: Authority, end: Callable[[asyncio.StreamWriter], None]
) -> None:
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        handshake = asyncio.create_task(stream.start_tls(authority.client_context(), "localhost"))
        await reader.readexactly(5)
        end(writer)
        with pytest.raises(Failure) as failure:
            await handshake
        closed = Cause(CauseKind.TLS, "TLS: the connection was closed in the handshake")
        assert failure.value.cause == closed


async def test_tls_in_tls(authority: Authority) -> None:
    """As to a provider through an https proxy."""
    async with serving(authority) as peer:
        outer, reader, writer = await peer.both()
        server = ByHand(authority, reader, writer)
        shaking = asyncio.create_task(server.shake_hands())
        await outer.start_tls(authority.client_context(), "localhost")
        await shaking
        server.end.send(b"inner")
        server.flush()
        assert await outer.read() == b"inner"
        outer.abort()


async def test_a_server_may_renew_its_keys(authority: Authority) -> None:
    async with serving() as peer:
        stream, reader, writer = await peer.both()
        server = ByHand(authority, reader, writer)
        shaking = asyncio.create_task(server.shake_hands())
        await stream.start_tls(authority.client_context(), "localhost")
        await shaking
        reading = asyncio.create_task(stream.read())
        async with asyncio.timeout(PATIENCE):
            await server.renew_keys()
            server.end.send(b"renewed")
            server.flush()
            assert await reading == b"renewed"
        stream.abort()


def test_certificates_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ValueError, match=r"ssl_verify_upstream_trusted_ca='.*missing\.pem'"):
        tls_context(insecure=False, ca_file=missing, ca_dir=None)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost.",
        "127.0.0.1",
        "127.255.0.3",
        "127.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "0",
        "0.0.0.0",
        "[::1]",
        "::1",
        "::",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
        socket.gethostname(),
    ],
)
async def test_every_name_of_this_machine_is_known(host: str) -> None:
    assert await is_this_machine(host)


@pytest.mark.parametrize(
    "host", ["no-such-name.invalid", "192.0.2.1", "12.7.0.1", "::2", "localhost.invalid", "x" * 300]
)
async def test_others_are_not(host: str) -> None:
    assert not await is_this_machine(host)
