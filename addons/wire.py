"""mitmproxy's messages and ours: how a request of a flow leaves for its provider."""

from urllib.parse import urlsplit

from mitmproxy import http

from protocols.base import Headers, UpstreamRequest
from protocols.origin import Origin

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def text(data: bytes) -> str:
    """Header bytes as text that `bytes_of` turns back into the same bytes."""
    return data.decode("utf-8", "surrogateescape")


def bytes_of(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def headers_of(message: http.Request | http.Response) -> Headers:
    """Headers in order and case."""
    return tuple((text(name), text(value)) for name, value in message.headers.fields)


def set_headers(message: http.Request | http.Response, headers: Headers) -> None:
    message.headers.fields = tuple((bytes_of(name), bytes_of(value)) for name, value in headers)


def without_hops(headers: Headers) -> Headers:
    """What belongs to the client's connection to us ends here, the names that `Connection` lists too."""
    listed = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == "connection"
        for name in value.split(",")
    }
    hops = _HOP_BY_HOP | listed
    return tuple((name, value) for name, value in headers if name.lower() not in hops)


def replaced(headers: Headers, name: str, value: str) -> Headers:
    """The same headers with another value of `name` (lower case), in its place, if it is there."""
    return tuple((each, value if each.lower() == name else old) for each, old in headers)


def address_of(proxy_url: str) -> tuple[str, int]:
    """Where a proxy is that the config names."""
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def wire_request(request: http.Request, origin: Origin, headers: Headers, target: str) -> UpstreamRequest:
    """The request as it leaves: its own bytes, to `origin`. `target` is the path with its query."""
    kept = replaced(without_hops(headers), "host", origin.authority)
    body = request.raw_content or b""
    return UpstreamRequest(origin, request.method, origin.under(bytes_of(target)), kept, body)
