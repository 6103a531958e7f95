"""The pages of a bench under an address of their own, in a thread, for a browser that is to see much."""

import asyncio
import threading
from contextlib import aclosing
from types import TracebackType
from typing import Self

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from addons.pages.site import EVENTS
from tests.addons.pages.bench import Bench


class _Handler(RequestHandler):
    def initialize(self, bench: Bench) -> None:
        self._pages = bench.pages

    async def get(self, path: str) -> None:
        if path != EVENTS:
            query = {name: self.get_query_arguments(name) for name in self.request.query_arguments}
            reply = await asyncio.to_thread(self._pages.site.page, "GET", path, query)
            for name, value in reply.headers.items():
                self.set_header(name, value)
            self.finish(reply.body)
            return
        self.set_header("content-type", "text/event-stream")
        async with aclosing(self._pages.feed.messages()) as messages:
            async for data in messages:
                self.write(data)
                try:
                    await self.flush()
                except StreamClosedError:
                    return


class ServedPages:
    """`run` does something where the pages are."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        server = HTTPServer(Application([("(/.*)", _Handler, {"bench": self.bench})]))
        server.add_sockets([socket])
        self._up.set()
        await self._over.wait()
        self.bench.ledger.close()
        self.bench.pages.close()
        server.stop()
        await server.close_all_connections()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(15)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(15)
