"""A WebSocket client of the proxy that knows nothing but the protocol."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import Extension

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, tunnel

ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


class WebSocket:
    """Opened with `with WebSocket(proxy, host, path) as socket:`; `accepted` says whether it was.

    Pings are answered, and skipped but by `await_ping`.
    """

    def __init__(
        self,
        proxy: Proxy,
        host: str,
        path: str = "/v1/responses",
        *,
        headers: Mapping[str, str] | None = None,
        key: str = "sk-own-key",
        extensions: list[Extension] | None = None,
        for_proxy: str = "",
    ) -> None:
        self.connection = Http1(tunnel(proxy, host, headers=for_proxy))
        self._ws = WSConnection(ConnectionType.CLIENT)
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
        self.send(Request(host=host, target=path, extra_headers=pairs, extensions=extensions or []))
        self.handshake = self.next()

    @property
    def accepted(self) -> bool:
        return isinstance(self.handshake, AcceptConnection)

    def refusal(self) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of a handshake that was refused."""
        assert isinstance(self.handshake, RejectConnection), self.handshake
        body = b""
        while True:
            event = self.next()
            assert isinstance(event, RejectData)
            body += event.data
            if event.body_finished:
                names = {name.decode(): value.decode() for name, value in self.handshake.headers}
                return self.handshake.status_code, names, body

    def send(self, event: Event) -> None:
        self.connection.send(self._ws.send(event))

    def say(self, text: str) -> None:
        self.send(TextMessage(text))

    def create(self, **fields: object) -> None:
        """Ask for a turn."""
        self.say(json.dumps({"type": "response.create", **fields}))

    def next(self) -> Event:
        """The next event but pings. Raises AssertionError at the end of input."""
        while True:
            for event in self._ws.events():
                if not isinstance(event, Ping):
                    return event
                if self._ws.state is ConnectionState.OPEN:  # after our close none is due
                    self.send(event.response())
            self._read()

    def any(self) -> Event:
        """The next event, which is not answered."""
        while True:
            for event in self._ws.events():
                return event
            self._read()

    def await_ping(self) -> None:
        """Until a ping comes, and nothing else."""
        while True:
            for event in self._ws.events():
                assert isinstance(event, Ping), event
                self.send(event.response())
                return
            self._read()

    def _read(self) -> None:
        data = self.connection.sock.recv(65536)
        assert data, "the connection was closed"
        self._ws.receive_data(data)

    def text(self) -> str:
        """The next message."""
        text = ""
        while True:
            event = self.next()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return text

    def event(self) -> Any:
        """The next message's JSON."""
        return json.loads(self.text())

    def until(self, kind: str) -> list[Any]:
        """Events up to one of that type."""
        events = [self.event()]
        while events[-1]["type"] != kind:
            events.append(self.event())
        return events

    def turn(self, **fields: object) -> list[Any]:
        """All events of one turn."""
        self.create(**fields)
        return self.answer()

    def answer(self) -> list[Any]:
        events = [self.event()]
        while events[-1]["type"] not in ENDS:
            events.append(self.event())
        return events

    def close(self) -> CloseConnection:
        """Close properly; the answer."""
        self.send(CloseConnection(1000))
        event = self.next()
        assert isinstance(event, CloseConnection), event
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.leave()


def text_of(events: list[Any]) -> str:
    """What the model said in a turn."""
    return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")


def from_provider(*events: Event) -> bytes:
    """What a provider says right after its handshake."""
    connection = Connection(ConnectionType.SERVER)
    return b"".join(connection.send(event) for event in events)
