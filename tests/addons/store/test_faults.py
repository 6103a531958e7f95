"""What happens to a connection on a real network: cut in the middle, TLS, others there, a new config."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from pathlib import Path
from time import time

import pytest

from addons.config.shared_state import SharedState
from addons.store import wire
from addons.store.connection import Connection
from addons.store.line import Answer
from addons.store.script import Script
from tests.addons.store.connecting import connected, made, running, shared, until
from tests.redis_server import WITHOUT, RedisServer, free_port
from tests.vendor.authority import Authority

pytestmark = WITHOUT

TEXT = "return redis.call('INCR', KEYS[1])"
COUNT = Script("count", TEXT, sha1(TEXT.encode()).hexdigest())


class Between:
    """Stands between proxies and a server, and may lose answers."""

    def __init__(self, port: int) -> None:
        self._port, self.loses = port, False
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_connection("127.0.0.1", self._port)
        pump = asyncio.create_task(_pump(reader, commands))
        self._tasks.add(pump)
        while (data := await answers.read(1 << 16)) and not self.loses:
            writer.write(data)
        self.loses = False
        for each in (writer, commands):
            each.transport.abort()
        await pump


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


async def test_an_answer_that_is_lost_on_its_way(store: RedisServer) -> None:
    between = Between(store.port)
    async with between.serve() as url, connected(url) as one:
        await one.call(COUNT, ["n"], [])
        answers: list[Answer] = []
        late: list[Answer] = []
        between.loses = True
        one.ask(COUNT, ["n"], [], answers.append, seconds=10, late=late.append)
        await until(lambda: bool(answers))
        assert (answers, late) == ([None], [])
        assert store.client().get("n") == "2"  # it was executed, and nothing is sent twice
        await until(lambda: one.is_up)
        assert await one.call(COUNT, ["n"], []) == 3


async def test_a_fault_of_ours_is_named_and_it_is_tried_again(
    store: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Exception] = []
    one = Connection(time, lambda what, error: faults.append(error))
    one.configure(shared(store.url))
    real = wire.opened

    async def broken(server: SharedState, name: str) -> wire.Wire:
        monkeypatch.setattr(wire, "opened", real)
        raise AttributeError("nobody thought of it")

    monkeypatch.setattr(wire, "opened", broken)
    turns = iter([KeyError("nor of this")])

    async def up() -> None:
        for error in turns:
            raise error

    one.on_up(up)
    async with running(one):
        await until(lambda: one.is_up)
    assert [type(error) for error in faults] == [AttributeError, KeyError]


async def test_another_server_in_the_config(store: RedisServer, tmp_path: Path) -> None:
    async with connected(store.url) as one:
        before = one.store
        with RedisServer(tmp_path) as other:
            one.configure(shared(other.url))
            assert not one.is_up
            await until(lambda: one.is_up)
            assert (one.store != before, one.name) == (True, f"127.0.0.1:{other.port}/0")
            assert not _clients(store)
            one.configure(None)
            await until(lambda: not _clients(other))
            assert (one.is_up, one.name, one.prefix) == (False, "", "")


def _clients(server: RedisServer) -> list[str]:
    return [each["name"] for each in server.client().client_list() if each["name"].startswith("rotator-")]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Authority]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    files = ("--tls-cert-file", str(folder / "leaf.pem"), "--tls-key-file", str(folder / "leaf.pem"))
    port = free_port()
    trust = ("--tls-ca-cert-file", str(authority.ca_path), "--tls-auth-clients", "no")
    server = RedisServer(folder, "--tls-port", str(port), *files, *trust)
    try:
        server.start()
    except AssertionError:
        pytest.skip("this redis-server was built without TLS")
    yield port, authority
    server.kill()


async def test_tls(secure: tuple[int, Authority], monkeypatch: pytest.MonkeyPatch) -> None:
    port, authority = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_path))
    async with connected(f"rediss://localhost:{port}") as one:
        assert await one.command("PING") == b"PONG"


async def test_a_certificate_that_nobody_trusts(secure: tuple[int, Authority]) -> None:
    port, _ = secure
    async with running(made(f"rediss://localhost:{port}")) as one:
        await until(lambda: bool(one.reason))
        assert one.reason.startswith("its certificate is not trusted: ")


async def test_no_tls_with_a_server_that_wants_it(secure: tuple[int, Authority]) -> None:
    port, _ = secure
    async with running(made(f"redis://127.0.0.1:{port}")) as one:
        await until(lambda: bool(one.reason))
        assert not one.is_up


NO_REDIS = "it does not speak the protocol of Redis"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NO_REDIS),
        (b":never\r\n", NO_REDIS),
        (b":1" + b"0" * 5000 + b"\r\n", NO_REDIS),
        (b"+" + b"x" * 3_000_000 + b"\r\n", NO_REDIS),
        (b"*1\r\n" * 5000 + b":1\r\n", NO_REDIS),
        (b"-ERR \x1b[31mred\x07\r\n", "[31mred"),
    ],
    ids=["HTTP", "no number", "huge", "long", "deep", "terminal"],
)
async def test_something_else_that_listens_there(said: bytes, reason: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1 << 16):
                writer.write(said * 4)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(made(f"redis://127.0.0.1:{port}")) as one:
            await until(lambda: bool(one.reason))
            assert one.reason == reason
