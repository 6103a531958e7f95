"""Arguments of a function call that come piece by piece, each for a place in the object (`partialArgs`).

Measured (Vertex): `{"jsonPath": "$.items[0].name", "stringValue": "Bos", "willContinue": true}`, later
pieces of the same text at the same place, `numberValue` whole; an array grows by one item at a time.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import cast

from protocols.model.wirejson import JsonObject, dump, text_at
from protocols.shared.arguments import text_of_value

type Key = str | int

_KEY = re.compile(r"""\.([^.\[\]'"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")
_ESCAPE = re.compile(r"\\(.)")
_VALUES = ("numberValue", "boolValue")


def path_keys(path: str) -> tuple[Key, ...] | None:
    """`$.a[0]['b c']` as ("a", 0, "b c"); None for what is no path to one place."""
    if not path.startswith("$"):
        return None
    keys: list[Key] = []
    at = 1
    while at < len(path):
        found = _KEY.match(path, at)
        if found is None:
            return None
        keys.append(_key(found))
        at = found.end()
    return tuple(keys) or None


def _key(found: re.Match[str]) -> Key:
    bare, number, single, double = found.groups()
    if number is not None:
        return int(number)
    return bare if bare is not None else _ESCAPE.sub(r"\1", single if single is not None else double)


class PartialArguments:
    """The arguments of one call while they come."""

    def __init__(self) -> None:
        self._root: dict[str, object] = {}
        self._other = ""
        self._unread: list[JsonObject] = []

    def begin(self, arguments: object) -> None:
        """What is there before the first piece: by the form an object, or nothing."""
        if isinstance(arguments, dict):
            self._root.update(arguments)
        else:
            self._other = text_of_value(arguments)

    def add(self, pieces: Iterable[JsonObject]) -> None:
        for piece in pieces:
            keys = path_keys(text_at(piece, "jsonPath"))
            if keys is None or not _put(self._root, keys, piece):
                self._unread.append(piece)

    def whole(self) -> str:
        """The object as JSON text; where a piece has no place, half of it, so that nobody runs it."""
        if self._unread or (self._other and self._root):
            return self.half()
        return self._other or dump(self._root).decode()

    def half(self) -> str:
        """What has come of a call that was broken off; never a whole object."""
        return dump(self._root).decode()[:-1]


def _put(root: dict[str, object], keys: tuple[Key, ...], piece: JsonObject) -> bool:
    """Whether the place could be reached and filled."""
    holder: object = root
    for key, following in pairwise(keys):
        empty: object = [] if isinstance(following, int) else {}
        if not _is_in(holder, key) and not _set(holder, key, empty):
            return False
        holder = holder[key]  # type: ignore[index]
    before = holder[keys[-1]] if _is_in(holder, keys[-1]) else None  # type: ignore[index]
    return _set(holder, keys[-1], _value(piece, before))


def _value(piece: JsonObject, before: object) -> object:
    if isinstance(text := piece.get("stringValue"), str):
        return before + text if isinstance(before, str) else text
    return next((piece[name] for name in _VALUES if name in piece), None)


def _is_in(holder: object, key: Key) -> bool:
    if isinstance(holder, list):
        return isinstance(key, int) and key < len(holder)
    return isinstance(holder, dict) and key in holder


def _set(holder: object, key: Key, value: object) -> bool:
    if isinstance(holder, dict) and isinstance(key, str):
        holder[key] = value
    elif isinstance(holder, list) and isinstance(key, int) and key <= len(holder):
        cast(list[object], holder)[key : key + 1] = [value]
    else:
        return False
    return True
