"""What the provider really sent: it decodes without a surprise, and what is written from it says the same."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec import structs

from protocols.gemini_generate import PROTOCOL
from protocols.model.http import Head
from protocols.model.parts import BlockKind, FinishReason, Opaque, StreamEnd, StreamPart, Usage
from protocols.model.progress import Progress
from rewrite.targets.reading import joined
from tests import oracle
from tests.contract import JSON, SSE, progress
from tests.oracle import recorded
from tests.protocols.gemini_generate.frames import (
    EVENTS,
    REPLY,
    STREAM,
    TEXT,
    TOOL,
    WHOLE,
    call,
    decoded,
    folded,
    said,
)

NO_CHUNKS = ("invalid-json", "invalid-response")
"""Recorded to see what a client makes of nonsense."""

each_stream = pytest.mark.parametrize("file", recorded("gemini", "*.sse"))
each_answer = pytest.mark.parametrize("file", recorded("gemini", "*.json"))


def surprises(found: list[StreamPart]) -> list[StreamPart]:
    return [part for part in found if isinstance(part, Opaque)]


def same(one: Progress, other: Progress) -> None:
    for kind in (TEXT, BlockKind.REASONING):
        assert "".join(said(one, kind)) == "".join(said(other, kind))
    assert tools(one) == tools(other)
    ends = [{choice: end.reason for choice, end in each.finished.items()} for each in (one, other)]
    assert reasons(ends[0]) == ends[1]
    assert written(one.usage) == other.usage


def written(usage: Usage | None) -> Usage | None:
    """What clients get of it: counts without modalities, and no cost."""
    return structs.replace(usage, input_audio=None, output_image=None, cost=None) if usage else None


def reasons(ends: Mapping[int, FinishReason]) -> Mapping[int, str]:
    """A word that only the provider has is written as the nearest one that every client knows."""
    return {choice: {"other": "stop", "pause": "stop"}.get(str(end), end) for choice, end in ends.items()}


def tools(found: Progress) -> list[tuple[str | None, str | None, str]]:
    return [(b.start.tool_id, b.tool_name, b.text) for b in found.blocks.values() if b.kind is TOOL]


def rewritten(found: list[StreamPart], target: str) -> bytes:
    parts = [part for part in found if not isinstance(part, StreamEnd)]
    return PROTOCOL.translator.writer(call(target=target), REPLY).write([*parts, StreamEnd()])


@each_stream
def test_a_recorded_stream_is_understood(file: Path) -> None:
    data = file.read_bytes()
    found = decoded(data)
    assert bool(surprises(found)) == any(word in file.name for word in NO_CHUNKS)
    judgement = oracle.judges()["gemini"](data)
    folding = progress(found)
    bare = b"\n{" in data
    assert bool(folding.error) == bool(judgement["error"] or bare)
    without_blank_lines = "bad json" in str(judgement["violations"])
    assert folding.complete == (without_blank_lines or judgement["terminal"])


@each_stream
def test_a_recorded_stream_passes_untouched(file: Path) -> None:
    data = file.read_bytes()
    decoder, passed = PROTOCOL.decoder(call(), SSE), b""
    for at in range(0, len(data), 1009):
        passed += joined(decoder.feed(data[at : at + 1009]))
    assert (passed + joined(decoder.eof())).rstrip(b"\n") == data.rstrip(b"\n")


@each_stream
@pytest.mark.parametrize(("target", "head"), [(EVENTS, SSE), (STREAM, JSON)], ids=["events", "array"])
def test_a_recorded_stream_is_written_again(file: Path, target: str, head: Head) -> None:
    found = decoded(file.read_bytes())
    before = progress(found)
    if before.error or not before.complete:
        pytest.skip("it does not end properly: there is nothing to compare")
    same(before, folded(rewritten(found, target), head, target))


@each_answer
def test_a_recorded_answer_is_understood_and_written_again(file: Path) -> None:
    found = decoded(file.read_bytes(), JSON, WHOLE)
    assert not surprises(found)
    before = progress(found)
    assert before.error or before.ended
    if before.finished:
        same(before, folded(PROTOCOL.translator.write_answer(call(target=WHOLE), REPLY, before), JSON, WHOLE))
        same(before, folded(rewritten(found, EVENTS)))
