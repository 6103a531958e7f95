"""One answer spliced onto another that was cut: the parts of the second as the rest of the first.

The second answers "go on exactly where you stopped", and does so more or less: it may begin with words that
were said already, or with the whole of it. What repeats the end of the first is left out, so that the text
is said once and no word is broken; what cannot be told from going on is taken for it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from protocols.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    MessageStart,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.progress import Block, Progress

LEAST_OVERLAP = 8
"""Characters that a text has to repeat at least: fewer are said again by chance."""

LEAST_FRAGMENT = 3
"""The same of the beginning of a word that is then said whole."""


def said_text(progress: Progress) -> str:
    """The text that the client has of the first choice."""
    return "".join(block.text for (choice, _), block in _blocks(progress) if choice == 0 and _is_text(block))


def _blocks(progress: Progress) -> Iterable[tuple[tuple[int, int], Block]]:
    return progress.blocks.items()


def _is_text(block: Block) -> bool:
    return block.kind is BlockKind.TEXT


class Join:
    """The text of a continuation without what repeats the end of `said`; held while it may be that."""

    def __init__(self, said: str) -> None:
        self._said, self._head, self._at = said, "", 0
        self._decided = not said

    @property
    def repeats(self) -> bool:
        """Whether all that came was said before, and is more than chance."""
        return not self._decided and len(self._head.strip()) >= LEAST_OVERLAP

    def feed(self, text: str) -> str:
        if self._decided:
            return text
        self._head += text
        if self._may_repeat():
            return ""
        self._decided = True
        return _without_overlap(self._said, self._head)

    def close(self) -> str:
        """The text is over; what is still held said nothing new, if it is more than chance."""
        if self._decided or self.repeats:
            return ""
        self._decided = True
        return self._head

    def _may_repeat(self) -> bool:
        """Whether all that came stands in `said`; where it does is not looked for twice."""
        sought = self._head.lstrip()
        if not self._said.startswith(sought, self._at):
            self._at = self._said.find(sought, self._at)
        return self._at >= 0


def _without_overlap(said: str, text: str) -> str:
    bare = text.lstrip()
    size = max((size for size in _overlaps(said, bare) if _is_repeated(said, bare, size)), default=0)
    return bare[size:] if size else text


def _overlaps(said: str, text: str) -> Iterator[int]:
    """How many characters of `text` are the end of `said`, in every way in which they can be."""
    at = said.find(text[:LEAST_FRAGMENT]) if len(text) >= LEAST_FRAGMENT else -1
    while at >= 0:
        if text.startswith(said[at:]):
            yield len(said) - at
        at = said.find(text[:LEAST_FRAGMENT], at + 1)


def _is_repeated(said: str, text: str, size: int) -> bool:
    """Much of it, all of it, or the word that was cut and is now said whole."""
    if size >= LEAST_OVERLAP or size == len(said):
        return True
    fragment = sum(1 for _ in takewhile(str.isalnum, reversed(said)))
    return size == fragment and text[size : size + 1].isalnum()


class Splicer:
    """The parts of one continuation, in canonical order (see rewrite.sequence), as those that follow what the
    client has seen, `progress`. Its reasoning is not shown: the client is reading the answer to it.

    `added`: whether anything new came of it; `failed`: the error that ended it, which the client is not told.
    """

    def __init__(self, progress: Progress) -> None:
        self._join = Join(said_text(progress))
        self._open = next((place[1] for place in progress.open if place[0] == 0), None)
        self._in_text = self._open is not None and progress.open[0, self._open].kind is BlockKind.TEXT
        self._next = 1 + max((index for choice, index in progress.blocks if choice == 0), default=-1)
        self._usage = progress.usage
        self._first: int | None = None
        self._indexes: dict[int, int] = {}
        self.added = False
        self.failed: StreamError | None = None

    @property
    def repeats(self) -> bool:
        """Whether it said again what was said, and nothing else."""
        return self._join.repeats and not self.added

    def feed(self, parts: Iterable[StreamPart]) -> Sequence[StreamPart]:
        return [new for part in parts for new in self._feed(part)]

    def _feed(self, part: StreamPart) -> Iterator[StreamPart]:
        match part:
            case MessageStart() | ChoiceStart():
                pass
            case BlockStart():
                yield from self._start(part)
            case BlockDelta() if part.index == self._first:
                yield from self._text(self._join.feed(part.text))
            case BlockStop() if part.index == self._first:
                yield from self._text(self._join.close())
            case BlockDelta() | BlockStop() | Annotation():
                if part.index in self._indexes:
                    yield replace(part, index=self._indexes[part.index])
            case UsageReport(usage=usage):
                yield UsageReport(added(self._usage, usage))
            case StreamError():
                self.failed = part
            case _:
                yield from self._last(part)

    def _start(self, part: BlockStart) -> Iterator[StreamPart]:
        if part.kind is BlockKind.REASONING:
            return
        if part.kind is BlockKind.TEXT and self._first is None:
            self._first = part.index
            return
        self.added = True
        yield from self._stop()
        self._indexes[part.index] = self._next
        yield replace(part, index=self._next)
        self._next += 1

    def _text(self, text: str) -> Iterator[StreamPart]:
        if not text:
            return
        self.added = True
        if not self._in_text:
            yield from self._stop()
            yield BlockStart(0, self._next, BlockKind.TEXT)
            self._open, self._in_text = self._next, True
            self._next += 1
        assert self._open is not None
        yield BlockDelta(0, self._open, BlockKind.TEXT, text)

    def _stop(self) -> Iterator[StreamPart]:
        """What is open for the client ends before something else begins, or the answer does."""
        if self._open is not None:
            yield BlockStop(0, self._open)
        self._open, self._in_text = None, False

    def _last(self, part: StreamPart) -> Iterator[StreamPart]:
        """A finish, the end, or nothing that anyone sees."""
        if isinstance(part, Finish | StreamEnd):
            self.added = True
            yield from self._stop()
        yield part


def added(one: Usage | None, two: Usage) -> Usage:
    """Both together; a count that one of them lacks is the other's."""
    if one is None:
        return two
    return Usage(
        input=_sum(one.input, two.input),
        output=_sum(one.output, two.output),
        cache_read=_sum(one.cache_read, two.cache_read),
        cache_write=_sum(one.cache_write, two.cache_write),
        reasoning=_sum(one.reasoning, two.reasoning),
    )


def _sum(one: int | None, two: int | None) -> int | None:
    counts = [count for count in (one, two) if count is not None]
    return sum(counts) if counts else None
