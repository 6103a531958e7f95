"""Entries as the texts that a shared store keeps, and back. Pure.

A store is read by more people than a folder: what a provider said of a refusal stays in the proxy that heard
it. Texts are ASCII, since clients name models as they like, half characters included.
"""

import json
from collections.abc import Mapping
from math import isfinite

from rewrite.credentials.entries import OF_SESSIONS, Entry, Key, Kind

_AS_KEPT = {"status", "kind", "protocol", "note"}
"""What is kept of a cooldown."""
_KINDS = frozenset(Kind)
_PARTS = len(Key._fields)


def packed(key: Key) -> str:
    """The name of an entry: an array of the parts of its key."""
    return json.dumps(key, separators=(",", ":"))


def written(key: Key, entry: Entry) -> str:
    """What is kept under it: when it became known, until when, and what it says."""
    value = entry.value
    if key.kind is Kind.COOLDOWN and isinstance(value, Mapping):
        value = {name: each for name, each in value.items() if name in _AS_KEPT}
    elif key.kind is Kind.LAST and isinstance(value, str):
        value = value.partition("(")[0] if _is_of_a_cause(value) else value
    return json.dumps((entry.at, entry.until, value), separators=(",", ":"))


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
    return isfinite(entry.at) and isfinite(entry.until)


def read(name: object, kept: object) -> tuple[Key, Entry] | None:
    """An entry of which both texts were JSON. None: it is none of ours, or of a later version."""
    match name, kept:
        case (
            [str(kind), str(provider), str(credential), str(mark), str(scope)],
            [float() | int() as at, float() | int() as until, value],
        ) if kind in _KINDS and isfinite(at) and isfinite(until):
            key = Key(Kind(kind), provider, credential, mark, scope)
            if value is None or isinstance(value, float | str | int | dict):
                return key, Entry(float(at), float(until), value)
    return None


def unpacked(name: str | bytes, kept: str | bytes) -> tuple[Key, Entry] | None:
    """As `read`, of the texts themselves."""
    try:
        return read(json.loads(name), json.loads(kept))
    except (ValueError, RecursionError):
        return None
