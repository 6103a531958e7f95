"""Clients that stop reading, over HTTP/1.1 and HTTP/2, and a provider that would send 200 MB at once.

No time is measured: the provider has come to a stop when it has written nothing between many answers of the
proxy to others. What was written and not taken lies in the system's buffers, which are counted, or in the
proxy's memory, which has to be little.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol

import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.queues import queued
from tests.e2e.talk import PATIENCE, PROBE, Http1, Http2, ask, client, order, post, tunnel, wait_order
from tests.vendor import Received, Vendor, VendorThread, WaitFor, chat_stream, streamed

CHAT, HOST = "/v1/chat/completions", "api.openai.com"
OWN = {"authorization": "Bearer sk-own-key"}
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 65_000 + b'"}}]}\n\n'
EVENTS = 3200
STEP = 6 << 20
"""Bytes that a client takes before it stops again."""

OURS = 2 << 20
"""Bytes of one answer that the proxy may hold: its own buffers, a large frame's pieces on their way."""

STILL = 25
"""Answers of the proxy to others between which the provider writes nothing: it is at a stop."""

WIDE = 1 << 30


class Reader(Protocol):
    """A client that has asked; it reads when a test asks for it."""

    @property
    def taken(self) -> int: ...

    def take(self, size: int) -> None: ...

    def close(self) -> None: ...


class ReaderH1:
    def __init__(self, proxy: Proxy) -> None:
        self._us = Http1(tunnel(proxy, HOST))
        self._us.send(post(CHAT, HOST, ask(), list(OWN.items())))
        self.taken = 0

    def take(self, size: int) -> None:
        end = self.taken + size
        while self.taken < end:
            data = self._us.sock.recv(65536)
            assert data, "the answer broke off"
            self.taken += len(data)

    def close(self) -> None:
        self._us.leave()


class ReaderH2:
    def __init__(self, proxy: Proxy, window: int = 0) -> None:
        self._us = Http2(proxy, HOST, window=window)
        self._number = self._us.post(CHAT, ask(), OWN)

    @property
    def taken(self) -> int:
        return len(self._us.streams[self._number].data)

    def take(self, size: int) -> None:
        end = self.taken + size
        while self.taken < end:
            self._us.receive()

    def close(self) -> None:
        self._us.close()


READERS: dict[str, Callable[[Proxy], Reader]] = {
    "h1": ReaderH1,
    "h2": ReaderH2,
    "h2, a window that never closes": lambda proxy: ReaderH2(proxy, WIDE),
}


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread(Vendor(tls=True)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    config = f'[providers.openai]\nbase_url = "{vendor.base_url}"\n'
    trusted = ("--set", f"ssl_verify_upstream_trusted_ca={vendor.ca_path}")
    folder = tmp_path_factory.mktemp("slow_readers")
    with Proxy(folder, config, options=trusted, scripts=(ADDON, PROBE)) as running:
        yield running


def at_a_stop(proxy: Proxy, received: Received) -> int:
    """What the provider has written, once it can write no more."""
    written, still = -1, 0
    with client(proxy) as http:
        while still < STILL:
            http.get("http://probe.test/queued").raise_for_status()
            still = still + 1 if received.sent == written else 0
            written = received.sent
    return written


def check_at_rest(proxy: Proxy, received: Received, reader: Reader) -> None:
    """Counted again where bytes were on their way between two counts; what is held for good stays held."""
    end = time.monotonic() + PATIENCE
    while True:
        written = at_a_stop(proxy, received)
        held = written - reader.taken - queued() - order(proxy, "queued")
        assert written < len(EVENT) * EVENTS
        if held < OURS:
            return
        assert time.monotonic() < end, f"the proxy holds {held} bytes"


@pytest.mark.parametrize("how", READERS)
def test_what_a_client_does_not_take_stays_with_the_provider(
    proxy: Proxy, vendor: VendorThread, how: str
) -> None:
    vendor.requests.clear()
    vendor.reply(streamed([EVENT] * EVENTS))
    with closing(READERS[how](proxy)) as reader:
        (received,) = vendor.wait_requests(1)
        for _ in range(2):
            check_at_rest(proxy, received, reader)
            reader.take(STEP)
    vendor.run(received.closed_by_client.wait())
    wait_order(proxy, lambda state: state["drivers"] == 0, "state")


def test_a_stream_that_is_not_read_holds_up_no_other(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.requests.clear()
    vendor.reply(streamed([EVENT] * 8, WaitFor("never"))).reply(streamed(chat_stream(["Hello"])))
    with Http2(proxy, HOST, shared=WIDE) as us:
        slow = us.post(CHAT, ask(), OWN)
        us.unread.add(slow)
        us.take(slow, 65_535)
        other = us.finished(us.post(CHAT, ask(), OWN))
        assert (other.ended, bytes(other.data)) == (True, b"".join(chat_stream(["Hello"])))
        assert len(us.streams[slow].data) == 65_535
