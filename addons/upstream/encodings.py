"""Content codings undone as the bytes come: gzip, deflate, br, zstd, and lists of them.

A decoder gives out at once what its input allows, since a compressed event stream is flushed event by
event, and never more than PIECE bytes in one piece, so that a small body cannot fill the memory in one
step. Codings: RFC 9110 section 8.4.1; zstd windows: RFC 9659.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

PIECE = 1 << 20
"""The most bytes that one decoded piece holds."""

# brotli overshoots: its buffer grows in steps, and the last one may begin just below the limit.
_BROTLI_LIMIT = 1 << 18

BROTLI_IS_BOUNDED = hasattr(brotli.Decompressor, "can_accept_more_data")
"""Before brotli 1.2, to which mitmproxy 12.1 is held, a piece of br holds whatever its input came to."""

# zstandard takes no output limit. A block of 4 bytes grows to at most 128 KiB, so 16 bytes stay below PIECE.
_ZSTD_STEP = 16

_ZSTD_WINDOW = 1 << 23

_STEP = 1 << 16
"""Bytes that are decoded of a whole body at once."""

_MOST_BETWEEN = 64 << 20
"""Bytes that may come of one layer to another: what the last one gives is bounded by those who take it."""

# More layers than this serve nobody but an attacker: each multiplies the size of the output.
_MAX_LAYERS = 4


class DecodeError(Exception):
    """The bytes are not what their content coding says. The text names the coding and shows no content."""


class ContentDecoder(Protocol):
    """One body's content decoding."""

    @property
    def finished(self) -> bool:
        """Whether the bytes fed so far are a whole body; no bytes at all are one."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode `data`, lazily, into non-empty pieces of at most PIECE bytes; exhaust before feeding more.

        Raises DecodeError if the data is corrupt or does not stop at its end.
        """
        ...


def content_decoder(content_encoding: str) -> ContentDecoder | None:
    """A decoder for a Content-Encoding value, e.g. "gzip" or "deflate, br"; None where one is unknown."""
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower())]
    layers = [name for name in names if name != "identity"]
    if len(layers) > _MAX_LAYERS or any(name not in _CODINGS for name in layers):
        return None
    # Codings are listed in the order in which they were applied (RFC 9110 section 8.4).
    decoders = [_CODINGS[name]() for name in reversed(layers)]
    return decoders[0] if len(decoders) == 1 else _Layers(decoders)


def steps(body: bytes, content_encoding: str) -> Iterator[bytes]:
    """A whole body decoded in steps that take some milliseconds each; what one gives may be empty. A body of
    an unknown coding is given as it is.

    Raises DecodeError if it is corrupt, or ends inside its data.
    """
    decoder = content_decoder(content_encoding)
    if decoder is None:
        yield body
        return
    for start in range(0, len(body), _STEP):
        yield from decoder.feed(body[start : start + _STEP])
        yield b""
    if not decoder.finished:
        raise DecodeError("the body ends inside its compressed data")


def beginning(body: bytes, content_encoding: str, longest: int) -> bytes:
    """The first decoded bytes of a body, some more than `longest`; as it is where it cannot be decoded."""
    start = bytearray()
    try:
        for piece in steps(body, content_encoding):
            start += piece
            if len(start) > longest:
                break
    except DecodeError:
        return body
    return bytes(start)


class _Inflate:
    """One zlib, gzip or raw deflate unit, chosen by zlib's `wbits`."""

    def __init__(self, wbits: int) -> None:
        self._engine = zlib.decompressobj(wbits)

    @property
    def finished(self) -> bool:
        return self._engine.eof

    @property
    def unused(self) -> bytes:
        """Bytes after the unit's end."""
        return self._engine.unused_data

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece = self._engine.decompress(data, PIECE)
                if piece:
                    yield piece
                data = self._engine.unconsumed_tail
                # After the end, what follows stays in `unconsumed_tail` for ever if it stood there before.
                if self._engine.eof or (not data and len(piece) < PIECE):
                    return
        except zlib.error as error:
            raise DecodeError("corrupt gzip or deflate data") from error


class _Gzip:
    """Members one after the other (RFC 1952 section 2.2); zero bytes after one are padding."""

    def __init__(self) -> None:
        self._member: _Inflate | None = None

    @property
    def finished(self) -> bool:
        return self._member is None or self._member.finished

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None or self._member.finished:
                data = data.lstrip(b"\0") if self._member else data
                if not data:
                    return
                self._member = _Inflate(zlib.MAX_WBITS | 16)
            yield from self._member.feed(data)
            data = self._member.unused


class _Deflate:
    """zlib data, or the raw deflate data that some servers send in its place."""

    def __init__(self) -> None:
        self._start = b""
        self._unit: _Inflate | None = None

    @property
    def finished(self) -> bool:
        return not self._start if self._unit is None else self._unit.finished

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._unit is None:
            data = self._start = self._start + data
            if len(data) < 2:
                return
            self._unit = _Inflate(_deflate_wbits(data))
        yield from self._unit.feed(data)
        if self._unit.unused:
            raise DecodeError("bytes after the end of deflate data")


def _deflate_wbits(start: bytes) -> int:
    """zlib's header is recognised by its method nibble and check bits (RFC 1950 section 2.2)."""
    is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


class _Brotli:
    def __init__(self) -> None:
        self._engine = brotli.Decompressor()
        self._begun = False

    @property
    def finished(self) -> bool:
        return not self._begun or bool(self._engine.is_finished())

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        try:
            yield from filter(None, self._bounded(data) if BROTLI_IS_BOUNDED else self._whole(data))
        except brotli.error as error:
            raise DecodeError("corrupt br data") from error

    def _bounded(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece: bytes = self._engine.process(data, output_buffer_limit=_BROTLI_LIMIT)
            yield piece
            data = b""
            # It says that it takes more while a full window still waits to be taken out.
            if len(piece) < _BROTLI_LIMIT and self._engine.can_accept_more_data():
                return

    def _whole(self, data: bytes) -> Iterator[bytes]:
        yield self._engine.process(data)


class _Zstd:
    """Frames one after the other (RFC 8878 section 3)."""

    def __init__(self) -> None:
        self._frame: zstandard.ZstdDecompressionObj | None = None

    @property
    def finished(self) -> bool:
        return self._frame is None or self._frame.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), _ZSTD_STEP):
                yield from self._step(data[start : start + _ZSTD_STEP])
        except zstandard.ZstdError as error:
            raise DecodeError("corrupt zstd data") from error

    def _step(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None or self._frame.eof:
                self._frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
            if piece := self._frame.decompress(data):
                yield piece
            data = self._frame.unused_data


class _Layers:
    """Several codings, the outermost first; none at all is identity."""

    def __init__(self, decoders: Sequence[ContentDecoder]) -> None:
        self._decoders = decoders
        self._between = 0

    @property
    def finished(self) -> bool:
        return all(decoder.finished for decoder in self._decoders)

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._through(self._decoders, data)

    def _through(self, decoders: Sequence[ContentDecoder], data: bytes) -> Iterator[bytes]:
        if not decoders:
            if data:
                yield data
            return
        for piece in decoders[0].feed(data):
            self._between += len(piece) if decoders[1:] else 0
            if self._between > _MOST_BETWEEN:
                raise DecodeError("codings within codings grow too large")
            yield from self._through(decoders[1:], piece)


_CODINGS: Mapping[str, Callable[[], ContentDecoder]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
