"""A compressed request undone beside other calls: in steps, up to what a body may come to."""

import asyncio

from addons.upstream.encodings import DecodeError, steps


class TooLong(Exception):
    """A body comes to more than it may."""


async def inflated(body: bytes, content_encoding: str, longest: int) -> bytes:
    """`body` decoded; as it is where that cannot be done. Raises TooLong above `longest` bytes."""
    decoded = bytearray()
    try:
        for piece in steps(body, content_encoding):
            decoded += piece
            if len(decoded) > longest:
                raise TooLong
            await asyncio.sleep(0)
    except DecodeError:
        return body
    return bytes(decoded)
