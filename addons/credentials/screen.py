"""Looks for an echoed key in an answer that passes through, piece by piece, before anybody else sees it."""

from mitmproxy import http
from pydantic import SecretStr

from addons.mitm.messages import headers_of, set_headers
from addons.secrets.redaction import Blackout
from addons.upstream.encodings import ContentDecoder, DecodeError, content_decoder

LONGEST_ERROR = 1 << 20
"""Bytes that the body of a compressed error may come to; one that comes to more is broken off."""

MOST_AT_ONCE = 8 << 20
"""Bytes that one piece of any other compressed body may come to before the search in it is given up."""

_FIRST_ERROR = 400


class Echo(Exception):
    """A key stands where it cannot be blacked out. The text shows nothing of it."""


class KeyScreen:
    """Blacks a key out of one answer: out of its head, body and trailers.

    A compressed error arrives decoded, since errors are what echoes keys. Any other compressed answer keeps
    its bytes: they are decoded aside, and a key in them breaks the answer. A coding that nobody knows here is
    taken for none at all.
    """

    def __init__(self, secret: SecretStr, *, chunks: bool) -> None:
        """`chunks`: the client takes a body whose length is not said in chunks."""
        self._blackout, self._chunks = Blackout([secret]), chunks
        self._opened: ContentDecoder | None = None
        self._size = 0
        self._aside: ContentDecoder | None = None
        self._beside = Blackout([secret])

    def head(self, response: http.Response) -> None:
        set_headers(response, self._blackout.headers(headers_of(response)))
        response.data.reason = self._blackout.whole(response.data.reason)
        coding = response.headers.get("content-encoding", "").strip().lower()
        decoder = content_decoder(coding) if coding not in ("", "identity") else None
        if decoder is not None and response.status_code >= _FIRST_ERROR:
            self._opened = decoder
            self._declare_opened(response.headers)
        else:
            self._aside = decoder

    def _declare_opened(self, headers: http.Headers) -> None:
        for name in ("content-encoding", "content-length"):
            headers.pop(name, None)
        if self._chunks:
            headers["transfer-encoding"] = "chunked"

    def feed(self, data: bytes) -> bytes:
        """Raises Echo, and what the decoder raises where the answer is an error."""
        if self._opened is not None:
            return self._blackout.feed(self._decoded(self._opened, data))
        if self._aside is None:
            return self._blackout.feed(data)
        self._look_aside(self._aside, data)
        return data

    def _decoded(self, decoder: ContentDecoder, data: bytes) -> bytes:
        pieces = []
        for piece in decoder.feed(data):
            pieces.append(piece)
            self._size += len(piece)
            if self._size > LONGEST_ERROR:
                raise DecodeError("the body of an error is too long")
        return b"".join(pieces)

    def _look_aside(self, decoder: ContentDecoder, data: bytes) -> None:
        """What cannot be decoded, the client cannot read either, or it is a part of something."""
        size = 0
        try:
            for piece in decoder.feed(data):
                size += len(piece)
                if self._beside.finds(piece):
                    raise Echo("a compressed answer quotes a key")
                if size > MOST_AT_ONCE:
                    self._aside = None
                    return
        except DecodeError:
            self._aside = None

    def remainder(self) -> bytes:
        return self._blackout.remainder()

    def trailers(self, fields: http.Headers) -> http.Headers:
        holder = http.Response.make(200, b"")
        holder.headers = fields
        set_headers(holder, self._blackout.headers(headers_of(holder)))
        return holder.headers
