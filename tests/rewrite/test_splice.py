"""A continuation spliced onto an answer: what repeats is left out, what is new follows what there is."""

from collections.abc import Sequence

import pytest

from protocols.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.progress import Progress
from rewrite.splice import Join, Splicer, added, said_text

TEXT, THOUGHT, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
SAID = "The quick brown fox jumps over the la"


def joined(said: str, *pieces: str) -> str:
    join = Join(said)
    return "".join([join.feed(piece) for piece in pieces]) + join.close()


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("said", "told", "new"),
    [
        (SAID, "zy dog.", "zy dog."),
        (SAID, " The end.", " The end."),
        (SAID, SAID + "zy dog.", "zy dog."),
        (SAID, "jumps over the lazy dog.", "zy dog."),
        (SAID, "\n\njumps over the lazy dog.", "zy dog."),
        (SAID, "jumps over the la", ""),
        (SAID, "A slow red hen", "A slow red hen"),
        ("He was qui", "quick.", "ck."),
        ("He was qui", " quick.", "ck."),
        ("He was qui", "quit", "t"),
        ("I saw a", "apple", "apple"),
        ("Hello", "Hello world", " world"),
        ("ha ha", " ha", " ha"),
        ("a long line\na long line\n", "a long line\n", ""),
        ("", "anything", "anything"),
        ("Hi", "   ", "   "),
    ],
)
def test_the_text_goes_on(said: str, told: str, new: str, size: int) -> None:
    assert joined(said, *(told[at : at + size] for at in range(0, len(told), size))) == new


def test_what_is_new_is_not_held() -> None:
    join = Join(SAID)
    assert [join.feed(text) for text in ("zy", " dog", ".")] == ["zy", " dog", "."]


def test_a_long_repetition_is_found_in_time() -> None:
    """Work grows with the text, not with its square."""
    said = "".join(f"line {number} of many\n" for number in range(20_000))
    assert joined(said, *(said[at : at + 50] for at in range(0, len(said), 50)), "the rest") == "the rest"


HEAD = (MessageStart("m", "model"), ChoiceStart(0))


def seen(*parts: StreamPart) -> Progress:
    progress = Progress()
    progress.fold((*HEAD, *parts))
    return progress


def block(index: int, kind: BlockKind, *texts: str) -> list[StreamPart]:
    deltas = [BlockDelta(0, index, kind, text) for text in texts]
    return [BlockStart(0, index, kind), *deltas, BlockStop(0, index)]


def end(reason: FinishReason = FinishReason.STOP) -> list[StreamPart]:
    return [Finish(0, reason, ""), StreamEnd()]


def spliced(progress: Progress, *parts: StreamPart) -> Sequence[StreamPart]:
    return Splicer(progress).feed((*HEAD, *parts))


OPEN = (BlockStart(0, 3, TEXT), BlockDelta(0, 3, TEXT, "Hello wor"))


def test_more_text_goes_into_the_text_that_is_open() -> None:
    told = spliced(seen(*OPEN), *block(0, TEXT, "ld", "!"), *end())
    assert told == [
        BlockDelta(0, 3, TEXT, "ld"),
        BlockDelta(0, 3, TEXT, "!"),
        BlockStop(0, 3),
        *end(),
    ]


def test_more_text_behind_one_that_ended_is_a_block_of_its_own() -> None:
    told = spliced(seen(*OPEN, BlockStop(0, 3)), *block(0, TEXT, "ld"), *end())
    assert told == [*block(4, TEXT, "ld"), *end()]


def test_thoughts_about_the_rest_are_not_shown() -> None:
    told = spliced(seen(*OPEN), *block(0, THOUGHT, "hm"), *block(1, TEXT, "ld"), *end())
    assert told == [BlockDelta(0, 3, TEXT, "ld"), BlockStop(0, 3), *end()]


def test_thoughts_that_were_cut_end_where_the_answer_begins() -> None:
    thinking = seen(BlockStart(0, 0, THOUGHT), BlockDelta(0, 0, THOUGHT, "Hm"))
    told = spliced(thinking, *block(0, THOUGHT, "Hm"), *block(1, TEXT, "Hi"), *end())
    assert told == [BlockStop(0, 0), *block(1, TEXT, "Hi"), *end()]


def test_a_tool_call_follows_the_text_under_the_next_index() -> None:
    call: list[StreamPart] = [BlockStart(0, 1, TOOL, "t", "f"), BlockDelta(0, 1, TOOL, "{}"), BlockStop(0, 1)]
    told = spliced(seen(*OPEN), *block(0, TEXT, "ld"), *call, *end(FinishReason.TOOL_CALLS))
    assert told == [
        BlockDelta(0, 3, TEXT, "ld"),
        BlockStop(0, 3),
        BlockStart(0, 4, TOOL, "t", "f"),
        BlockDelta(0, 4, TOOL, "{}"),
        BlockStop(0, 4),
        *end(FinishReason.TOOL_CALLS),
    ]


def test_usage_is_that_of_both() -> None:
    before = seen(*OPEN, UsageReport(Usage(input=10, output=4, cache_read=8)))
    told = spliced(before, UsageReport(Usage(input=15, output=3)), UsageReport(Usage(input=15, output=7)))
    assert told == [
        UsageReport(Usage(input=25, output=7, cache_read=8)),
        UsageReport(Usage(input=25, output=11, cache_read=8)),
    ]
    assert added(None, Usage(output=1)) == Usage(output=1)


def test_an_error_is_kept_from_the_client() -> None:
    splicer = Splicer(seen(*OPEN))
    error = StreamError("overloaded", "busy")
    assert splicer.feed([*HEAD, error]) == []
    assert (splicer.failed, splicer.added) == (error, False)


@pytest.mark.parametrize(
    ("parts", "adds"),
    [
        (block(0, TEXT, "ld"), True),
        (block(0, TEXT, "Hello wor"), False),
        (block(0, THOUGHT, "hm"), False),
        (end(), True),
        (block(0, TOOL, "{}"), True),
    ],
)
def test_whether_anything_new_came(parts: list[StreamPart], adds: bool) -> None:
    splicer = Splicer(seen(*OPEN))
    splicer.feed([*HEAD, *parts])
    assert splicer.added is adds


def test_the_text_of_an_answer_is_that_of_its_first_choice() -> None:
    progress = seen(*OPEN, *block(4, THOUGHT, "no"), BlockStart(1, 0, TEXT), BlockDelta(1, 0, TEXT, "other"))
    assert said_text(progress) == "Hello wor"
