"""The opening handshake of a WebSocket that is answered here (RFC 6455, section 4; RFC 7692 for deflate).

Only over HTTP/1.1: mitmproxy does not offer what a WebSocket over HTTP/2 needs (RFC 8441), so that clients
that speak both open one over HTTP/1.1.
"""

import binascii
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass

from mitmproxy import http
from wsproto.extensions import Extension
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import generate_accept_token, split_comma_header

from addons.mitm.websocket_limits import Deflate

VERSION = "13"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Accepted:
    """A handshake that is accepted."""

    answer: http.Response
    """The 101."""

    extensions: Sequence[Extension]
    """Those that were agreed on."""


def is_handshake(request: http.Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.method == "GET" and "websocket" in _tokens(request, "upgrade")


def is_keyed(request: http.Request) -> bool:
    """Whether a handshake has the key that its answer has to be made from: 16 bytes in base64."""
    try:
        return len(b64decode(request.headers.get("sec-websocket-key", ""), validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def bad_handshake() -> http.Response:
    return http.Response.make(400, "This is no handshake of a WebSocket.\n", {"content-type": "text/plain"})


def accept(request: http.Request) -> Accepted | http.Response:
    """101 with compression where the client offers it; a refusal where something is missing."""
    if request.headers.get("sec-websocket-version", "") != VERSION:
        return http.Response.make(426, b"", {"sec-websocket-version": VERSION})
    if not is_keyed(request) or "upgrade" not in _tokens(request, "connection"):
        return bad_handshake()
    key = request.headers["sec-websocket-key"]
    deflate = Deflate()
    agreed = _agreed(", ".join(request.headers.get_all("sec-websocket-extensions")), deflate)
    headers = [
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", generate_accept_token(key.encode())),
        *([(b"Sec-WebSocket-Extensions", agreed)] if agreed else []),
    ]
    answer = http.Response.make(101, b"", headers)
    answer.headers.pop("content-length", None)
    return Accepted(answer, [deflate] if agreed else [])


def agreed(answer: http.Response) -> list[Deflate] | None:
    """The compression that a server's answer names, for one side; None where its parameters cannot be read.
    Any other extension is left out, as mitmproxy does it."""
    said = answer.headers.get("sec-websocket-extensions", "").encode("ascii", "replace")
    found = []
    for each in split_comma_header(said):
        if each.partition(";")[0].strip() == Deflate.name:
            deflate = Deflate()
            try:
                deflate.finalize(each)
            except (ValueError, IndexError):
                return None
            found.append(deflate)
    return found


def _agreed(offered: str, deflate: Deflate) -> bytes | None:
    """The header field for what was agreed on; an offer that cannot be read is declined."""
    try:
        return server_extensions_handshake(split_comma_header(offered.encode("ascii", "replace")), [deflate])
    except ValueError:
        return None


def _tokens(request: http.Request, name: str) -> set[str]:
    values = ",".join(request.headers.get_all(name))
    return {token.strip().lower() for token in values.split(",")}
