"""What Ollama really sent: read without surprise, and written again as the same."""

from pathlib import Path

import pytest

from protocols.model.call import Call, Operation, Reply
from protocols.model.parts import MessageStart, Opaque, StreamPart
from protocols.model.progress import Progress
from protocols.ollama_chat import PROTOCOL
from rewrite.translation.repair import closing
from tests import oracle
from tests.contract import JSON, NDJSON, parts, progress
from tests.oracle import recorded

CALL = Call("id", PROTOCOL.name, Operation.GENERATE, "m", True, (), {})
REPLY = Reply("1", "m", 0)


def of_chat(pattern: str) -> list[object]:
    """Without those of /api/generate, which are none of ours."""
    found = recorded(PROTOCOL.name, pattern)
    return [each for each in found if each.values[0] is None or b'"message"' in each.values[0].read_bytes()]


each_stream = pytest.mark.parametrize("file", of_chat("*.ndjson"))
each_answer = pytest.mark.parametrize("file", of_chat("*.json"))


def summary(found: list[StreamPart]) -> object:
    so_far = progress(found)
    blocks = [(one.kind, one.tool_name, one.text) for one in so_far.blocks.values()]
    return blocks, so_far.finished, so_far.usage, so_far.ended, so_far.error


@each_stream
def test_a_recorded_stream_is_understood_and_written_again(file: Path) -> None:
    found = parts(PROTOCOL, NDJSON, [file.read_bytes()])
    assert not [part for part in found if isinstance(part, Opaque)]
    assert progress(found).finished
    again = parts(PROTOCOL, NDJSON, [PROTOCOL.translator.writer(CALL, REPLY).write(found)])
    assert summary(again) == summary(found)


@each_answer
def test_a_recorded_answer_is_understood_and_written_again(file: Path) -> None:
    found = parts(PROTOCOL, JSON, [file.read_bytes()])
    so_far = progress(found)
    assert isinstance(so_far.head, MessageStart)
    assert so_far.finished
    whole = PROTOCOL.translator.write_answer(CALL, REPLY, so_far)
    assert summary(parts(PROTOCOL, JSON, [whole])) == summary(found)


@each_stream
def test_a_recorded_stream_is_closed_wherever_it_is_cut(file: Path) -> None:
    judge = oracle.judges()[PROTOCOL.name]
    decoder, encoder = PROTOCOL.decoder(CALL, NDJSON), PROTOCOL.encoder(CALL)
    so_far, sent = Progress(), b""
    for segment in decoder.feed(file.read_bytes()):
        so_far.fold(decoder.read(segment))
        sent += segment.raw
        if not so_far.complete:
            judgement = judge(sent + encoder.close(closing(so_far), so_far))
            assert (judgement["done_reason"], judgement["violations"]) == ("length", [])
