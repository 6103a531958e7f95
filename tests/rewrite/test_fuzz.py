"""Answers with other types, other counting, missing and doubled fields and frames, for every reader.

Golden and recorded answers are changed in a few places, cut, and given to clients of every protocol: as they
are, with held calls, gathered, translated. Nothing raises or hangs, and what was cut is never complete.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.framing.frames import frame_of
from protocols.model.call import Call, Reply
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, load_object
from rewrite.targets.streaming_mode import OtherMode
from rewrite.targets.target import Target
from tests.contract import FRAMINGS, PROTOCOLS, Sample, progress, samples
from tests.oracle import NAMED, OTHER_NAMES
from tests.rewrite.across import answered, read
from tests.rewrite.replay import ONCE, Replay, holding, replay
from tests.rewrite.scenes import own

CLIENTS = [protocol.name for protocol in PROTOCOLS]
SMALL = 8_000
"""Bytes of a recorded answer that is small enough to be played often."""


def recorded_small() -> list[Sample]:
    found: list[Sample] = []
    for protocol in PROTOCOLS:
        folder = Path(NAMED) / OTHER_NAMES.get(protocol.name, protocol.name)
        files = [file for file in sorted(folder.glob("*")) if file.suffix in FRAMINGS and NAMED]
        small = [file for file in files if file.stat().st_size < SMALL and ".meta." not in file.name]
        found += [Sample(protocol, file.name, file.read_bytes()) for file in small[:40]]
    return found


CORPUS = [*samples("*"), *recorded_small()]
STREAMS = [sample for sample in CORPUS if sample.framing.stream]
WHOLES = [sample for sample in CORPUS if not sample.framing.stream]
ODD: list[object] = [
    None,
    "",
    "x",
    "null",
    "[]",
    0,
    1,
    -1,
    7,
    2.0,
    1.5,
    1e30,
    True,
    False,
    [],
    {},
    [None],
    [1],
    {"a": []},
]
GONE = object()
ENDS = frozenset({"done", "done_reason", "finish_reason", "finishReason", "stop_reason", "blockReason"})
"""Where any word is an end: it is known what readers make of an odd one there."""

ODDITIES = st.sampled_from([*ODD, GONE])
DIGITS = st.integers(0, 999)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def changed(value: Any, which: int, odd: object) -> Any:
    """`value` with another one at one of its places, if that would not be an end which nobody said."""
    copied = json.loads(dump(value))
    found = [place for place in places(copied) if place[-1] not in ENDS]
    if not found:
        return copied
    *way, last = found[which % len(found)]
    holder = copied
    for key in way:
        holder = holder[key]
    if odd is GONE:
        del holder[last]
    else:
        holder[last] = odd
    return copied


def rewritten(raw: bytes, which: int, odd: object) -> bytes:
    frame = frame_of(raw)
    if frame is None:
        return raw
    return framed(raw, changed(frame.event, which, odd))


def framed(raw: bytes, value: object) -> bytes:
    """A frame with `value` in the place of its object."""
    before = raw[: raw.index(b"{")]
    text = raw[len(before) :].rstrip(b" \t\r\n,]")
    return before + dump(value) + raw[len(before) + len(text) :]


CHANGES = st.lists(st.tuples(DIGITS, DIGITS, ODDITIES), min_size=1, max_size=3)
MOVES = st.lists(st.tuples(st.sampled_from(["drop", "double", "swap"]), DIGITS), max_size=1)


def fuzzed(frames: Sequence[bytes], changes: list[tuple[int, int, object]]) -> list[bytes]:
    found = list(frames)
    for where, which, odd in changes:
        at = where % len(found)
        found[at] = rewritten(found[at], which, odd)
    return found


def moved(frames: list[bytes], moves: list[tuple[str, int]]) -> list[bytes]:
    for what, where in moves:
        at = where % len(frames)
        if what == "drop" and len(frames) > 1:
            del frames[at]
        elif what == "double":
            frames.insert(at, frames[at])
        else:
            frames[at - 1], frames[at] = frames[at], frames[at - 1]
    return frames


def frames_of(sample: Sample) -> list[bytes]:
    return [segment.raw for segment in sample.segments([sample.data])]


# -- who reads it -----------------------------------------------------------------------------------------


def gathering(sample: Sample) -> tuple[Call, Target]:
    asked = replace(sample.call, stream=False, body={"model": "m"})
    upstream = replace(sample.call, body={"model": "m"})
    other = OtherMode(asked, sample.protocol, Reply("r", "m", 0))
    return asked, own(upstream, sample.protocol, other_mode=other)


def readers(sample: Sample, data: bytes, client: str, *, cause: str | None) -> Iterator[tuple[str, Replay]]:
    """The answer as a client of its protocol gets it, passed, held and gathered, and one of another."""
    protocol, head = sample.protocol, sample.head
    yield protocol.name, replay(protocol, [data], cause, head=head, call=sample.call)
    if sample.framing.stream:
        terms = holding(protocol, sample.call)
        yield protocol.name, replay(protocol, [data], cause, head=head, call=sample.call, terms=terms)
        asked, target = gathering(sample)
        yield (
            protocol.name,
            replay(protocol, [data], cause, head=head, call=asked, terms=replace(target, terms=ONCE)),
        )
    if client != protocol.name and not sample.array:
        for stream in (True, False):
            yield client, answered(client, protocol.name, data, head, stream=stream, cause=cause)


def is_over(one: Replay) -> None:
    assert len(one.ended) == 1, "it hangs"
    assert one.summary.end in ("completed", "truncated", "failed", "error", "rejected"), one.summary


def test_all_protocols_are_fuzzed() -> None:
    assert {sample.protocol.name for sample in STREAMS} == {sample.protocol.name for sample in WHOLES}
    assert {sample.protocol.name for sample in STREAMS} == set(CLIENTS)


@given(st.sampled_from(STREAMS), CHANGES, MOVES, st.sampled_from(CLIENTS))
def test_a_stream_of_odd_types_raises_nowhere(
    sample: Sample, changes: list[tuple[int, int, object]], moves: list[tuple[str, int]], client: str
) -> None:
    data = b"".join(moved(fuzzed(frames_of(sample), changes), moves))
    for _, one in readers(sample, data, client, cause=None):
        is_over(one)


@given(st.sampled_from(STREAMS), CHANGES, DIGITS, st.sampled_from(CLIENTS), st.sampled_from([None, "reset"]))
def test_what_was_cut_is_not_complete(
    sample: Sample,
    changes: list[tuple[int, int, object]],
    cut: int,
    client: str,
    cause: str | None,
) -> None:
    """No change of a type brings an end that was not there. A client that gets the first choice alone may
    have all of it."""
    frames = frames_of(sample)[: -1 - cut % len(frames_of(sample))] or frames_of(sample)[:1]
    whole = read_of(sample, frames)
    if whole.complete or whole.error or (0 in whole.finished and client != sample.protocol.name):
        return
    data = b"".join(fuzzed(frames, changes))
    for _, one in readers(sample, data, client, cause=cause):
        is_over(one)
        assert one.summary.end != "completed", one.body


def read_of(sample: Sample, frames: Sequence[bytes]) -> Progress:
    so_far = Progress()
    so_far.fold(sample.parts([b"".join(frames)]))
    return so_far


@given(
    st.sampled_from(WHOLES),
    st.lists(st.tuples(DIGITS, ODDITIES), min_size=1, max_size=3),
    st.sampled_from(CLIENTS),
)
def test_a_whole_answer_of_odd_types_raises_nowhere(
    sample: Sample, changes: list[tuple[int, object]], client: str
) -> None:
    body: Any = json.loads(sample.data)
    for which, odd in changes:
        body = changed(body, which, odd)
    for _, one in readers(sample, dump(body), client, cause=None):
        is_over(one)


@given(st.sampled_from(STREAMS), CHANGES, st.sampled_from(CLIENTS))
def test_a_call_that_is_to_be_run_is_an_object(
    sample: Sample, changes: list[tuple[int, int, object]], client: str
) -> None:
    """Whatever a provider made of it, across protocols."""
    free_text = b"custom" in sample.data  # what it asks for is no JSON
    if client == sample.protocol.name or sample.array or free_text:
        return
    data = b"".join(fuzzed(frames_of(sample), changes))
    got = answered(client, sample.protocol.name, data, sample.head)
    head = FRAMINGS[".ndjson" if client == "ollama_chat" else ".sse"].head
    heard = read(client, got.body, head)
    if got.summary.end != "completed" or heard.finished.get(0, None) is None:
        return
    if heard.finished[0].reason is FinishReason.TOOL_CALLS:
        for block in heard.blocks.values():
            if block.kind is BlockKind.TOOL and block.start.tool_kind.value == "function":
                assert load_object(block.text.encode("utf-8", "surrogatepass") or b"{}") is not None


# -- other counting ---------------------------------------------------------------------------------------

COUNTS = ("output_index", "content_index", "summary_index", "index")


def recounted(value: Any, count: Callable[[int], object]) -> Any:
    if isinstance(value, list):
        return [recounted(each, count) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: count(inner) if key in COUNTS and type(inner) is int else recounted(inner, count)
        for key, inner in value.items()
    }


def as_recounted(sample: Sample, count: Callable[[int], object]) -> bytes:
    frames = []
    for raw in frames_of(sample):
        frame = frame_of(raw)
        frames.append(raw if frame is None else framed(raw, recounted(frame.event, count)))
    return b"".join(frames)


@pytest.mark.parametrize("count", [float, lambda at: 3 * at + 5], ids=["floats", "shifted"])
@pytest.mark.parametrize("sample", [each for each in samples("*") if each.framing.stream], ids=str)
def test_other_counting_says_the_same(sample: Sample, count: Callable[[int], object]) -> None:
    data = as_recounted(sample, count)
    assert said(progress(sample.parts([data]))) == said(progress(sample.parts([sample.data])))


def said(so_far: Progress) -> list[tuple[BlockKind, str | None, str]]:
    return [(block.kind, block.start.tool_id, block.text) for block in so_far.ordered]
