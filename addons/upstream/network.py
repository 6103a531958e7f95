"""Sockets and TLS: how a host is reached, which certificates are trusted, TLS without a socket, and which
hosts are this machine.

How long to wait for a connection is left to the callers.
"""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import certifi
from aiohappyeyeballs import AddrInfoType, start_connection

from addons.upstream.failure import CauseKind, Failure

NEXT_ADDRESS = 0.25
"""Seconds until another address of a host is tried beside the one before, as RFC 8305 recommends."""

# A provider that thinks for minutes in silence: probes keep middleboxes from forgetting the connection.
_PROBES = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 30), ("TCP_KEEPCNT", 4))

# What one TLS record holds at most, and its header, in bytes.
_RECORD = 1 << 14
_RECORD_HEADER = 5


@dataclass(frozen=True, slots=True)
class Reached:
    """Who is at the other end of a connection, and when each step was done, in seconds since the epoch."""

    peer: tuple[str, int]
    """Address and port; those of the proxy where there is one on the way."""
    began: float
    """When the name began to be resolved."""
    connected: float
    """When the socket was connected."""
    secured: float | None = None
    """When the innermost TLS handshake was done; None without TLS."""


async def connect[P: asyncio.Protocol](
    host: str, port: int, protocol: Callable[[socket.socket, Reached], P]
) -> P:
    """Connect to whichever of the host's addresses answers first, with keep-alive probes; the connection is
    served by a new `protocol`. Raises Failure."""
    loop, began = asyncio.get_running_loop(), time.time()
    try:
        addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # asyncio's own race hangs up to Python 3.12.8 with tasks that start eagerly, as mitmproxy's do.
        connected = await start_connection(
            addresses, happy_eyeballs_delay=NEXT_ADDRESS, socket_factory=_open_socket
        )
        reached = Reached(connected.getpeername()[:2], began, time.time())
        _, made = await loop.create_connection(partial(protocol, connected, reached), sock=connected)
    except (socket.gaierror, UnicodeError) as error:
        raise Failure(CauseKind.DNS, "the host name cannot be resolved") from error
    except OSError as error:
        reason = f": {os.strerror(error.errno)}" if error.errno else ""
        raise Failure(CauseKind.CONNECT, f"cannot connect{reason}") from error
    return made


def _open_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    opened = socket.socket(family, kind, protocol)
    for option in _keepalive():
        opened.setsockopt(*option)
    return opened


def _keepalive() -> Iterator[tuple[int, int, int]]:
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for name, value in _PROBES:
        if hasattr(socket, name):
            yield socket.IPPROTO_TCP, getattr(socket, name), value


def tls_context(*, insecure: bool, ca_file: str | None, ca_dir: str | None) -> ssl.SSLContext:
    """How providers' certificates are verified: as mitmproxy does it for its own upstream connections.

    `insecure`, `ca_file` and `ca_dir` are mitmproxy's options ssl_insecure, ssl_verify_upstream_trusted_ca
    and ssl_verify_upstream_trusted_confdir; without the latter two, certifi's roots. Raises ValueError if
    they cannot be loaded.
    """
    # Not create_default_context(): from Python 3.13 on it is stricter than mitmproxy with private roots.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.options |= ssl.OP_LEGACY_SERVER_CONNECT
    _load_roots(context, ca_file or None, ca_dir or None)
    return context


def _load_roots(context: ssl.SSLContext, ca_file: str | None, ca_dir: str | None) -> None:
    if ca_file is None and ca_dir is None:
        ca_file = certifi.where()
    try:
        context.load_verify_locations(ca_file, ca_dir)
    except OSError as error:
        raise ValueError(
            f"cannot load trusted certificates: ssl_verify_upstream_trusted_ca={ca_file!r}, "
            f"ssl_verify_upstream_trusted_confdir={ca_dir!r}: {error}"
        ) from error


class Tls:
    """TLS without a socket: encrypted bytes in, decrypted bytes out, and the other way round."""

    error: ssl.SSLError | None = None
    """What ended it."""
    is_open = False
    """Whether the handshake is done."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self._encrypted, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._encrypted, self._out, server_hostname=server_hostname)
        self._header = b""
        self._missing = 0

    @property
    def has_output(self) -> bool:
        return self._out.pending > 0

    @property
    def is_inside_record(self) -> bool:
        """Whether the bytes so far end inside a record; OpenSSL keeps such a part to itself."""
        return bool(self._header or self._missing)

    def failure(self) -> Failure:
        """Why there was no handshake."""
        match self.error:
            case None:
                return Failure(CauseKind.TLS, "TLS: the connection was closed in the handshake")
            case ssl.SSLCertVerificationError(verify_message=message):
                return Failure(CauseKind.CERTIFICATE, f"certificate: {message}")
            case error:
                return Failure(CauseKind.TLS, f"TLS: {error.reason or 'failed'}")

    def feed(self, data: bytes, *, ended: bool) -> tuple[bytes, bool]:
        """The decrypted bytes, and whether they are the last: after a close_notify, an end without one, or an
        error."""
        self._encrypted.write(data)
        self._follow(data)
        if ended:
            self._encrypted.write_eof()
        plain = bytearray()
        try:
            self._shake_hands()
            while piece := self._object.read(_RECORD):
                plain += piece
                if not (ended or self._encrypted.pending or self._object.pending()):
                    return bytes(plain), False
        except ssl.SSLWantReadError:
            return bytes(plain), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as error:
            self.error = error
        return bytes(plain), True

    def _follow(self, data: bytes) -> None:
        """Find where records end. A header has five bytes; its last two are the length of what follows
        (RFC 8446 section 5.1)."""
        place = 0
        while place < len(data):
            if not self._missing:
                wanted = _RECORD_HEADER - len(self._header)
                self._header += data[place : place + wanted]
                place += wanted
                if len(self._header) == _RECORD_HEADER:
                    self._missing, self._header = int.from_bytes(self._header[3:]), b""
            skipped = min(self._missing, max(0, len(data) - place))
            self._missing -= skipped
            place += skipped

    def _shake_hands(self) -> None:
        if not self.is_open:
            self._object.do_handshake()
            self.is_open = True

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """The encrypted bytes to be written now, those of `data` included. Raises ssl.SSLError."""
        if data:
            self._object.write(data)
        return self._out.read() if self._out.pending else b""


# -- this machine -----------------------------------------------------------------------------------------


async def is_this_machine(host: str) -> bool:
    """Whether a request to `host` would stay on this machine, whatever the host is called."""
    name = host.strip("[]").rstrip(".")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False  # no name at all: nothing is reached by it
    return any(is_local(family, address) for family, *_, address in found)


def is_local(family: int, address: tuple[object, ...]) -> bool:
    """Whether that is an address of this machine: only such a one can be bound to."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
