"""What providers really sent: it is understood, and says the same when it is written again."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from protocols.model.call import Reply
from protocols.model.parts import MessageStart, Opaque, StreamPart
from protocols.model.progress import Progress
from protocols.openai_responses import PROTOCOL
from protocols.openai_responses.layout import layout_of
from rewrite.translation.repair import closing
from tests.contract import JSON, SSE, call, parts, progress, segments
from tests.oracle import Judge, judges, recorded
from tests.protocols.openai_responses.frames import blocks_of

REPLY = Reply("abc", "m", 1760000000)
each_stream = pytest.mark.parametrize("file", recorded(PROTOCOL.name, "*.sse"))
each_answer = pytest.mark.parametrize("file", recorded(PROTOCOL.name, "*.json"))


@pytest.fixture(scope="module")
def judge() -> Judge:
    return judges()[PROTOCOL.name]


def last_answer(found: list[StreamPart]) -> list[StreamPart]:
    """Some recordings hold several answers."""
    starts = [place for place, part in enumerate(found) if isinstance(part, MessageStart)]
    return found[starts[-1] if starts else 0 :]


def broken(data: bytes) -> int:
    """Frames that are no JSON (measured: one recording has two)."""
    lines = [line[5:].strip() for line in data.splitlines() if line.startswith(b"data:")]
    return sum(not _is_json(line) for line in lines if line != b"[DONE]")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@each_stream
def test_every_event_is_understood(file: Path) -> None:
    data = file.read_bytes()
    found = parts(PROTOCOL, SSE, [data])
    assert len([part for part in found if isinstance(part, Opaque)]) == broken(data)


@each_stream
def test_the_last_frame_is_guessed(file: Path, judge: Judge) -> None:
    data = file.read_bytes()
    guessed = [segment for segment in segments(PROTOCOL, SSE, [data]) if segment.last]
    assert bool(guessed) >= bool(judge(data)["terminal"])


@each_stream
def test_a_stream_says_the_same_when_written_anew(file: Path) -> None:
    found = last_answer(parts(PROTOCOL, SSE, [file.read_bytes()]))
    writer = PROTOCOL.translator.writer(call(PROTOCOL), REPLY)
    again = parts(PROTOCOL, SSE, [writer.write([part]) for part in found])
    assert blocks_of(again) == blocks_of(found)
    assert progress(again).usage == with_zeros(progress(found))
    assert progress(again).finished.keys() == progress(found).finished.keys()
    reasons = [(one.reason, progress(again).finished[0].reason) for one in progress(found).finished.values()]
    assert all(one is other for one, other in reasons)


@each_answer
def test_a_whole_answer_says_the_same_when_written_anew(file: Path) -> None:
    found = parts(PROTOCOL, JSON, [file.read_bytes()])
    so_far = progress(found)
    if so_far.error:
        assert "HTTP4" in file.name
        return
    again = parts(PROTOCOL, JSON, [PROTOCOL.translator.write_answer(call(PROTOCOL), REPLY, so_far)])
    assert blocks_of(again) == blocks_of(found)
    assert bool(so_far.blocks) == bool(json.loads(file.read_bytes())["output"])


def with_zeros(so_far: Progress) -> object:
    """A count that was not reported is written as 0; a cost, and on which terms it was, not at all."""
    usage = so_far.usage
    if usage is None:
        return None
    return structs.replace(
        usage,
        cache_read=usage.cache_read or 0,
        cache_write=usage.cache_write or 0,
        reasoning=usage.reasoning or 0,
        cost=None,
        tier=None,
    )


@each_stream
def test_it_is_closed_wherever_it_is_cut(file: Path, judge: Judge) -> None:
    """After every seventh frame, and judged by the grammar where the recording keeps it itself."""
    data = file.read_bytes()
    if judge(data)["violations"] or judge(data)["open_items"]:
        pytest.skip("the recording breaks the grammar by itself")
    decoder, encoder = PROTOCOL.decoder(call(PROTOCOL), SSE), PROTOCOL.encoder(call(PROTOCOL))
    so_far, sent = Progress(), b""
    for number, segment in enumerate(decoder.feed(data)):
        so_far.fold(decoder.read(segment))
        sent += segment.raw
        if number % 7 == 0 and so_far.visible and not (so_far.complete or so_far.error):
            judgement = judge(sent + encoder.close(closing(so_far), so_far))
            assert judgement["terminal_event"] == "response.incomplete"
            assert not judgement["violations"], judgement
            assert set(judgement["open_items"]) <= half_acts(so_far), judgement


def half_acts(so_far: Progress) -> set[int]:
    """Patches and commands that were cut are not closed: nobody wrote them as they stand."""
    layout = layout_of(so_far)
    assert layout
    acts = ("apply_patch_call", "local_shell_call", "shell_call", "computer_call")
    return {item.output_index for item in layout.ordered if item.kind in acts}


@each_stream
def test_signatures_hold_what_the_done_items_do(file: Path) -> None:
    data = file.read_bytes()
    found = progress(last_answer(parts(PROTOCOL, SSE, [data])))
    signatures = [
        block.stop.signature for block in found.blocks.values() if block.stop and block.stop.signature
    ]
    assert {signature.form for signature in signatures} <= {"encrypted"}
    assert bool(signatures) <= (b"encrypted_content" in data)
