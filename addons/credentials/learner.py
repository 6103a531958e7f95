"""Hears what an answer that passes through says of the limits of the key that it came for."""

from collections.abc import Callable

from mitmproxy import http

from addons.mitm.dispatch import Screen
from addons.mitm.messages import headers_of
from protocols.model.http import Headers
from protocols.model.wirejson import JsonObject, load_first

LONGEST_REFUSAL = 1 << 16
"""Bytes of the body of a 429 that are read."""

_TOO_MANY = 429

type Heard = Callable[[int, Headers, JsonObject], None]
"""Gets the status, the headers and, of a 429, the body of an answer."""


class Learner:
    """Another look at what `screen` lets pass."""

    def __init__(self, screen: Screen, heard: Heard) -> None:
        self._screen, self._heard = screen, heard
        self._headers: Headers = ()
        self._body: bytearray | None = None
        """Of a 429. None: of any other answer."""

    def head(self, response: http.Response) -> None:
        self._screen.head(response)
        headers = headers_of(response)
        if response.status_code == _TOO_MANY:
            self._headers, self._body = headers, bytearray()
        else:
            self._heard(response.status_code, headers, {})

    def feed(self, data: bytes) -> bytes:
        return self._kept(self._screen.feed(data))

    def remainder(self) -> bytes:
        data = self._kept(self._screen.remainder())
        if self._body is not None:
            self._heard(_TOO_MANY, self._headers, load_first(bytes(self._body)) or {})
            self._body = None
        return data

    def _kept(self, data: bytes) -> bytes:
        if self._body is not None:
            self._body += data[: LONGEST_REFUSAL - len(self._body)]
        return data

    def trailers(self, fields: http.Headers) -> http.Headers:
        return self._screen.trailers(fields)
