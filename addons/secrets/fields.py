r"""Hides the values of fields in bytes that are, or hold, JSON: by their names, without parsing.

What comes in pieces may be cut anywhere. JSON in a string of JSON is searched too: there a quote is `\"`, one
level down `\\\"`. A value is held until it is whole; of one that is too long the rest is not given out, nor
anything after it.
"""

import re
from collections.abc import Callable, Iterator

from addons.secrets.names import MARKS, Kind, kind
from protocols.shared.signatures import MARK

LONGEST_VALUE = 1 << 20
"""Bytes of a value that is held."""

type Show = Callable[[Kind, bytes, bool], bytes | None]
"""What stands for a value of a field of that kind, as the text of a string: from the value as it is written
(of a string, what is between its quotes) and whether it is one. None: the value itself. An envelope is a
signature in any field."""

_FIELD = re.compile(
    rb'"(?:(?=%(mark)b)|([\w-]{1,64})\\*"\s*:\s*(?:(\\*")(?!%(mark)b)|(?=[\[{\d-])))'
    % {b"mark": MARK.encode()}
)
"""The beginning of a value: the name, and the quote of a string. Without a name it is an envelope."""
_WORDS = tuple(word.encode() for word in (*MARKS, '"data', MARK.lower()))
_LONGEST_NAME = 64
_BEGUN = re.compile(rb'\\*(?:"[\w-]{0,64}(?:\\*(?:"\s{0,16}(?::\s{0,16}\\*)?)?)?)?\Z')
"""An end that may begin a field."""
_LONGEST_BEGUN = 128
_QUOTE = re.compile(rb'\\*"|[\r\n]')
"""A line ends a string, too: in JSON none has one."""
_BRACKET = re.compile(rb'\\*"|[][{}]')
_NUMBER = re.compile(rb"[-+.\w]*")
_CUT = b"[cut: a value that is too long to be looked into]"


class Fields:
    """Hides them in a stream of bytes, as `show` says."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._kept = b""
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """What may be shown by now."""
        if self._ended:
            return b""
        data = self._kept + data
        out: list[bytes] = []
        at = 0
        for found in _found(data):
            if found.start() < at:
                continue
            end = _end(data, found)
            if end is None:
                return b"".join([*out, self._held(data, at, found)])
            out += [data[at : found.end()], self._shown(data, found, end)]
            at = end
        begun = _BEGUN.search(data, max(at, len(data) - _LONGEST_BEGUN))
        kept = begun.start() if begun else len(data)
        self._kept = data[kept:]
        return b"".join([*out, data[at:kept]])

    def _shown(self, data: bytes, found: re.Match[bytes], end: int) -> bytes:
        value = data[found.end() : end]
        shown = self._show(_kind(found), value, _is_string(found))
        if shown is None or _is_string(found):
            return value if shown is None else shown
        quote = b"\\" * _level(data, found) + b'"'
        return quote + shown + quote

    def _held(self, data: bytes, at: int, found: re.Match[bytes]) -> bytes:
        """The value that `found` begins is not whole."""
        start = found.start() - _level(data, found)
        if len(data) - found.end() <= LONGEST_VALUE:
            self._kept = data[start:]
            return data[at:start]
        self._kept, self._ended = b"", True
        return data[at : found.end()] + _CUT

    def remainder(self) -> bytes:
        """What was held: the stream has ended. Half a value is shown as a whole one is."""
        kept, self._kept = self._kept, b""
        found = next(_found(kept), None)
        if found is None:
            return kept
        return kept[: found.end()] + self._shown(kept, found, len(kept))

    def whole(self, data: bytes) -> bytes:
        """`data` alone."""
        return self.feed(data) + self.remainder()


def _found(data: bytes) -> Iterator[re.Match[bytes]]:
    """The fields in it that are not plain, in order. Most names are; what they would all take is spared by a
    search for the words of the others."""
    lower = data.lower()
    quotes = {data.rfind(b'"', max(0, at - _LONGEST_NAME), at + 1) for at in _all_words(lower)}
    for quote in sorted(quotes - {-1}):
        found = _FIELD.match(data, quote)
        if found and _kind(found) is not Kind.PLAIN:
            yield found


def _all_words(lower: bytes) -> Iterator[int]:
    for word in _WORDS:
        at = lower.find(word)
        while at >= 0:
            yield at
            at = lower.find(word, at + 1)


def _kind(found: re.Match[bytes]) -> Kind:
    return Kind.SIGNATURE if found[1] is None else kind(found[1].decode())


def _is_string(found: re.Match[bytes]) -> bool:
    return found[1] is None or found[2] is not None


def _level(data: bytes, found: re.Match[bytes]) -> int:
    """How many backslashes are before the quotes of the JSON that a field is in."""
    before = data[max(0, found.start() - 64) : found.start()]
    return len(before) - len(before.rstrip(b"\\"))


def _end(data: bytes, found: re.Match[bytes]) -> int | None:
    """Where the value that `found` begins ends; None where that is not in `data`."""
    level = _level(data, found)
    if _is_string(found):
        return _end_of_string(data, found.end(), level)
    if data[found.end()] in b"[{":
        return _end_of_brackets(data, found.end(), level)
    number = _NUMBER.match(data, found.end())
    assert number is not None
    return number.end() if number.end() < len(data) else None


def _end_of_string(data: bytes, at: int, level: int) -> int | None:
    for quote in _QUOTE.finditer(data, at):
        if data[quote.end() - 1] != 0x22:
            return quote.start()
        if _closes(quote.end() - quote.start() - 1, level):
            return max(quote.start(), quote.end() - 1 - level)
    return None


def _end_of_brackets(data: bytes, at: int, level: int) -> int | None:
    depth, inside = 0, False
    for token in _BRACKET.finditer(data, at):
        char = data[token.end() - 1]
        if char == 0x22:
            inside ^= _closes(token.end() - token.start() - 1, level)
        elif not inside:
            depth += 1 if char in b"[{" else -1
            if depth == 0:
                return token.end()
    return None


def _closes(backslashes: int, level: int) -> bool:
    """Whether a quote after so many ends a string whose own quotes come after `level`: 0, 1, 3, 7, ..."""
    while level:
        if backslashes % 2 == 0:  # the string around it ends
            return True
        backslashes, level = backslashes // 2, level // 2
    return backslashes % 2 == 0
