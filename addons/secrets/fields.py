r"""Hides the values of fields in bytes that are, or hold, JSON: by their names, without parsing.

What comes in pieces may be cut anywhere. JSON in a string of JSON is searched too: there a quote is `\"`, one
level down `\\\"`. A value is held until it is whole; of one that is too long the rest is not given out, nor
anything after it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

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
# Backslashes are taken with their quote, or alone: many would else be looked through from each of them on.
_QUOTE = re.compile(rb'\\+"?|["\r\n]')
"""A line ends a string, too: in JSON none has one."""
_BRACKET = re.compile(rb'\\+"?|["\[\]{}]')
_NUMBER = re.compile(rb"[-+.\w]*")
_QUOTE_MARK, _BACKSLASH = b'"\\'
_CUT = b"[cut: a value that is too long to be looked into]"


class Fields:
    """Hides them in a stream of bytes, as `show` says."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self._kept = b""
        self._value: _Value | None = None
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        """What may be shown by now."""
        if self._ended:
            return b""
        data, out, at = self._kept + data, list[bytes](), 0
        held = (self._value,) if self._value else ()
        for value in chain(held, _values(data)):
            if value.start + value.level < at:
                continue
            end = value.end(data)
            if end is None:
                return b"".join([*out, self._held(data, at, value)])
            out += [data[at : value.begin], self._shown(data, value, end)]
            at = end
        self._value = None
        begun = _BEGUN.search(data, max(at, len(data) - _LONGEST_BEGUN))
        kept = begun.start() if begun else len(data)
        self._kept = data[kept:]
        return b"".join([*out, data[at:kept]])

    def _shown(self, data: bytes, value: "_Value", end: int) -> bytes:
        written = data[value.begin : end]
        shown = self._show(value.kind, written, value.is_string)
        if shown is None or value.is_string:
            return written if shown is None else shown
        quote = b"\\" * value.level + b'"'
        return quote + shown + quote

    def _held(self, data: bytes, at: int, value: "_Value") -> bytes:
        """`value` is not whole."""
        if len(data) - value.begin <= LONGEST_VALUE:
            start = value.start
            self._kept, self._value = data[start:], value.moved(start)
            return data[at:start]
        self._kept, self._value, self._ended = b"", None, True
        return data[at : value.begin] + _CUT

    def remainder(self) -> bytes:
        """What was held: the stream has ended. Half a value is shown as a whole one is."""
        kept, value = self._kept, self._value
        self._kept, self._value = b"", None
        return kept if value is None else kept[: value.begin] + self._shown(kept, value, len(kept))

    def whole(self, data: bytes) -> bytes:
        """`data` alone."""
        return self.feed(data) + self.remainder()


def _values(data: bytes) -> Iterator["_Value"]:
    """Those of fields that are not plain, in order. Most names are; what they would all take is spared by a
    search for the words of the others."""
    lower = data.lower()
    quotes = {data.rfind(b'"', max(0, at - _LONGEST_NAME), at + 1) for at in _all_words(lower)}
    for quote in sorted(quotes - {-1}):
        found = _FIELD.match(data, quote)
        if found and (known := _kind(found)) is not Kind.PLAIN:
            level = _level(data, found)
            is_string = found[1] is None or found[2] is not None
            yield _Value(known, is_string, level, quote - level, found.end(), found.end())


def _all_words(lower: bytes) -> Iterator[int]:
    for word in _WORDS:
        at = lower.find(word)
        while at >= 0:
            yield at
            at = lower.find(word, at + 1)


def _kind(found: re.Match[bytes]) -> Kind:
    return Kind.SIGNATURE if found[1] is None else kind(found[1].decode())


def _level(data: bytes, found: re.Match[bytes]) -> int:
    """How many backslashes are before the quotes of the JSON that a field is in."""
    before = data[max(0, found.start() - 64) : found.start()]
    return len(before) - len(before.rstrip(b"\\"))


@dataclass(slots=True)
class _Value:
    """The value of a field, whose end is looked for in bytes to which more may come."""

    kind: Kind
    is_string: bool
    level: int
    """See `_level`."""
    start: int
    """Where its field begins, the backslashes before that included."""
    begin: int
    """Where it begins itself."""
    at: int
    """Up to where it was looked through."""
    depth: int = 0
    """Of brackets, there."""
    inside: bool = False
    """Whether that is in a string."""

    def moved(self, by: int) -> "_Value":
        """The same one in bytes of which the first are gone."""
        return replace(self, start=self.start - by, begin=self.begin - by, at=self.at - by)

    def end(self, data: bytes) -> int | None:
        """Where it ends; None where that is not in `data`."""
        if self.is_string:
            return self._end_of_string(data)
        if data[self.begin] in b"[{":
            return self._end_of_brackets(data)
        number = _NUMBER.match(data, self.begin)
        assert number is not None
        return number.end() if number.end() < len(data) else None

    def _end_of_string(self, data: bytes) -> int | None:
        for quote in self._tokens(_QUOTE, data):
            if data[quote.end() - 1] != _QUOTE_MARK:
                return quote.start()
            if _closes(quote.end() - quote.start() - 1, self.level):
                return max(quote.start(), quote.end() - 1 - self.level)
        return None

    def _end_of_brackets(self, data: bytes) -> int | None:
        for token in self._tokens(_BRACKET, data):
            char = data[token.end() - 1]
            if char == _QUOTE_MARK:
                self.inside ^= _closes(token.end() - token.start() - 1, self.level)
            elif not self.inside:
                self.depth += 1 if char in b"[{" else -1
                if self.depth == 0:
                    return token.end()
        return None

    def _tokens(self, pattern: re.Pattern[bytes], data: bytes) -> Iterator[re.Match[bytes]]:
        """What may end it, but for backslashes that no quote follows: of those at the end one may."""
        start, self.at = self.at, len(data)
        for token in pattern.finditer(data, start):
            if data[token.end() - 1] != _BACKSLASH:
                yield token
            elif token.end() == len(data):
                self.at = token.start()


def _closes(backslashes: int, level: int) -> bool:
    """Whether a quote after so many ends a string whose own quotes come after `level`: 0, 1, 3, 7, ..."""
    while level:
        if backslashes % 2 == 0:  # the string around it ends
            return True
        backslashes, level = backslashes // 2, level // 2
    return backslashes % 2 == 0
