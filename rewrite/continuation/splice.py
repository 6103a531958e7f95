"""One answer spliced onto another that was cut: the parts of the second as the rest of the first.

The second answers the prompt "go on exactly where you stopped", more or less: it may begin with words that
were said already, or with the whole of it. What repeats the end of the first is left out, so that the text
is said once and no word is broken (see `overlap`); what cannot be distinguished from new text is taken for
it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from protocols.model.parts import (
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
    UsageReport,
    at_index,
)
from protocols.model.progress import Progress
from protocols.shared.signatures import UNSIGNED
from rewrite.continuation.overlap import Join
from rewrite.usage.tokens import added, spent


def said_text(progress: Progress) -> str:
    """The text that the client has of the first choice."""
    texts = (block for block in progress.blocks.values() if block.kind is BlockKind.TEXT)
    return "".join(block.text for block in texts if block.start.choice == 0)


class Splicer:
    """The parts of one continuation, in canonical order (`translation.answer`), as those that follow what
    the client has seen, `progress`. Its reasoning is not shown, except what its provider asks back with a
    call.

    `added`: whether anything new came of it; `failed`: the error that ended it, which the client does not
    see.
    """

    def __init__(self, progress: Progress) -> None:
        self._join = Join(said_text(progress))
        self._open = [index for choice, index in progress.open if choice == 0]
        self._into = _open_text(progress, self._open)
        self._next = 1 + max((index for choice, index in progress.blocks if choice == 0), default=-1)
        self._usage = spent(progress)
        self._thoughts = _Thoughts(again=_is_bare(progress))
        self._sources = _Sources(0 if self._into is None else len(progress.blocks[0, self._into].text))
        self._joining: int | None = None
        self._indexes: dict[int, int] = {}
        self.added = False
        self.failed: StreamError | None = None

    @property
    def spoke(self) -> bool:
        """Whether anything came of it, be it new or not."""
        return self.added or self._sources.came > 0

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
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                yield from self._block(part)
            case UsageReport(usage=usage):
                yield UsageReport(added(self._usage, usage))
            case StreamError():
                self.failed = part
            case Finish() | StreamEnd():
                yield from self._ends()
                yield part
            case _:
                yield part

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[StreamPart]:
        if self._thoughts.take(part):
            return
        match part:
            case BlockStart():
                yield from self._start(part)
            case BlockDelta() if part.index == self._joining:
                self._sources.came += len(part.text)
                yield from self._text(self._join.feed(part.text))
            case Annotation() if part.index == self._joining:
                yield from self._cited(part)
            case _ if part.index in self._indexes:
                yield at_index(part, self._indexes[part.index])
            case _:
                pass

    def _start(self, part: BlockStart) -> Iterator[StreamPart]:
        """Text joins what there is until it is known how, be it in several blocks."""
        if part.kind is BlockKind.TEXT and (self._joining is None or not self._join.decided):
            self._joining, self._sources.began = part.index, self._sources.came
            return
        yield from self._text(self._join.close())
        yield from self._kept_thought(part.kind)
        yield from self._begin(part)

    def _begin(self, part: BlockStart) -> Iterator[StreamPart]:
        self.added = True
        yield from self._stop()
        self._indexes[part.index] = self._next
        yield replace(part, index=self._next)
        self._next += 1

    def _text(self, text: str) -> Iterator[StreamPart]:
        if not text:
            return
        self.added = True
        if self._into is None:
            yield from self._kept_thought(BlockKind.TEXT)
            yield from self._stop()
            yield BlockStart(0, self._next, BlockKind.TEXT)
            self._into, self._open = self._next, [self._next]
            self._next += 1
        yield BlockDelta(0, self._into, BlockKind.TEXT, text)

    def _kept_thought(self, before: BlockKind) -> Iterator[StreamPart]:
        thought = self._thoughts.kept(before)
        if thought:
            yield from self._stop()
            yield from (at_index(part, self._next) for part in thought)
            self._next += 1

    def _cited(self, part: Annotation) -> Iterator[StreamPart]:
        """The source of what is new; those of what is left out the client has."""
        if self._into is None or not self._join.decided:
            return
        placed = self._sources.placed(part, self._join.left_out)
        if placed is not None:
            yield replace(placed, index=self._into)

    def _stop(self) -> Iterator[StreamPart]:
        """What is open for the client ends before something else begins, or the answer does."""
        yield from (BlockStop(0, index) for index in self._open)
        self._open, self._into = [], None

    def _ends(self) -> Iterator[StreamPart]:
        yield from self._text(self._join.close())
        self.added = True
        yield from self._stop()


def _open_text(progress: Progress, opened: Sequence[int]) -> int | None:
    """The block that more text goes into: one that nothing else was begun after."""
    last = max(opened, default=None)
    is_text = last is not None and progress.open[0, last].kind is BlockKind.TEXT
    return last if is_text else None


def _is_bare(progress: Progress) -> bool:
    """Whether nothing was said, nor any thought that came to its end."""
    signatures = (block.stop.signature for block in progress.blocks.values() if block.stop)
    return not said_text(progress).strip() and all(signature in (None, UNSIGNED) for signature in signatures)


class _Thoughts:
    """The last block of reasoning of a continuation, until it is known what follows it.

    A client is to send back what a provider signed with a call, or it is refused: the signature of the call
    (a block without text, see `parts.BlockStop`), and the thought with which an answer begins that is made
    again.
    """

    def __init__(self, *, again: bool) -> None:
        """`again`: the client has no text of the first answer, and no thought that came to its end."""
        self._again = again
        self._parts: list[BlockStart | BlockDelta | BlockStop] = []
        self._indexes: set[int] = set()

    def take(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> bool:
        """Whether it is a part of what was thought."""
        if isinstance(part, BlockStart) and part.kind is BlockKind.REASONING:
            self._indexes.add(part.index)
            self._parts.clear()
        if part.index not in self._indexes:
            return False
        if not isinstance(part, Annotation):
            self._parts.append(part)
        return True

    def kept(self, before: BlockKind) -> Sequence[BlockStart | BlockDelta | BlockStop]:
        """What is sent of it, before a block of such a kind; once."""
        parts, self._parts = self._parts, []
        signed = (
            bool(parts) and isinstance(parts[-1], BlockStop) and parts[-1].signature not in (None, UNSIGNED)
        )
        bare = not any(isinstance(part, BlockDelta) and part.text for part in parts)
        return parts if signed and (self._again or (bare and before is BlockKind.TOOL)) else ()


class _Sources:
    """Where in the client's text a source of the continuation's belongs.

    `came` and `began` count characters of the continuation, at this moment and where its block began; `base`
    those that the client's block had.
    """

    def __init__(self, base: int) -> None:
        self._base = base
        self.came = self.began = 0

    def placed(self, part: Annotation, left_out: int) -> Annotation | None:
        shift = self.began - left_out + self._base
        if part.end is not None and self.began + part.end <= left_out:
            return None
        start = None if part.start is None else max(part.start + shift, 0)
        return replace(part, start=start, end=None if part.end is None else part.end + shift)
