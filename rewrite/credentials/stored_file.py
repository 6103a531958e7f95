"""Entries as the bytes of a file, by versions, and by the clocks of whoever wrote them. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from rewrite.credentials.entries import Entries, Entry, Key, Kind

VERSION = 1
_SALT = re.compile("(?:[0-9a-f]{2}){0,64}")
"""Bytes as hexadecimal digits, as many as a hash takes."""

HORIZON = 400 * 86_400.0
"""Seconds that nothing lasts longer than: a month's quota, or a year's, by a clock that was wrong."""


class Unreadable(Exception):
    """No file of ours; says why."""


class OfLaterVersion(Unreadable):
    """A file of a later version of the proxy."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on several clocks."""

    epoch: float
    """Epoch seconds on the clock of a pool, which the wall clock may have been wrong for."""
    steady: float
    """Seconds since the machine started, asleep or not."""
    boot: str = ""
    """Which start of which machine that was. Empty: the system does not say."""


def ahead(own: Moment, other: Moment) -> float:
    """Seconds by which our clock is ahead of that of who was at `other`, earlier, when we are at `own`.

    Within one start of a machine its steady clock says so. Else the clocks have to be believed, but for a
    moment that is yet to come: what was left then is left now.
    """
    if own.boot and own.boot == other.boot:
        return (own.epoch - own.steady) - (other.epoch - other.steady)
    return min(0.0, own.epoch - other.epoch)


class _Row(msgspec.Struct, omit_defaults=True):
    """An entry with its key."""

    kind: Kind
    provider: str
    at: float
    until: float
    credential: str = ""
    mark: str = ""
    scope: str = ""
    value: float | str | dict[str, object] | None = None


class _File(msgspec.Struct):
    version: int
    moment: Moment
    """When it was written."""
    salt: str
    entries: list[_Row]


class _AnyVersion(msgspec.Struct):
    version: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file holds."""

    entries: Entries
    """By the clock of its reader."""
    salt: str
    """What marks of keys are made with, see `Key.mark`: as hexadecimal digits."""


def written(stored: Stored, now: Moment) -> bytes:
    """The file of the current version."""
    rows = [_row(key, entry) for key, entry in stored.entries.items()]
    return msgspec.json.encode(_File(VERSION, now, stored.salt, rows))


def _row(key: Key, entry: Entry) -> _Row:
    value = dict(entry.value) if isinstance(entry.value, Mapping) else entry.value
    return _Row(key.kind, key.provider, entry.at, entry.until, key.credential, key.mark, key.scope, value)


def read(data: bytes, now: Moment) -> Stored:
    """What a file of any version holds, by our clock. Raises Unreadable."""
    try:
        version = _VERSION_OF.decode(data).version
        reader = READERS.get(version)
        if reader is None and version > VERSION:
            raise OfLaterVersion(f"it is of version {version}, which a later rotator wrote")
        if reader is None:
            raise Unreadable(f"there is no version {version}")
        return reader(data, now)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("it is damaged") from None


def _read_first(data: bytes, now: Moment) -> Stored:
    found = _FIRST.decode(data)
    if not _SALT.fullmatch(found.salt):
        raise Unreadable("it is damaged")
    by = ahead(now, found.moment)
    entries = {_key(row): _entry(row, by, now.epoch) for row in found.entries}
    return Stored(entries, found.salt)


def _key(row: _Row) -> Key:
    return Key(row.kind, row.provider, row.credential, row.mark, row.scope)


def _entry(row: _Row, by: float, now: float) -> Entry:
    """Nothing became known in the future, or lasts beyond the horizon."""
    return Entry(min(row.at + by, now), min(row.until + by, now + HORIZON), row.value)


_VERSION_OF = msgspec.json.Decoder(_AnyVersion)
_FIRST = msgspec.json.Decoder(_File)

READERS: Mapping[int, Callable[[bytes, Moment], Stored]] = {1: _read_first}
"""By version. Each stays for as long as there may be such files."""
