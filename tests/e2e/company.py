"""A company's proxy: the only way out, which wants a user name, and knows where every host is."""

import asyncio
import socketserver
import threading
from types import TracebackType
from typing import Self


class CompanyProxy:
    """Tunnels each CONNECT to `port` of this machine, whatever host it names. `asked`: head by head."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    if writer.can_write_eof():
        writer.write_eof()


class Refusing(socketserver.ThreadingTCPServer):
    """A company's proxy that answers every CONNECT with the same bytes. `asked`: how many it has answered."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.answer = answer
        self.asked = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Refusal(socketserver.StreamRequestHandler):
    server: Refusing

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.server.asked += 1
        self.wfile.write(self.server.answer)
