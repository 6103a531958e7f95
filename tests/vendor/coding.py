"""A reply's body on its way to the wire: content-encoding, pace, framing. No sockets."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped, unused-ignore]
import zstandard

from tests.vendor.script import Framing, Pace, Reply, Send, SendShort


@dataclass(frozen=True, slots=True)
class Coder:
    """An incremental content-encoding: `sync` encodes and flushes, `finish` gives the trailing bytes."""

    sync: Callable[[bytes], bytes]
    finish: Callable[[], bytes]


def _identity() -> Coder:
    return Coder(lambda data: data, lambda: b"")


def _zlib(window_bits: int) -> Coder:
    deflater = zlib.compressobj(wbits=window_bits)
    return Coder(lambda data: deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH), deflater.flush)


def _brotli() -> Coder:
    compressor = brotli.Compressor()
    return Coder(lambda data: compressor.process(data) + compressor.flush(), compressor.finish)


def _zstd() -> Coder:
    compressor = zstandard.ZstdCompressor().compressobj()
    block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
    return Coder(lambda data: compressor.compress(data) + compressor.flush(block), compressor.flush)


_CODERS: Mapping[str, Callable[[], Coder]] = {
    "": _identity,
    "gzip": lambda: _zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _zlib(zlib.MAX_WBITS),
    "br": _brotli,
    "zstd": _zstd,
}


class Body:
    """The wire form of one reply's body; every method returns the writes to make, in order."""

    def __init__(self, framing: Framing, encoding: str = "", pace: Pace | None = None) -> None:
        self._framing = framing
        self._coder = _CODERS[encoding]()
        self._pace = pace
        self.ended = False

    def send(self, data: bytes) -> list[bytes]:
        return self._framed(self._coder.sync(data))

    def short(self, data: bytes, missing: int) -> list[bytes]:
        encoded = self._coder.sync(data)
        if self._framing is not Framing.CHUNKED:
            return [encoded]
        return [b"%x\r\n%b" % (len(encoded) + missing, encoded)]

    def end(self) -> list[bytes]:
        self.ended = True
        last = [b"0\r\n\r\n"] if self._framing is Framing.CHUNKED else []
        return self._framed(self._coder.finish()) + last

    def _framed(self, encoded: bytes) -> list[bytes]:
        # An empty chunk would end the body, so nothing is written for nothing.
        size = self._pace.size if self._pace else max(len(encoded), 1)
        pieces = [encoded[at : at + size] for at in range(0, len(encoded), size)]
        if self._framing is not Framing.CHUNKED:
            return pieces
        return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


def body_of(reply: Reply) -> Body:
    """A fresh body for one exchange."""
    return Body(reply.framing, reply.encoding, reply.pace)


def body_length(reply: Reply) -> int:
    """What the reply's steps send in all, in bytes after content-encoding."""
    body = Body(Framing.LENGTH, reply.encoding)
    writes = [body.send(step.data) for step in reply.steps if isinstance(step, Send | SendShort)]
    return sum(len(piece) for pieces in [*writes, body.end()] for piece in pieces)
