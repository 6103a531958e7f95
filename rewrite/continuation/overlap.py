"""Where the text of a continuation begins to be new.

A model that is asked to continue repeats some of what it said: the word that was cut, the last sentence, the
whole of it, sometimes after dots or in quotes. All of that is left out.
"""

from collections.abc import Callable, Iterator
from itertools import takewhile

LEAST_OVERLAP = 8
"""Characters that a text has to repeat at least: fewer are said again by chance."""

LEAST_FRAGMENT = 3
"""The same of the last word, where that is all that is repeated."""

_LEADS = " \t\r\n.…\"'“”„‘’«»`"
"""What a model puts before words that it repeats."""


class Join:
    """The text of a continuation without what repeats the end of `said`; held while it may be that.

    `decided`: nothing is held any more; `left_out`: how many characters repeated.
    """

    def __init__(self, said: str) -> None:
        self._said, self._head = said, ""
        self._bare, self._led = _Beginning(said, None), _Beginning(said, _LEADS)
        self.decided = not said
        self.left_out = 0

    @property
    def repeats(self) -> bool:
        """Whether all that came was said before, and is more than chance."""
        return not self.decided and len(self._head.strip()) >= LEAST_OVERLAP

    def feed(self, text: str) -> str:
        if self.decided:
            return text
        self._head += text
        if self._bare.stands(self._head) or self._led.stands(self._head):
            return ""
        return self._new(repeated(self._said, self._head))

    def close(self) -> str:
        """The text is over. What is still held is new where it repeats neither the end nor the beginning."""
        if self.decided:
            return ""
        began_again = self.repeats and self._said.startswith(self._head.strip())
        return self._new(len(self._head) if began_again else repeated(self._said, self._head))

    def _new(self, left_out: int) -> str:
        self.decided, self.left_out = True, left_out
        return self._head[left_out:]


class _Beginning:
    """Whether a text that grows stands in `said`, but for its `leads`; no place is looked at twice."""

    def __init__(self, said: str, leads: str | None) -> None:
        self._said, self._leads, self._at = said, leads, 0

    def stands(self, text: str) -> bool:
        sought = text.lstrip(self._leads)
        if self._at >= 0 and not self._said.startswith(sought, self._at):
            self._at = self._said.find(sought, self._at)
        return self._at >= 0


def repeated(said: str, text: str) -> int:
    """How many characters of `text`, from its beginning, repeat the end of `said`."""
    bare, led = text.lstrip(), text.lstrip(_LEADS)
    if not said.strip():
        return _alike(said, text)
    if size := _begun_again(said, bare):
        return len(text) - len(bare) + size
    glued = len(bare) == len(text)
    found = _longest(
        said, bare, lambda size: _is_long(bare[:size]) or _is_word(said, bare, size, glued=glued)
    )
    if found:
        return len(text) - len(bare) + found
    found = _longest(said, led, lambda size: _is_long(led[:size]))
    return len(text) - len(led) + found if found else 0


def _longest(said: str, text: str, is_repeated: Callable[[int], bool]) -> int:
    return max((size for size in _overlaps(said, text) if is_repeated(size)), default=0)


def _begun_again(said: str, bare: str) -> int:
    """The whole of it, however short, up to the blank space that it ended with."""
    core = said.strip()
    if not bare.startswith(core):
        return 0
    return len(core) + _alike(said[len(said.rstrip()) :], bare[len(core) :])


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _overlaps(said: str, text: str) -> Iterator[int]:
    """How many characters of `text` are the end of `said`, in every way in which they can be."""
    at = said.find(text[:LEAST_FRAGMENT]) if len(text) >= LEAST_FRAGMENT else -1
    while at >= 0:
        if text.startswith(said[at:]):
            yield len(said) - at
        at = said.find(text[:LEAST_FRAGMENT], at + 1)


def _is_long(text: str) -> bool:
    """More than chance; a row of zeros, a rule of dashes and the like say nothing: it continues so anyway."""
    return len(text) >= LEAST_OVERLAP and not any(
        2 * period <= len(text) and text.startswith(text[period:]) for period in range(1, LEAST_OVERLAP)
    )


def _is_word(said: str, text: str, size: int, *, glued: bool) -> bool:
    """The word that was cut and is now said whole; or the last one, where nothing parts it from its copy."""
    last = sum(1 for _ in takewhile(str.isalnum, reversed(said)))
    return size == last and (glued or text[size : size + 1].isalnum())
