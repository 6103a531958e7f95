"""A fake provider of Chat Completions on loopback, which fails as real ones do, by the model."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from rotator.demo.moments import BACKUP, BUSY, CUT, LIMITED, ONE, SILENT

TEXT = ("Quite ", "well, ", "thank ", "you: ", "this ", "answer ", "is ", "whole.")
_HALF = 4
_WHEN = 1_700_000_000
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Provider:
    """`with Provider() as provider:` serves at `provider.url`."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self._closed))
        self._thread = threading.Thread(target=self._server.serve_forever, name="provider", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client has left: that is its right."""


def _handler(closed: threading.Event) -> type[BaseHTTPRequestHandler]:
    class Handler(_Chat):
        until = closed

    return Handler


class _Chat(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    until: threading.Event
    """When those who wait for nothing are released."""

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        if not self.path.endswith("/chat/completions"):
            self.refuse(401, "authentication_error", "there is no key for this protocol")
            return
        model, key = asked["model"], self.headers.get("authorization", "").removeprefix("Bearer ")
        _DOES.get(model, _Chat.answer)(self, model, key)

    # -- what it does -----------------------------------------------------------------------------

    def answer(self, model: str, key: str) -> None:
        self.begin()
        self.send(*_events(model, TEXT, "stop"))
        self.wfile.write(b"0\r\n\r\n")

    def limited(self, model: str, key: str) -> None:
        if key != ONE:
            self.answer(model, key)
            return
        used_up = "the requests of this hour are used up"
        self.refuse(429, "rate_limit_exceeded", used_up, ("retry-after", "3600"))

    def silent(self, model: str, key: str) -> None:
        if key != ONE:
            self.answer(model, key)
            return
        self.begin()
        self.send(*_events(model, (), None))
        self.until.wait()

    def cut(self, model: str, key: str) -> None:
        self.begin()
        self.send(*_events(model, TEXT[:_HALF], None))
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.close_connection = True

    def busy(self, model: str, key: str) -> None:
        if key == BACKUP:
            self.answer(model, key)
        else:
            self.refuse(503, "overloaded", "the model is overloaded")

    # -- bytes ------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def send(self, *events: bytes) -> None:
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def refuse(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        body = json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()
        self.send_response(status)
        for name, value in (*headers, ("content-type", "application/json")):
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_DOES: Mapping[str, Callable[[_Chat, str, str], None]] = {
    LIMITED: _Chat.limited,
    SILENT: _Chat.silent,
    CUT: _Chat.cut,
    BUSY: _Chat.busy,
}
"""By the model that is asked for; of any other the answer is whole."""


def _events(model: str, texts: tuple[str, ...], finish: str | None) -> Iterator[bytes]:
    """Those of an answer; without `finish` it has no end."""
    yield _event(model, {"role": "assistant", "content": ""}, None)
    for text in texts:
        yield _event(model, {"content": text}, None)
    if finish:
        yield _event(model, {}, finish)
        yield b"data: [DONE]\n\n"


def _event(model: str, delta: Mapping[str, str], finish: str | None) -> bytes:
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": _WHEN, "model": model}
    return b"data: %s\n\n" % json.dumps({**chunk, "choices": [choice]}).encode()
