"""A real mitmdump in a process of its own, and clients for it that can leave at any moment."""

import json
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import h2.config
import h2.connection
import h2.events

from tests.preloaded import Process, give_certificates

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0
"""Seconds; bounds a failing test, no passing one."""

_OURS = ("addons/mitm/", "stream_script.py", "responder", "never retrieved", "never awaited", "was destroyed")
_BLUNDERS = ("crashed", "Traceback", "never retrieved", "never awaited", "was destroyed", "Unhandled")


class Mitmdump:
    """`with Mitmdump(script, confdir) as proxy:` - started, its reports read, its log checked for blunders.

    The script reports in JSON lines with an "event"; its first is "running" with the port. Everything else
    that comes out is log.
    """

    def __init__(self, script: Path, confdir: Path, *arguments: str) -> None:
        options = ("-q", "-p", "0", "--listen-host", "127.0.0.1", "-s", str(script))
        settings = ("--set", f"confdir={confdir}", "--set", "connection_strategy=lazy")
        self._options = (*options, *settings, *arguments)
        self._confdir = confdir
        self._changed = threading.Condition()
        self.reports: list[dict[str, Any]] = []
        self.log: list[str] = []
        self.port = 0

    def __enter__(self) -> Self:
        give_certificates(self._confdir)
        self._process = Process("mitmdump", self._options, cwd=ROOT, environment=os.environ)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = self.wait("running")["port"]
        except AssertionError:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is None:
            self.check_log()

    def stop(self) -> int:
        """End it as a person would, wait for it, and return its exit status. A second call does nothing."""
        if self._process.returncode is not None:
            return self._process.returncode
        self._serving = len(self.log)
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(PATIENCE)
        except TimeoutError:
            self._process.kill()
            raise
        self._reader.join(PATIENCE)
        self._process.stdout.close()
        return status

    def check_log(self) -> None:
        """No exception of ours has escaped into mitmproxy or asyncio."""
        blunders = [line for line in self.log[: self._serving] if any(word in line for word in _BLUNDERS)]
        # At the end Python 3.12 complains of connections that mitmproxy leaves open; there only ours count.
        blunders += [line for line in self.log[self._serving :] if any(word in line for word in _OURS)]
        assert not blunders, "\n".join(self.log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca_path(self) -> Path:
        return self._confdir / "mitmproxy-ca-cert.pem"

    def wait(self, event: str, name: str | None = None) -> dict[str, Any]:
        """The first report of that event and name, now or later. Raises AssertionError when none comes."""
        found = self._until(lambda: self.seen(event, name))
        assert found, f"no {event} for {name}; reports: {self.reports[-20:]}; log: {self.log[-20:]}"
        return found[0]

    def wait_log(self, text: str) -> str:
        """The first log line with that text, now or later."""
        found = self._until(lambda: [line for line in self.log if text in line])
        assert found, f"no {text!r} in {self.log[-20:]}"
        return found[0]

    def seen(self, event: str, name: str | None = None) -> list[dict[str, Any]]:
        """The reports of that event and name so far."""
        return [each for each in self.reports if each["event"] == event and each.get("name") == name]

    def order(self, what: str, **query: object) -> Any:
        """Have the script do something (its `order`), through the proxy itself; returns its answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", f"http://control.test/{what}?{urlencode(query)}")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def wait_order(self, accept: Callable[[Any], bool], what: str, **query: object) -> Any:
        """Ask until the answer is acceptable: for what happens right after a report."""
        answer = self.order(what, **query)
        for _ in range(300):
            if accept(answer):
                return answer
            answer = self.order(what, **query)
        raise AssertionError(f"{what} stays {answer}; reports: {self.reports[-20:]}; log: {self.log[-20:]}")

    def _until[T](self, found: Callable[[], Sequence[T]]) -> Sequence[T]:
        with self._changed:
            self._changed.wait_for(found, PATIENCE)
            return found()

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._changed:
                if line.startswith('{"event"'):
                    self.reports.append(json.loads(line))
                else:
                    self.log.append(line.rstrip())
                self._changed.notify_all()


def curl(proxy: Mitmdump, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run curl through the proxy; --noproxy is lifted so that nothing in the environment interferes."""
    options = ("-sS", "--noproxy", "", "-x", proxy.url, "--cacert", str(proxy.ca_path), "--max-time", "15")
    return subprocess.run(("curl", *options, *arguments, url), capture_output=True, text=True, check=False)


def trusting(proxy: Mitmdump, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(proxy.ca_path))
    context.set_alpn_protocols(alpn or ("http/1.1",))
    return context


def plain_client(proxy: Mitmdump) -> HTTPConnection:
    """HTTP/1.1 in the clear; to a proxy, ask it for whole URLs."""
    return HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE)


def tls_client(proxy: Mitmdump) -> HTTPConnection:
    """HTTP/1.1 through CONNECT and TLS."""
    client = HTTPSConnection("127.0.0.1", proxy.port, timeout=PATIENCE, context=trusting(proxy))
    client.set_tunnel("api.test", 443)
    return client


@dataclass(slots=True)
class H2Stream:
    """What a client has seen of one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: bool = False


class H2Client:
    """HTTP/2 through CONNECT and TLS, several streams at once. `reading = False` leaves the window shut."""

    def __init__(self, proxy: Mitmdump) -> None:
        raw = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        raw.sendall(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n")
        established = b""
        while b"\r\n\r\n" not in established:
            established += raw.recv(1)
        self.sock = trusting(proxy, "h2").wrap_socket(raw, server_hostname="api.test")
        assert self.sock.selected_alpn_protocol() == "h2"
        self.streams: dict[int, H2Stream] = {}
        self.reading = True
        self._unread: list[tuple[int, int]] = []
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
        self._h2.initiate_connection()
        self._flush()

    def request(self, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> int:
        """Send a GET, or a POST whose length is not said; returns the stream's number."""
        number = self._h2.get_next_available_stream_id()
        method = "POST" if body else "GET"
        pseudo = [(":method", method), (":scheme", "https"), (":authority", "api.test"), (":path", path)]
        self._h2.send_headers(number, [*pseudo, *(headers or {}).items()], end_stream=not body)
        if body:
            self._h2.send_data(number, body, end_stream=True)
        self.streams[number] = H2Stream()
        self._flush()
        return number

    def reset(self, number: int) -> None:
        self._h2.reset_stream(number, 8)
        self._flush()

    def until(self, accept: Callable[[], bool]) -> None:
        """Read on until that holds. Raises TimeoutError when nothing more comes, EOFError at the end."""
        while not accept():
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            for event in self._h2.receive_data(data):
                self._saw(event)
            self._flush()

    def finished(self, number: int) -> H2Stream:
        """The stream, once it has ended or was reset."""
        stream = self.streams[number]
        self.until(lambda: stream.ended or stream.reset)
        return stream

    def read_on(self) -> None:
        """Open the window again."""
        self.reading = True
        for length, number in self._unread:
            self._h2.acknowledge_received_data(length, number)
        self._unread.clear()
        self._flush()

    def close(self) -> None:
        self.sock.close()

    def _saw(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.streams[event.stream_id].headers = dict(event.headers)
            case h2.events.DataReceived():
                self.streams[event.stream_id].data += event.data
                self._account(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.streams[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.streams[event.stream_id].reset = True
            case _:
                pass

    def _account(self, length: int, number: int) -> None:
        if self.reading:
            self._h2.acknowledge_received_data(length, number)
        else:
            self._unread.append((length, number))

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data:
            self.sock.sendall(data)
