"""The values of rules with `persist`, as the bytes of a file. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from rewrite.fields.store import Key

VERSION = 1
MOST = 32 << 20
"""Bytes of JSON of all values in a file; the oldest go first."""

type Name = tuple[bytes, Key]
"""The digest of a rule, and a key of it."""


class Unreadable(Exception):
    """No file of ours; says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The values of one key."""

    at: float
    """When they were stored, in epoch seconds."""
    until: float | None
    """When they are over. None: never."""
    values: bytes
    """A JSON list."""


type Entries = Mapping[Name, Kept]


class _Row(msgspec.Struct):
    rule: str
    """Hexadecimal digits, and so the key."""
    key: str
    at: float
    until: float | None
    values: msgspec.Raw


class _File(msgspec.Struct):
    version: int
    rows: list[_Row]


class _AnyVersion(msgspec.Struct):
    version: int


_FILE, _VERSION_OF = msgspec.json.Decoder(_File), msgspec.json.Decoder(_AnyVersion)


def written(entries: Entries) -> bytes:
    """A file of them, in their order."""
    rows = [
        _Row(rule.hex(), key.hex(), kept.at, kept.until, msgspec.Raw(kept.values))
        for (rule, key), kept in entries.items()
    ]
    return msgspec.json.encode(_File(VERSION, rows))


def read(data: bytes) -> dict[Name, Kept]:
    """What a file holds. Raises Unreadable."""
    try:
        if (version := _VERSION_OF.decode(data).version) != VERSION:
            raise Unreadable(f"it is of version {version}, which this rotator does not know")
        return {
            (bytes.fromhex(row.rule), bytes.fromhex(row.key)): Kept(row.at, row.until, bytes(row.values))
            for row in _FILE.decode(data).rows
        }
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Unreadable("it is damaged") from None


def is_readable(values: bytes) -> bool:
    """Whether `values` can be part of a file: the parsers of other JSON take more."""
    try:
        msgspec.json.decode(values)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def bounded(entries: Entries, now: float) -> dict[Name, Kept]:
    """Those that are not over at `now`, and of them as many of the latest as fit, in their order."""
    left, kept = MOST, set[Name]()
    for name, one in sorted(entries.items(), key=lambda item: item[1].at, reverse=True):
        left -= len(one.values)
        if left >= 0 and (one.until is None or now < one.until):
            kept.add(name)
    return {name: one for name, one in entries.items() if name in kept}
