"""mitmproxy's messages and ours: how a request of a flow leaves for its provider."""

from urllib.parse import urlsplit

from mitmproxy import http

from protocols.base import Headers, WireRequest

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


def authority_of(base_url: str) -> str:
    return urlsplit(base_url).netloc.rpartition("@")[2]


def address_of(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def path_of(base_url: str) -> str:
    """What a base URL puts before every path; empty where it names a host alone."""
    return urlsplit(base_url).path.rstrip("/")


def target_at(base_url: str, target: str) -> str:
    """The request target under `base_url`: a client that calls the gateway itself names its path already."""
    prefix = path_of(base_url)
    return target if target.startswith(f"{prefix}/") else prefix + target


def origin_of(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


def wire_request(request: http.Request, base_url: str, headers: Headers, target: str) -> WireRequest:
    """The request as it leaves: its own bytes, to `base_url`. `target` is the path with its query."""
    kept = replaced(without_hops(headers), "host", authority_of(base_url))
    url = origin_of(base_url) + target_at(base_url, target)
    return WireRequest(request.method, url, kept, request.raw_content or b"")
