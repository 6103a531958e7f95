"""Clients of the proxy that know nothing but bytes: they see everything, and leave at any moment."""

import json
import select
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.settings
import httpx

from tests.e2e.proxy import Proxy

PROBE = Path(__file__).with_name("probe.py")
PATIENCE = 15.0
"""Seconds; bounds a failing test, no passing one."""

_LINGER_ZERO = struct.pack("ii", 1, 0)
_CANCEL = 8  # RFC 9113, section 7


def curl(proxy: Proxy, url: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run curl through the proxy, as a user would, with the proxy's certificates trusted."""
    options = ("-sS", "--noproxy", "", "-x", proxy.url, "--cacert", str(proxy.ca), "--max-time", "15")
    return subprocess.run(("curl", *options, *arguments, url), capture_output=True, check=False)


def client(proxy: Proxy, **options: Any) -> httpx.Client:
    """httpx through the proxy, with the environment of the tests left out."""
    return httpx.Client(proxy=proxy.url, verify=trusting(proxy), trust_env=False, timeout=PATIENCE, **options)


def order(proxy: Proxy, what: str, **query: str) -> Any:
    """Have the probe (tests/e2e/probe.py) do something; its answer."""
    with client(proxy) as http:
        answer = http.get(f"http://probe.test/{what}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_order(proxy: Proxy, accept: Callable[[Any], bool], what: str, **query: str) -> Any:
    """Ask until the answer is acceptable, for what has no other sign."""
    end = time.monotonic() + PATIENCE
    while not accept(answer := order(proxy, what, **query)):
        assert time.monotonic() < end, f"{what} stays {answer}; log:\n{proxy.log}"
    return answer


def trusting(proxy: Proxy, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(proxy.ca))
    context.set_alpn_protocols(alpn or ("http/1.1",))
    return context


def trusting_anyone() -> ssl.SSLContext:
    """For a look at the certificate that is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(proxy: Proxy, authority: str, headers: str = "") -> tuple[socket.socket, bytes]:
    """A socket to the proxy after CONNECT with `headers`, whole lines; and the proxy's answer to that."""
    raw = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    raw.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{headers}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and (byte := raw.recv(1)):
        answer += byte
    return raw, answer


def tunnel(
    proxy: Proxy, host: str, port: int = 443, *, context: ssl.SSLContext | None = None, headers: str = ""
) -> ssl.SSLSocket:
    """TLS to `host` through the proxy, which gets `headers`."""
    raw, answer = connect(proxy, f"{host}:{port}", headers)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    return (context or trusting(proxy)).wrap_socket(raw, server_hostname=host)


def post(path: str, host: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A request's bytes: Host, the headers as given, the length."""
    pairs = [("Host", host), *headers, ("Content-Length", str(len(body)))]
    head = "".join(f"{name}: {value}\r\n" for name, value in pairs)
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def ask(model: str = "gpt-4o", *, stream: bool = True, **more: object) -> bytes:
    """A generation call's body, in either protocol."""
    messages = [{"role": "user", "content": "hi"}]
    return json.dumps(
        {"model": model, "max_tokens": 64, "stream": stream, "messages": messages, **more}
    ).encode()


class Http1:
    """One connection of a client that speaks HTTP/1.1 by hand; `with` closes it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.received = bytearray()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def until(self, text: bytes) -> bytes:
        """What was received, once it holds `text`. Raises AssertionError at the end of input."""
        while text not in self.received:
            data = self.sock.recv(65536)
            assert data, f"{text!r} never came, but {bytes(self.received)!r}"
            self.received += data
        return bytes(self.received)

    def rest(self) -> bytes:
        """What was received, once the other side has closed."""
        while data := self.sock.recv(65536):
            self.received += data
        return bytes(self.received)

    def leave(self) -> None:
        """Close as a killed program does."""
        self.sock.close()

    def vanish(self) -> None:
        """Close by a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()


@dataclass(slots=True)
class Stream:
    """What a client has seen of one HTTP/2 stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: bool = False


class Http2:
    """One connection of a client that speaks HTTP/2 by hand, several streams at once.

    `window`: bytes that each stream and all together may have on their way, `shared` for all together; 0 is
    the protocol's 65,535. Streams in `unread` get no more than they have been promised.
    """

    def __init__(self, proxy: Proxy, host: str, *, window: int = 0, shared: int = 0) -> None:
        self._host = host
        self._sock = tunnel(proxy, host, context=trusting(proxy, "h2"))
        self._sock.settimeout(PATIENCE)
        assert self._sock.selected_alpn_protocol() == "h2"
        self.streams: dict[int, Stream] = {}
        self.unread: set[int] = set()
        self._last: int | None = None
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
        self._h2.initiate_connection()
        if window:
            self._h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        if window or shared:
            self._h2.increment_flow_control_window(window or shared)
        self._flush()

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str], trailers: Mapping[str, str] | None = None
    ) -> int:
        """Send a request; returns the stream's number."""
        number = self._open(path, headers)
        self._h2.send_data(number, body, end_stream=not trailers)
        if trailers:
            self._h2.send_headers(number, [*trailers.items()], end_stream=True)
        self.streams[number] = Stream()
        self._flush()
        return number

    def take_back(self, path: str, body: bytes, headers: Mapping[str, str], *, closing: bool = False) -> None:
        """Send a request, and reset its stream, or close the connection, in the same write."""
        number = self._open(path, headers)
        self._h2.send_data(number, body, end_stream=True)
        if closing:
            self._h2.close_connection()
        else:
            self._h2.reset_stream(number, _CANCEL)
        self._flush()

    def ended(self) -> None:
        """Read on until the other side has closed."""
        while self._sock.recv(65536):
            pass

    def sent_elsewhere(self) -> int | None:
        """The last stream that the other side answers, once it has said so and closed. None: it did not."""
        while data := self._sock.recv(65536):
            for event in self._h2.receive_data(data):
                self._saw(event)
        return self._last

    def flood(self, path: str, count: int) -> int:
        """Open and reset that many streams, and open one more, whose number is returned."""
        for _ in range(count):
            self._h2.reset_stream(self._open(path), _CANCEL)
        number = self._open(path)
        self.streams[number] = Stream()
        self._flush()
        return number

    def _open(self, path: str, headers: Mapping[str, str] | None = None) -> int:
        number: int = self._h2.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", self._host), (":path", path)]
        self._h2.send_headers(number, [*pseudo, *(headers or {}).items()])
        return number

    def reset(self, number: int) -> None:
        self._h2.reset_stream(number, _CANCEL)
        self._flush()

    def until(self, number: int, text: bytes) -> bytes:
        """The stream's data, once it holds `text`."""
        stream = self.streams[number]
        while text not in stream.data:
            open_still = not (stream.ended or stream.reset)
            assert open_still, f"{text!r} never came, but {stream.data!r}"
            self.receive()
        return bytes(stream.data)

    def take(self, number: int, size: int) -> None:
        """Read until the stream has so many bytes."""
        while len(self.streams[number].data) < size:
            self.receive()

    def finished(self, number: int) -> Stream:
        """The stream, once it has ended or was reset."""
        stream = self.streams[number]
        while not (stream.ended or stream.reset):
            self.receive()
        return stream

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def receive(self) -> None:
        """Read what comes next, of whatever stream."""
        data = self._sock.recv(65536)
        assert data, "the connection was closed"
        for event in self._h2.receive_data(data):
            self._saw(event)
        self._flush()

    def _saw(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.streams[event.stream_id].headers = dict(event.headers)
            case h2.events.DataReceived():
                self.streams[event.stream_id].data += event.data
                if event.stream_id not in self.unread:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.streams[event.stream_id].ended = True
            case h2.events.ConnectionTerminated():
                self._last = event.last_stream_id
            case h2.events.StreamReset():
                self.streams[event.stream_id].reset = True
            case _:
                pass

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._sock.sendall(data)


class Listener:
    """A provider whose part the test itself plays, byte by byte: it accepts, and nothing else."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._sock.settimeout(PATIENCE)

    @property
    def port(self) -> int:
        port: int = self._sock.getsockname()[1]
        return port

    def accept(self) -> Http1:
        """The next connection that is made."""
        return Http1(self._sock.accept()[0])

    def was_called(self) -> bool:
        """Whether a connection waits to be accepted."""
        return bool(select.select([self._sock], [], [], 0)[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()
