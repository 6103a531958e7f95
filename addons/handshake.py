"""The opening handshake of a WebSocket that is answered here (RFC 6455, section 4; RFC 7692 for deflate).

Only over HTTP/1.1: mitmproxy does not offer what a WebSocket over HTTP/2 needs (RFC 8441), so that clients
that speak both open one over HTTP/1.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mitmproxy import http
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import generate_accept_token, split_comma_header

VERSION = "13"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer, and the extensions that were agreed on."""

    answer: http.Response
    extensions: Sequence[Extension]


def is_handshake(request: http.Request) -> bool:
    """Whether a request asks for a WebSocket."""
    return request.method == "GET" and "websocket" in _tokens(request, "upgrade")


def accept(request: http.Request) -> Accepted | http.Response:
    """101 with compression where the client offers it; a refusal where something is missing."""
    if request.headers.get("sec-websocket-version", "") != VERSION:
        return http.Response.make(426, b"", {"sec-websocket-version": VERSION})
    key = request.headers.get("sec-websocket-key", "")
    if not key or "upgrade" not in _tokens(request, "connection"):
        return http.Response.make(
            400, "This is no handshake of a WebSocket.\n", {"content-type": "text/plain"}
        )
    deflate = PerMessageDeflate()
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


def _agreed(offered: str, deflate: PerMessageDeflate) -> bytes | None:
    """What is said of the extension that was agreed on; an offer that makes no sense is declined."""
    try:
        return server_extensions_handshake(split_comma_header(offered.encode("ascii", "replace")), [deflate])
    except ValueError:
        return None


def _tokens(request: http.Request, name: str) -> set[str]:
    values = ",".join(request.headers.get_all(name))
    return {token.strip().lower() for token in values.split(",")}
