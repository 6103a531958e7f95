"""mitmproxy's messages and ours: how a request of a flow leaves for its provider.

Internals of mitmproxy 12 that this file leans on:
`MessageData.__post_init__` looks at the type of each field of a message that is made. For each `X | None`
that is None it raises and catches an exception, in a cycle with its frames and with what is on the stack
below them: flows, layers, drivers. All of that lasts until the collector comes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import get_args

from mitmproxy import http

from protocols.model.http import Head, Headers, WireRequest, WireResponse, header
from rewrite.catalog.providers import Carrier

_HOPS = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
HOP_BY_HOP = _HOPS | {"proxy-authorization"}
"""Headers of a request, in lower case, that are about its client's connection to us."""

_NOT_FOR_THE_CLIENT = _HOPS | {"content-length", "proxy-authenticate"}

_NOT_OPTIONS = frozenset({"authorization", "content-length", "host", "transfer-encoding", *Carrier})
"""What `Connection` cannot list: a key, or what frames and addresses the message that leaves."""

_MITMPROXYS = frozenset({"trailer", "transfer-encoding"})
"""Framing of a body that mitmproxy forwards by itself."""

_WEBSOCKET = _MITMPROXYS | {"connection", "upgrade"}


_AS_TEXT = ("utf-8", "surrogateescape")
"""How the bytes of headers are text that can be turned back into the same bytes."""


def bytes_of(value: str) -> bytes:
    return value.encode(*_AS_TEXT)


def headers_of(message: http.Request | http.Response) -> Headers:
    """Headers in order and case."""
    fields = message.headers.fields
    return tuple([(name.decode(*_AS_TEXT), value.decode(*_AS_TEXT)) for name, value in fields])


def values_of(headers: http.Headers, name: bytes) -> list[bytes]:
    """Of the fields called `name`, in small letters. mitmproxy's own way takes four times as long, and is of
    text."""
    return [value for each, value in headers.fields if each.lower() == name]


def request_of(request: http.Request) -> WireRequest:
    """A request as it is now, with its body as it came: others may edit a flow later, and nothing of this."""
    return WireRequest(request.method, request.path, headers_of(request), request.raw_content or b"")


def set_headers(message: http.Request | http.Response, headers: Headers) -> None:
    message.headers.fields = tuple(fields_of(headers))


def fields_of(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(*_AS_TEXT), value.encode(*_AS_TEXT)) for name, value in headers]


def without_hops(headers: Headers, keep: frozenset[str] = frozenset()) -> Headers:
    """What belongs to the client's connection to us ends here, and what the client's `Connection` lists.

    To be applied to what the client sent, before anything of ours is written. `keep`: those of `HOP_BY_HOP`
    that stay.
    """
    connections = [value for key, value in headers if key.lower() == "connection"]
    listed = {name.strip().lower() for value in connections for name in value.split(",")}
    hops = (HOP_BY_HOP | (listed - _NOT_OPTIONS)) - keep
    return tuple([pair for pair in headers if pair[0].lower() not in hops])


def forwardable(method: str, headers: Headers) -> Headers:
    """As `without_hops`, for a request that mitmproxy forwards: it frames the body, and opens WebSockets."""
    if method != "GET" or (header(headers, "upgrade") or "").lower() != "websocket":
        return without_hops(headers, _MITMPROXYS)
    return replaced(without_hops(headers, _WEBSOCKET), "connection", "Upgrade")


def replaced(headers: Headers, name: str, value: str) -> Headers:
    """The same headers with another value of `name` (lower case), in its place, if it is there."""
    return tuple([(each, value if each.lower() == name else old) for each, old in headers])


def response_of(answer: WireResponse) -> http.Response:
    """An answer of ours, for a flow."""
    return http.Response.make(answer.status, answer.body, dict(answer.headers))


def fit(response: http.Response, method: str) -> http.Response:
    """`response` as `method` gets it: of HEAD the head alone, since mitmproxy would send a body that its
    client takes for the beginning of the next answer."""
    if method.upper() == "HEAD" and response.raw_content:
        response.headers["content-length"] = str(len(response.raw_content))
        response.raw_content = b""
    return response


def for_client(headers: Headers) -> Headers:
    """A recognised call's answer is content-decoded and framed again; hop-by-hop headers end here."""
    return tuple([pair for pair in headers if pair[0].lower() not in _NOT_FOR_THE_CLIENT])


def head_for_client(head: Head) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, reason and headers of a provider's answer."""
    return head.status, bytes_of(head.reason), fields_of(for_client(head.headers))


# -- the types of a message's fields ----------------------------------------------------------------------

type _Types = Sequence[tuple[str, tuple[type, ...]]]
"""Of each field of a message its name, and what it may be."""

_CHECK = "__post_init__"
_UNKNOWN: _Types = (("", ()),)
"""Of a message that is not as we know it: nothing in it is right."""


def check_without_cycles() -> Callable[[], None]:
    """From now on the types of a message that is made are looked at without exceptions; where one is wrong,
    mitmproxy's own check has the word. Returns what puts that back.
    """
    thorough = vars(http.MessageData).get(_CHECK)
    if thorough is None:  # Python's -O
        return lambda: None
    allowed: Mapping[type, _Types] = {each: _types(each) for each in (http.RequestData, http.ResponseData)}

    def check(data: http.MessageData) -> None:
        for name, types in allowed.get(type(data), _UNKNOWN):
            if not isinstance(getattr(data, name, None), types):
                thorough(data)
                return

    def put_back() -> None:
        if vars(http.MessageData).get(_CHECK) is check:
            setattr(http.MessageData, _CHECK, thorough)

    setattr(http.MessageData, _CHECK, check)
    return put_back


def _types(kind: type[http.MessageData]) -> _Types:
    """`_UNKNOWN` where classes alone do not say it."""
    found = [(field.name, _members(field.type)) for field in fields(kind)]
    return found if all(isinstance(each, type) for _, types in found for each in types) else _UNKNOWN


def _members(annotation: object) -> tuple[type, ...]:
    """The classes of `X | Y`, or of `X` alone. An int is a float, too."""
    members = get_args(annotation) or (annotation,)
    return (*members, int) if float in members else members
