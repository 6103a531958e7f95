"""A continuation spliced onto an answer: what repeats is left out, what is new follows what there is."""

from collections.abc import Sequence

import pytest

from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.shared.signatures import UNSIGNED
from rewrite.continuation.splice import Splicer, said_text
from rewrite.usage.tokens import added

TEXT, THOUGHT, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
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
    found = spliced(seen(*OPEN), *block(0, TEXT, "ld", "!"), *end())
    assert found == [
        BlockDelta(0, 3, TEXT, "ld"),
        BlockDelta(0, 3, TEXT, "!"),
        BlockStop(0, 3),
        *end(),
    ]


def test_more_text_after_one_that_ended_is_a_block_of_its_own() -> None:
    found = spliced(seen(*OPEN, BlockStop(0, 3)), *block(0, TEXT, "ld"), *end())
    assert found == [*block(4, TEXT, "ld"), *end()]


def test_thoughts_about_the_rest_are_not_shown() -> None:
    found = spliced(seen(*OPEN), *block(0, THOUGHT, "hm"), *block(1, TEXT, "ld"), *end())
    assert found == [BlockDelta(0, 3, TEXT, "ld"), BlockStop(0, 3), *end()]


def test_thoughts_that_were_cut_end_where_the_answer_begins() -> None:
    thinking = seen(BlockStart(0, 0, THOUGHT), BlockDelta(0, 0, THOUGHT, "Hm"))
    found = spliced(thinking, *block(0, THOUGHT, "Hm"), *block(1, TEXT, "Hi"), *end())
    assert found == [BlockStop(0, 0), *block(1, TEXT, "Hi"), *end()]


def test_a_tool_call_follows_the_text_under_the_next_index() -> None:
    call: list[StreamPart] = [BlockStart(0, 1, TOOL, "t", "f"), BlockDelta(0, 1, TOOL, "{}"), BlockStop(0, 1)]
    found = spliced(seen(*OPEN), *block(0, TEXT, "ld"), *call, *end(FinishReason.TOOL_CALLS))
    assert found == [
        BlockDelta(0, 3, TEXT, "ld"),
        BlockStop(0, 3),
        BlockStart(0, 4, TOOL, "t", "f"),
        BlockDelta(0, 4, TOOL, "{}"),
        BlockStop(0, 4),
        *end(FinishReason.TOOL_CALLS),
    ]


def test_usage_is_that_of_both() -> None:
    before = seen(*OPEN, UsageReport(Usage(input=10, output=4, cache_read=8)))
    found = spliced(before, UsageReport(Usage(input=15, output=3)), UsageReport(Usage(input=15, output=7)))
    assert found == [
        UsageReport(Usage(input=25, output=7, cache_read=8)),
        UsageReport(Usage(input=25, output=11, cache_read=8)),
    ]
    assert added(Usage(input=2), Usage(output=1)) == Usage(input=2, output=1)


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


def test_what_is_open_besides_the_text_ends_with_it() -> None:
    """Chat leaves what was thought open while it speaks."""
    both = seen(BlockStart(0, 0, THOUGHT), BlockDelta(0, 0, THOUGHT, "hm"), *OPEN)
    found = spliced(both, *block(0, TEXT, "ld"), *end())
    assert found == [BlockDelta(0, 3, TEXT, "ld"), BlockStop(0, 0), BlockStop(0, 3), *end()]


def test_a_text_in_several_blocks_is_repeated_in_several_blocks() -> None:
    two = seen(
        *block(0, TEXT, "The first one. "), BlockStart(0, 1, TEXT), BlockDelta(0, 1, TEXT, "The second")
    )
    again = (
        *block(0, TEXT, "The first one. "),
        *block(1, TEXT, "The second one. "),
        *block(2, TEXT, "Third."),
    )
    assert spliced(two, *again, *end()) == [
        BlockDelta(0, 1, TEXT, " one. "),
        BlockStop(0, 1),
        *block(2, TEXT, "Third."),
        *end(),
    ]


def test_what_is_still_held_goes_out_before_a_call_and_before_the_end() -> None:
    call: list[StreamPart] = [BlockStart(0, 1, TOOL, "t", "f"), BlockStop(0, 1)]
    found = spliced(seen(*OPEN), *block(0, TEXT, " o"), *call)
    assert found[:2] == [BlockDelta(0, 3, TEXT, " o"), BlockStop(0, 3)]
    assert spliced(seen(*OPEN), *block(0, TEXT, " o"), *end())[0] == BlockDelta(0, 3, TEXT, " o")


SIGNED = Signature("signature", "sig")


def thought(index: int, text: str, signature: Signature | None) -> list[StreamPart]:
    start, stop = BlockStart(0, index, THOUGHT), BlockStop(0, index, signature)
    return [start, BlockDelta(0, index, THOUGHT, text), stop] if text else [start, stop]


def the_call(index: int) -> list[StreamPart]:
    return [BlockStart(0, index, TOOL, "t", "f"), BlockDelta(0, index, TOOL, "{}"), BlockStop(0, index)]


def test_the_signature_of_a_call_goes_with_it() -> None:
    """Gemini refuses a call that comes back without its signature."""
    parts: list[StreamPart] = [
        *thought(0, "hm", UNSIGNED),
        *block(1, TEXT, "ld"),
        *thought(2, "", SIGNED),
        *the_call(3),
    ]
    assert spliced(seen(*OPEN), *parts) == [
        BlockDelta(0, 3, TEXT, "ld"),
        BlockStop(0, 3),
        *thought(4, "", SIGNED),
        *the_call(5),
    ]


def test_the_signature_of_a_text_and_thoughts_about_the_rest_are_left_out() -> None:
    text: list[StreamPart] = [*thought(0, "", SIGNED), *block(1, TEXT, "ld")]
    assert spliced(seen(*OPEN), *text) == [BlockDelta(0, 3, TEXT, "ld")]
    call: list[StreamPart] = [*thought(0, "hm", SIGNED), *the_call(1)]
    assert spliced(seen(*OPEN), *call) == [BlockStop(0, 3), *the_call(4)]


@pytest.mark.parametrize("answer", [block(1, TEXT, "Hello"), the_call(1)])
def test_an_answer_that_is_made_anew_begins_with_its_own_sealed_thought(answer: list[StreamPart]) -> None:
    """Anthropic refuses a call before which no signed thought stands."""
    cut = seen(BlockStart(0, 0, THOUGHT), BlockDelta(0, 0, THOUGHT, "Hm"))
    found = spliced(cut, *thought(0, "Hm, so", SIGNED), *answer)
    assert found[:4] == [BlockStop(0, 0), *thought(1, "Hm, so", SIGNED)]
    assert [part.index for part in found[4:] if isinstance(part, BlockStart)] == [2]


def test_a_thought_that_came_to_its_end_is_not_followed_by_another() -> None:
    whole = seen(*thought(0, "Hm", SIGNED))
    assert spliced(whole, *thought(0, "So", SIGNED), *block(1, TEXT, "Hi")) == block(1, TEXT, "Hi")[:2]


def cited(index: int, start: int | None, finish: int | None, url: str = "https://a.example") -> Annotation:
    return Annotation(0, index, url, "A", start, finish)


def test_the_sources_of_what_is_new_come_at_their_places() -> None:
    rest: list[StreamPart] = [BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "ld is round"), cited(0, 6, 11)]
    assert spliced(seen(*OPEN), *rest)[-1] == cited(3, 15, 20)
    again: list[StreamPart] = [BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hello world is round")]
    found = spliced(seen(*OPEN), *again, cited(0, 0, 5), cited(0, 15, 20), cited(0, None, None))
    assert found[1:] == [cited(3, 15, 20), cited(3, None, None)]


def test_a_source_in_a_later_block_of_a_repetition_comes_at_its_place() -> None:
    first = block(0, TEXT, "The first one. ")
    two = seen(*first, BlockStart(0, 1, TEXT), BlockDelta(0, 1, TEXT, "The second"))
    again = (*first, BlockStart(0, 1, TEXT), BlockDelta(0, 1, TEXT, "The second one."))
    assert spliced(two, *again, cited(1, 11, 14), cited(1, 0, 3))[1:] == [cited(1, 11, 14)]


def test_a_source_before_what_is_new_is_left_out() -> None:
    parts: list[StreamPart] = [BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "Hello"), cited(0, None, None)]
    assert spliced(seen(*OPEN), *parts) == []


def test_the_output_of_what_was_cut_is_at_least_its_text() -> None:
    """Anthropic's first count says 1; OpenAI counts nothing before the end."""
    long: list[StreamPart] = [BlockStart(0, 0, TEXT), BlockDelta(0, 0, TEXT, "x" * 40)]
    counted = UsageReport(Usage(input=5, output=1))
    rest = UsageReport(Usage(input=7, output=3))
    assert spliced(seen(counted, *long), rest) == [UsageReport(Usage(input=12, output=13))]
    assert spliced(seen(*long), rest) == [UsageReport(Usage(input=7, output=13))]
