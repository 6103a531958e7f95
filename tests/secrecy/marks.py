"""Keys that are found wherever a part of them is: as they are, in base64 or hexadecimal, in any case."""

import gzip
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256

PART = 10
"""Characters of a key that are enough to find it."""


def mark(carrier: str) -> str:
    """What is random of the key that `carrier` has: the same one each time."""
    letters = b64encode(sha256(carrier.encode()).digest()).decode()
    return "".join(filter(str.isalnum, letters))[:24]


@cache
def _forms(secret: str) -> frozenset[bytes]:
    """Each part of `secret`, however it is written."""
    data = secret.encode()
    plain = {data.lower(), data.hex().encode()}
    coded = {b64encode(bytes(before) + data)[4:-4].lower() for before in range(3)}
    return frozenset(each[at : at + PART] for each in plain | coded for at in range(len(each) - PART + 1))


def holding(texts: Mapping[str, bytes], marks: Mapping[str, str]) -> list[str]:
    """Which text has a part of which mark, and what is around it."""
    return [found for name, text in texts.items() for found in _held(name, text, marks)]


def _held(name: str, text: bytes, marks: Mapping[str, str]) -> Iterator[str]:
    for data in (text, _unpacked(text)):
        small = data.lower()
        for carrier, secret in marks.items():
            places = [small.find(form) for form in _forms(secret) if form in small]
            if places:
                at = min(places)
                yield f"{name}: {carrier}: {data[max(0, at - 60) : at + 40]!r}"


def _unpacked(text: bytes) -> bytes:
    try:
        return gzip.decompress(text)
    except (OSError, EOFError, zlib.error):
        return b""
