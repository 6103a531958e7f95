"""A flow that the user replays from the inspector: nobody waits for a stream, so the answer is set whole.

mitmproxy replays on an HTTP layer of its own, which the relay does not reach.
"""

import time

from mitmproxy import http

from addons.answering import Answering
from addons.interception import Intercepted, Interception


class Buffer:
    """A response that is kept instead of sent."""

    draining = False

    def __init__(self) -> None:
        self.response = http.Response.make(502)
        self._body = bytearray()

    async def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.response = http.Response(
            b"HTTP/1.1", status, reason, http.Headers(headers), None, None, time.time(), None
        )

    async def send(self, data: bytes) -> None:
        self._body += data

    async def end(self) -> None:
        self.response.raw_content = bytes(self._body)
        self.response.timestamp_end = time.time()

    async def abort(self, message: str) -> None:
        self.response = http.Response.make(502, message)


class Replay:
    """Answers replayed flows by the same machinery as live ones."""

    def __init__(self, answering: Answering, interception: Interception) -> None:
        self._answering, self._interception = answering, interception

    async def answer(self, flow: http.HTTPFlow, intercepted: Intercepted) -> None:
        buffer = Buffer()
        if intercepted.operation is None:
            lease = self._interception.account(intercepted)
            await self._answering.pass_once(flow, intercepted, lease, buffer)
        else:
            await self._answering.begin(flow, intercepted).run(buffer)
        flow.response = buffer.response
