"""The fake provider for tests without an event loop: it runs in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.vendor.http1 import Received
from tests.vendor.queues import Queue
from tests.vendor.script import Answer
from tests.vendor.server import Vendor


class VendorThread:
    """`with VendorThread() as vendor:` - the interface of `Vendor`, blocking where that awaits.

    Takes the vendor to run, not started: `VendorThread(Vendor(tls=True))`.
    """

    def __init__(self, vendor: Vendor | None = None) -> None:
        self._vendor = vendor or Vendor()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vendor", daemon=True)
        self._thread.start()
        self.run(self._vendor.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.run(self._vendor.__aexit__(kind, error, trace))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Await something in the vendor's loop, such as `received.closed_by_client.wait()`."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    @property
    def requests(self) -> list[Received]:
        return self._vendor.requests

    @property
    def port(self) -> int:
        return self._vendor.port

    @property
    def base_url(self) -> str:
        return self._vendor.base_url

    @property
    def ca_path(self) -> Path:
        return self._vendor.ca_path

    @property
    def open_connections(self) -> int:
        return self._vendor.open_connections

    def on(self, key: str | None = None, path: str | None = None) -> Queue:
        return self._vendor.on(key, path)

    def reply(self, answer: Answer, times: int = 1) -> Queue:
        return self._vendor.reply(answer, times)

    def always(self, answer: Answer) -> Queue:
        return self._vendor.always(answer)

    def release(self, gate: str) -> None:
        self._vendor.release(gate)

    def wait_gate(self, gate: str) -> None:
        self.run(self._vendor.wait_gate(gate))

    def wait_requests(self, count: int) -> list[Received]:
        return self.run(self._vendor.wait_requests(count))

    def wait_idle(self) -> None:
        self.run(self._vendor.wait_idle())
