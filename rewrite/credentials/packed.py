"""Entries as the texts that a shared store keeps, and back. Pure.

A store is read by more people than a folder: what a provider said of a refusal stays in the proxy that heard
it.
"""

import json
from collections.abc import Mapping
from typing import TypeGuard

import msgspec

from rewrite.credentials.entries import OF_SESSIONS, Entry, Key, Kind

_AS_KEPT = {"status", "kind", "protocol", "note"}
"""What is kept of a cooldown."""
_KINDS: Mapping[str, Kind] = {kind.value: kind for kind in Kind if kind is not Kind.USED}
"""What was used is kept in another way: by each proxy apart."""
_PARTS, _SAYS = len(Key._fields), 3


def packed(key: Key) -> str:
    """The name of an entry: an array of the parts of its key."""
    return _text(key)


def written(key: Key, entry: Entry) -> str:
    """What is kept under it: when it became known, until when, and what it says."""
    value = entry.value
    if key.kind is Kind.COOLDOWN and isinstance(value, Mapping):
        value = {name: each for name, each in value.items() if name in _AS_KEPT}
    elif key.kind is Kind.LAST and isinstance(value, str):
        value = value.partition("(")[0] if _is_of_a_cause(value) else value
    return _text((entry.at, entry.until, value))


def _text(value: tuple[object, ...]) -> str:
    """In ASCII where half characters are in it: clients name models as they like."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


def _is_of_a_cause(label: str) -> bool:
    """A message of whatever was in the way is in it."""
    return label.startswith(("truncated(", "unreachable("))


def law(key: Key) -> str:
    """How the script `merge` joins two of that kind: the longer one holds, or the later one; and of
    conversations the later one, beside an index of their own."""
    if key.kind in OF_SESSIONS:
        return "conversation"
    return "longer" if key.kind is Kind.COOLDOWN else "later"


def can_be_kept(entry: Entry) -> bool:
    return is_time(entry.at) and is_time(entry.until)


def read(name: object, kept: object) -> tuple[Key, Entry] | None:
    """An entry of which both texts were JSON. None: it is none of ours, or of a later version."""
    if not (isinstance(name, list) and isinstance(kept, list) and len(name) == _PARTS and len(kept) == _SAYS):
        return None
    kind, (at, until, value) = _KINDS.get(name[0] if isinstance(name[0], str) else ""), kept
    if kind is None or not all(isinstance(part, str) for part in name):
        return None
    if not (is_time(at) and is_time(until)):
        return None
    if value is None or isinstance(value, str | dict) or is_number(value):
        return Key(kind, *name[1:]), Entry(float(at), float(until), value)
    return None


LATEST, LARGEST = 1e11, 1e15
"""The latest moment that is kept, in epoch seconds, and the largest number that anything comes to."""


def is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, float | int) and abs(value) <= LATEST


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is one that can be added up."""
    return isinstance(value, float | int) and abs(value) <= LARGEST


def unpacked(name: str | bytes, kept: str | bytes) -> tuple[Key, Entry] | None:
    """As `read`, of the texts themselves."""
    try:
        return read(*map(_value, (name, kept)))
    except (ValueError, RecursionError):
        return None


def _value(text: str | bytes) -> object:
    """Raises ValueError."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return json.loads(text)
