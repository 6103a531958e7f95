"""A provider that is away for a while: whoever asks waits for it, and pays for nothing."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import ask, client
from tests.vendor import Vendor, VendorThread, whole

CONFIG = """
[providers.openai]
base_url = "https://127.0.0.1:{port}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[retry]
max_attempts = 1
"""
HEADERS = {"authorization": "Bearer sk-own", "x-stainless-retry-count": "1"}


@asynccontextmanager
async def away(port: int, times: int) -> AsyncIterator[int]:
    """A port that resets its first `times` connections in the TLS handshake, and leads to `port` then."""
    number = itertools.count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if next(number) < times:
            writer.transport.abort()
            return
        there, here = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pass_on(reader, here), pass_on(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@contextmanager
def outage(vendor: VendorThread, times: int) -> Iterator[int]:
    door = away(vendor.port, times)
    port = vendor.run(door.__aenter__())
    try:
        yield port
    finally:
        vendor.run(door.__aexit__(None, None, None))


@pytest.mark.parametrize(
    ("path", "times"),
    [("chat/completions", 3), ("embeddings", 2)],
)
def test_an_outage_is_waited_for_though_no_attempt_is_left(tmp_path: Path, path: str, times: int) -> None:
    """Also of a call that is cheap to ask again, and of a client that asks again itself."""
    with VendorThread(Vendor(tls=True)) as vendor, outage(vendor, times) as port:
        trusted = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
        vendor.on(path="/v1/embeddings").reply(whole(b'{"object":"list","data":[]}'))
        with (
            Proxy(tmp_path, CONFIG.format(port=port), keys={"ONE": "sk-pool-one"}, options=trusted) as proxy,
            client(proxy) as http,
        ):
            url = f"https://api.openai.com/v1/{path}"
            answer = http.post(url, headers=HEADERS, content=ask(stream=False, input="x"))
            log = proxy.wait_log("end=completed")
        assert answer.status_code == 200, answer.text
        assert log.count("unreachable(TLS") == times, log
        assert len(vendor.requests) == 1


def test_a_client_may_ask_again_where_nothing_was_sent(tmp_path: Path) -> None:
    config = CONFIG.format(port=9).replace("https:", "http:") + "deadline = 0.1\n"
    with Proxy(tmp_path, config, keys={"ONE": "sk-pool-one"}) as proxy, client(proxy) as http:
        answer = http.post("https://api.openai.com/v1/chat/completions", headers=HEADERS, content=ask())
    assert answer.status_code == 502
    assert "cannot connect" in answer.text
    assert "x-should-retry" not in answer.headers
