"""Parts of any provider in the one order that any client's protocol can be written in."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Opaque,
    Ping,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    ToolKind,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.shared.signatures import UNSIGNED
from rewrite.translation.answer import Sequencer
from rewrite.translation.block_order import CallRules
from tests.rewrite.order import Order

HEAD = MessageStart("rot1", "asked-for")
TEXT, REASONING, TOOL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL
HOSTED = BlockKind.HOSTED
STOP = Finish(0, FinishReason.STOP, "stop")
LENGTH = Finish(0, FinishReason.LENGTH, "length")
CALLED = Finish(0, FinishReason.TOOL_CALLS, "tool_calls")
SEAL = Signature("signature", "sig")
BEGIN = (MessageStart("m1", "served"), ChoiceStart(0))
OPENED = [HEAD, ChoiceStart(0)]


def rules(*, hold: bool = False) -> CallRules:
    """`hold`: no call goes out that is not whole; CUSTOM tools always wait, and come in capitals."""
    return CallRules(
        name=lambda start: start,
        hold=lambda start: hold or start.tool_kind is ToolKind.CUSTOM,
        arguments=lambda start, text: text.upper() if start.tool_kind is ToolKind.CUSTOM else text,
        tool_id=lambda number: f"made-{number}",
        choices=2,
    )


def sequencer(*, hold: bool = False) -> Sequencer:
    return Sequencer(HEAD, rules(hold=hold), lambda error: replace(error, code="reported"))


def sequenced(*parts: StreamPart, hold: bool = False) -> list[StreamPart]:
    """All that comes of `parts`, after the opening of the one choice."""
    found = sequencer(hold=hold).feed([*BEGIN, *parts])
    Order().check(found)
    assert found[:2] == OPENED
    return found[2:]


def start(index: int, kind: BlockKind = TEXT) -> BlockStart:
    return BlockStart(0, index, kind)


def tool(index: int, name: str = "f", *, kind: ToolKind = ToolKind.FUNCTION) -> BlockStart:
    return BlockStart(0, index, TOOL, f"id-{index}", name, kind)


def says(index: int, text: str, kind: BlockKind = TEXT) -> BlockDelta:
    return BlockDelta(0, index, kind, text)


def args(index: int, text: str) -> BlockDelta:
    return BlockDelta(0, index, TOOL, text)


def ends(index: int, signature: Signature | None = None) -> BlockStop:
    return BlockStop(0, index, signature)


def block(ours: int, began: BlockStart, *texts: str, signature: Signature | None = None) -> list[StreamPart]:
    """A whole block as it goes out under the number `ours`."""
    deltas = [BlockDelta(0, ours, began.kind, text) for text in texts]
    return [replace(began, index=ours), *deltas, BlockStop(0, ours, signature)]


# -- one block after another --------------------------------------------------------------------------


def test_blocks_that_are_in_order_pass_one_by_one() -> None:
    found = sequenced(start(0), says(0, "Hi"), says(0, " you"), ends(0), STOP, StreamEnd())
    assert found == [*block(0, start(0), "Hi", " you"), STOP, StreamEnd()]


def test_each_part_goes_out_when_it_comes() -> None:
    one = sequencer()
    assert one.feed([BEGIN[0]]) == []
    assert one.feed([BEGIN[1]]) == OPENED
    assert one.feed([start(0)]) == [start(0)]
    assert one.feed([says(0, "Hi")]) == [says(0, "Hi")]
    assert one.feed([says(0, "")]) == []


def test_the_head_is_ours_and_names_the_model_that_served_where_none_was_asked_for() -> None:
    assert sequencer().feed(BEGIN)[0] == HEAD
    one = Sequencer(replace(HEAD, model=""), rules(), lambda error: error)
    assert one.feed(BEGIN)[0] == MessageStart("rot1", "served")


def test_numbers_are_made_anew() -> None:
    found = sequenced(start(7), says(7, "a"), ends(7), start(3), says(3, "b"), ends(3))
    assert found == [*block(0, start(0), "a"), *block(1, start(0), "b")]


def test_parallel_calls_that_interleave_come_one_after_another() -> None:
    found = sequenced(
        tool(0),
        args(0, '{"a"'),
        tool(1, "g"),
        args(1, '{"b":'),
        args(0, ":1}"),
        args(1, "2}"),
        ends(0),
        ends(1),
    )
    assert found == [*block(0, tool(0), '{"a"', ":1}"), *block(1, tool(1, "g"), '{"b":2}')]


def test_a_call_after_a_whole_one_does_not_wait() -> None:
    """Chat never says that a call is done: the next one begins."""
    one = sequencer()
    one.feed([*BEGIN, tool(0), args(0, "{}")])
    assert one.feed([tool(1)]) == [BlockStop(0, 0), tool(1)]


def test_a_call_that_waited_and_is_not_done_continues_live() -> None:
    one = sequencer()
    one.feed([*BEGIN, tool(0), args(0, "{"), tool(1), args(1, '{"a"')])
    assert one.feed([args(0, "}"), ends(0)]) == [
        *[args(0, "}"), BlockStop(0, 0)],
        *[tool(1), args(1, '{"a"')],
    ]
    assert one.feed([args(1, ":1}")]) == [args(1, ":1}")]


@pytest.mark.parametrize("kind", [REASONING, TEXT, BlockKind.REFUSAL])
def test_a_block_ends_where_a_tool_begins(kind: BlockKind) -> None:
    signature = UNSIGNED if kind is REASONING else None
    found = sequenced(start(0, kind), says(0, "Hi", kind), tool(1), args(1, "{}"), ends(0), ends(1))
    assert found == [*block(0, start(0, kind), "Hi", signature=signature), *block(1, tool(1), "{}")]


def test_what_is_said_after_its_block_s_end_begins_another() -> None:
    found = sequenced(
        start(0), says(0, "a"), start(1, REASONING), says(1, "b", REASONING), says(0, "c"), ends(0)
    )
    assert found == [
        *block(0, start(0), "a"),
        *block(1, start(0, REASONING), "b", signature=UNSIGNED),
        *block(2, start(0), "c"),
    ]


def test_what_is_of_no_block_is_dropped() -> None:
    assert sequenced(says(4, "lost"), ends(4), Annotation(0, 4, "u")) == []


def test_a_tool_of_the_provider_has_no_form_elsewhere() -> None:
    hosted: list[StreamPart] = [start(0, HOSTED), says(0, "{}", HOSTED), ends(0)]
    assert sequenced(*hosted, start(1), says(1, "Hi"), ends(1)) == block(0, start(0), "Hi")


def test_sources_go_with_their_block() -> None:
    cited = Annotation(0, 3, "https://a", "A", 0, 2)
    found = sequenced(start(3), says(3, "Hi"), cited, ends(3))
    assert found[2] == replace(cited, index=0)
    waited = sequenced(tool(0), args(0, "{"), start(3), says(3, "Hi"), cited, ends(0), ends(3))
    assert waited[-3:] == [says(1, "Hi"), replace(cited, index=1), BlockStop(0, 1)]


@pytest.mark.parametrize("part", [Ping(), Opaque(b"x")])
def test_what_says_nothing_passes(part: StreamPart) -> None:
    assert sequenced(part) == [part]


# -- signatures --------------------------------------------------------------------------------------------


def test_a_signature_stays_with_its_block() -> None:
    found = sequenced(start(0, REASONING), says(0, "hm", REASONING), ends(0, SEAL))
    assert found == block(0, start(0, REASONING), "hm", signature=SEAL)


def test_a_late_signature_has_a_block_of_its_own() -> None:
    one = sequencer()
    one.feed([*BEGIN, start(0, REASONING), says(0, "hm", REASONING), start(1), says(1, "Hi"), ends(1)])
    assert one.feed([ends(0, SEAL)]) == [start(2, REASONING), BlockStop(0, 2, SEAL)]
    assert one.feed([ends(0, SEAL)]) == []


@pytest.mark.parametrize("signature", [None, UNSIGNED])
def test_a_late_end_without_a_signature_says_nothing(signature: Signature | None) -> None:
    one = sequencer()
    one.feed([*BEGIN, start(0, REASONING), says(0, "hm", REASONING), start(1), says(1, "Hi"), ends(1)])
    assert one.feed([ends(0, signature)]) == []


# -- calls --------------------------------------------------------------------------------------------


def test_a_held_call_goes_out_whole() -> None:
    one = sequencer(hold=True)
    one.feed(BEGIN)
    assert one.feed([tool(0), args(0, '{"a":'), args(0, "1}")]) == []
    assert one.feed([ends(0)]) == block(0, tool(0), '{"a":1}')


def test_a_held_call_that_is_cut_is_left_out_and_not_called_done() -> None:
    found = sequenced(tool(0), args(0, '{"a":'), LENGTH, StreamEnd(), hold=True)
    assert found == [LENGTH, StreamEnd()]


def test_a_custom_call_is_held_and_becomes_what_its_tool_takes() -> None:
    custom = tool(0, kind=ToolKind.CUSTOM)
    assert sequenced(custom, args(0, "ab"), args(0, "c"), ends(0)) == block(0, custom, "ABC")


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("text", ["", " \n"])
def test_no_arguments_are_an_empty_object(text: str, hold: bool) -> None:
    found = sequenced(tool(0), args(0, text), ends(0), CALLED, StreamEnd(), hold=hold)
    deltas = [part.text for part in found if isinstance(part, BlockDelta)]
    assert json.loads("".join(deltas)) == {}
    assert found[-2:] == [CALLED, StreamEnd()]


@pytest.mark.parametrize("hold", [False, True])
def test_a_call_that_was_cut_after_its_name_is_given_no_arguments(hold: bool) -> None:
    found = sequenced(tool(0), ends(0), LENGTH, StreamEnd(), hold=hold)
    assert not [part for part in found if isinstance(part, BlockDelta)]
    assert found[-2:] == [LENGTH, StreamEnd()]
    assert hold == (not any(isinstance(part, BlockStart) for part in found))


@pytest.mark.parametrize("hold", [False, True])
def test_after_a_call_without_arguments_upstream_must_call_it_done(hold: bool) -> None:
    found = sequenced(tool(0, "weather"), ends(0), StreamEnd(), hold=hold)
    assert isinstance(found[-1], StreamError)
    assert not any(isinstance(part, BlockStop | Finish) for part in found)


@pytest.mark.parametrize("hold", [False, True])
def test_a_call_without_arguments_is_whole_where_another_follows(hold: bool) -> None:
    """The later one alone may be cut by the limit."""
    parts = (tool(0, "one"), tool(1, "two"), ends(0), ends(1), LENGTH, StreamEnd())
    found = sequenced(*parts, hold=hold)
    assert [part.text for part in found if isinstance(part, BlockDelta)] == ["{}"]


def test_space_after_a_whole_call_is_no_other_one() -> None:
    parts = (tool(0), args(0, '{"a":1}'), tool(1), args(1, '{"b":1}'), args(0, " \n"), CALLED, StreamEnd())
    found = sequenced(*parts)
    assert [part.tool_id for part in found if isinstance(part, BlockStart)] == ["id-0", "id-1"]
    assert found[-2:] == [CALLED, StreamEnd()]


def test_more_arguments_after_a_whole_call_are_an_error() -> None:
    parts = (tool(0), args(0, "{}"), tool(1), args(1, "{}"), args(0, '{"a":1}'), CALLED, StreamEnd())
    assert isinstance(sequenced(*parts)[-1], StreamError)


def test_a_call_without_an_id_is_given_one_by_its_number() -> None:
    bare = replace(tool(0), tool_id=None)
    found = sequenced(bare, args(0, "{}"), ends(0), replace(bare, index=1), args(1, "{}"), ends(1))
    assert [part.tool_id for part in found if isinstance(part, BlockStart)] == ["made-1", "made-2"]


# -- how it ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        ([start(0), says(0, "Hi")], STOP),
        ([tool(0), args(0, "{}")], CALLED),
        ([], STOP),
    ],
)
def test_a_missing_finish_is_supplied_where_the_stream_said_that_it_was_done(
    said: Sequence[StreamPart], finish: Finish
) -> None:
    *_, found, end = sequenced(*said, StreamEnd())
    assert (found, end) == (replace(finish, native=""), StreamEnd())


@pytest.mark.parametrize("said", [[], [STOP], [CALLED]])
def test_half_a_call_that_is_called_done_is_an_error(said: Sequence[StreamPart]) -> None:
    found = sequenced(tool(0, "weather"), args(0, '{"a":'), *said, StreamEnd())
    (error,) = [part for part in found if isinstance(part, StreamError)]
    assert (found[-1], error.type, error.code) == (error, "upstream_cut", "reported")
    assert "'weather'" in error.message
    assert not any(isinstance(part, Finish) for part in found)


def test_half_a_call_at_the_limit_is_honest() -> None:
    assert sequenced(tool(0), args(0, '{"a":'), LENGTH, StreamEnd())[-2:] == [LENGTH, StreamEnd()]


def test_a_stop_after_calls_becomes_tool_calls() -> None:
    found = sequenced(tool(0), args(0, "{}"), ends(0), STOP, StreamEnd())
    assert found[-2:] == [replace(STOP, reason=FinishReason.TOOL_CALLS), StreamEnd()]


def test_a_stop_after_a_call_that_was_held_and_given_too() -> None:
    found = sequenced(tool(0), args(0, "{}"), ends(0), STOP, StreamEnd(), hold=True)
    assert found[-2] == replace(STOP, reason=FinishReason.TOOL_CALLS)


def test_repeated_finishes_are_given_once_and_at_the_end() -> None:
    found = sequenced(start(0), says(0, "Hi"), STOP, LENGTH, says(0, "!"), LENGTH, StreamEnd())
    assert found == [*block(0, start(0), "Hi", "!"), LENGTH, StreamEnd()]


def test_the_last_usage_holds_and_is_not_added_up() -> None:
    reports = [UsageReport(Usage(3, 1)), UsageReport(Usage(output=5, reasoning=2)), UsageReport(Usage(3, 9))]
    found = sequenced(start(0), says(0, "Hi"), *reports, STOP, StreamEnd())
    last = [part for part in found if isinstance(part, UsageReport)][-1]
    assert last == UsageReport(Usage(3, 9, reasoning=2))
    progress = Progress()
    progress.fold(found)
    assert progress.usage == last.usage


def test_usage_that_comes_first_opens_the_answer_too() -> None:
    found = sequencer().feed([BEGIN[0], UsageReport(Usage(3)), ChoiceStart(0)])
    assert found == [HEAD, UsageReport(Usage(3)), ChoiceStart(0)]


def test_nothing_follows_the_end() -> None:
    one = sequencer()
    one.feed([*BEGIN, STOP, StreamEnd()])
    assert one.feed([start(0), says(0, "x"), StreamEnd()]) == []
    assert one.end(done=True) == []


def test_an_error_is_the_last_thing() -> None:
    one = sequencer()
    found = one.feed([*BEGIN, start(0), says(0, "Hi"), StreamError("x", "no"), STOP, StreamEnd()])
    assert found[-1] == StreamError("x", "no", "reported")
    assert one.end() == []


def test_a_second_start_after_something_shown_is_an_error() -> None:
    found = sequenced(start(0), says(0, "Hi"), MessageStart("m2", "served"), start(0), says(0, "again"))
    assert found[:-1] == [start(0), says(0, "Hi")]
    assert isinstance(found[-1], StreamError)
    assert "again" in found[-1].message


def test_a_second_start_before_anything_was_shown_is_none() -> None:
    one = sequencer()
    found = one.feed([BEGIN[0], MessageStart("m2", "served"), ChoiceStart(0), start(0), says(0, "Hi")])
    assert found == [*OPENED, start(0), says(0, "Hi")]


def test_a_second_start_after_an_open_choice_keeps_the_order() -> None:
    found = sequencer().feed([*BEGIN, *BEGIN, start(0), says(0, "Hi"), STOP, StreamEnd()])
    Order().check(found)
    assert found[-1] == StreamEnd()


@pytest.mark.parametrize(
    ("said", "done", "ended"), [([STOP], False, True), ([], False, False), ([], True, True)]
)
def test_the_end_of_input_is_a_proper_end_only_where_it_was_said(
    said: Sequence[StreamPart], done: bool, ended: bool
) -> None:
    one = sequencer()
    one.feed([*BEGIN, start(0), says(0, "Hi"), *said])
    assert one.complete is bool(said)
    found = one.end(done=done)
    assert (found[-1:] == [StreamEnd()]) is ended
    assert bool(found) is ended


# -- several choices, and answers that are cut --------------------------------------------------------


def test_choices_have_blocks_of_their_own() -> None:
    parts: list[StreamPart] = [
        BlockStart(1, 0, TEXT),
        BlockDelta(1, 0, TEXT, "b"),
        start(0),
        says(0, "a"),
        BlockDelta(1, 0, TEXT, "B"),
    ]
    ended: list[StreamPart] = [STOP, replace(LENGTH, choice=1), StreamEnd()]
    found = sequencer().feed([BEGIN[0], *parts, *ended])
    Order().check(found)
    assert found[-3:] == [replace(LENGTH, choice=1), STOP, StreamEnd()]
    assert [part.choice for part in found if isinstance(part, ChoiceStart)] == [1, 0]


def test_a_cut_answer_keeps_what_was_said_of_it() -> None:
    one = sequencer()
    cut: list[StreamPart] = [
        BlockStop(1, 0),
        Finish(0, FinishReason.LENGTH, ""),
        Finish(1, FinishReason.LENGTH, ""),
        StreamEnd(),
    ]
    one.feed([*BEGIN, start(0), says(0, "Hi"), UsageReport(Usage(3, 2)), STOP])
    one.feed([BlockStart(1, 0, TEXT), BlockDelta(1, 0, TEXT, "Hi")])
    assert one.closing(cut) == [UsageReport(Usage(3, 2)), cut[0], STOP, *cut[2:]]


def test_a_cut_answer_of_which_nothing_was_said_ends_as_it_is_configured() -> None:
    one = sequencer()
    one.feed([*BEGIN, start(0), says(0, "Hi")])
    cut: list[StreamPart] = [BlockStop(0, 0), Finish(0, FinishReason.LENGTH, ""), StreamEnd()]
    assert one.closing(cut) == cut


# -- whatever comes -----------------------------------------------------------------------------------

KINDS = [TEXT, REASONING, BlockKind.REFUSAL, TOOL, TOOL, TOOL, HOSTED]
PIECES = ["", "Hi", "{", "}", '{"a": 1}', '"a": ', "1"]
REASONS = st.sampled_from(FinishReason)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamPart]:
    """Legal as decoders give them: a block starts before it continues, and no number is used twice."""
    parts: list[StreamPart] = [BEGIN[0]]
    open_blocks: list[BlockStart] = []
    used = [0, 0]
    for _ in range(draw(st.integers(0, 25))):
        choice = draw(st.integers(0, draw(st.integers(0, 1))))
        parts += draw(
            st.sampled_from([(), (), (Ping(),), (UsageReport(Usage(1, 2)),), (ChoiceStart(choice),)])
        )
        move = draw(st.sampled_from(["start", "delta", "delta", "delta", "stop", "finish", "cite"]))
        if move == "start" or not open_blocks:
            kind = draw(st.sampled_from(KINDS))
            name = "f" if kind is TOOL else None
            custom = draw(st.booleans()) and kind is TOOL
            began = BlockStart(
                choice, used[choice], kind, None, name, ToolKind.CUSTOM if custom else ToolKind.FUNCTION
            )
            used[choice] += 1
            open_blocks.append(began)
            parts.append(began)
            continue
        one = draw(st.sampled_from(open_blocks))
        match move:
            case "delta":
                parts.append(BlockDelta(one.choice, one.index, one.kind, draw(st.sampled_from(PIECES))))
            case "cite":
                parts.append(Annotation(one.choice, one.index, "https://a"))
            case "finish":
                parts.append(Finish(choice, draw(REASONS), "native"))
            case _:
                open_blocks.remove(one)
                parts.append(BlockStop(one.choice, one.index, draw(st.sampled_from([None, SEAL, UNSIGNED]))))
    return parts + draw(st.sampled_from([[StreamEnd()], [], [StreamError("x", "no")]]))


@given(streams(), st.booleans())
def test_any_legal_parts_come_in_order(parts: list[StreamPart], hold: bool) -> None:
    one, order = sequencer(hold=hold), Order()
    for part in parts:
        order.check(one.feed([part]))
    order.check(one.end())
    assert order.over or not isinstance(parts[-1], StreamEnd)


@given(streams(), st.booleans())
def test_however_they_come_it_is_the_same(parts: list[StreamPart], hold: bool) -> None:
    piecewise = sequencer(hold=hold)
    assert [new for part in parts for new in piecewise.feed([part])] == sequencer(hold=hold).feed(parts)


def texts(parts: Sequence[StreamPart], kind: BlockKind) -> str:
    return "".join(part.text for part in parts if isinstance(part, BlockDelta) and part.kind is kind)


@given(streams())
def test_no_text_is_lost_or_doubled(parts: list[StreamPart]) -> None:
    """Of a stream that ended; within one choice, texts keep their order."""
    only = [part for part in parts if getattr(part, "choice", 0) == 0 and not isinstance(part, StreamError)]
    found = sequencer().feed([*only, Finish(0, FinishReason.LENGTH, ""), StreamEnd()])
    for kind in (TEXT, REASONING):
        assert sorted(texts(found, kind)) == sorted(texts(only, kind))


def test_half_of_a_held_custom_call_is_no_call() -> None:
    """What is around its text is not whole: nothing of it may be run."""
    torn = replace(rules(), arguments=lambda start, text: None)
    for end, last in (([LENGTH, StreamEnd()], StreamEnd), ([StreamEnd()], StreamError)):
        one = Sequencer(HEAD, torn, lambda error: error)
        found = one.feed([*BEGIN, tool(0, kind=ToolKind.CUSTOM), args(0, '{"in'), *end])
        assert not any(isinstance(part, BlockStart) for part in found)
        assert isinstance(found[-1], last)


def test_a_choice_that_the_client_has_no_place_for_is_left_out() -> None:
    one = Sequencer(HEAD, replace(rules(), choices=1), lambda error: error)
    beside: list[StreamPart] = [
        ChoiceStart(1),
        BlockStart(1, 0, TEXT),
        BlockDelta(1, 0, TEXT, "b"),
        Finish(1, STOP.reason, "stop"),
    ]
    found = one.feed([*BEGIN, *beside, start(0), says(0, "a"), ends(0), STOP, StreamEnd()])
    assert found == [*OPENED, *block(0, start(0), "a"), STOP, StreamEnd()]
