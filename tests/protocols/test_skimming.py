"""What is skimmed is what is framed one by one, and says what it says when it is read in full."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocols.base import Decoder, Skimmer
from protocols.framing.sse import Event, SseDecoder, SseFramer, data_of, in_full
from protocols.model.parts import BlockDelta, BlockKind, Finish, Ping, StreamEnd, StreamPart
from protocols.model.segment import Segment
from tests.contract import REGISTRY, Sample, progress, streams
from tests.examples import share
from tests.oracle import protocol_of, recorded
from tests.protocols.test_properties import CUTS, PLACES, pieces

BY_NAME = {protocol.name: protocol for protocol in REGISTRY}
RECORDED = [
    Sample(BY_NAME[protocol_of(file)], file.name, file.read_bytes())
    for name in BY_NAME
    for parameter in recorded(name, "*.ndjson" if name == "ollama_chat" else "*.sse")
    for file in parameter.values
    if isinstance(file, Path)
]
STREAMS = [*streams(REGISTRY), *RECORDED]
BY_ID = {str(sample): sample for sample in STREAMS}
ODD = [
    *(b"null", b'""', b"0", b"0.0", b"-0", b"1e400", b"9" * 4301, b"true", b"NaN", b"[]", b"{}", b'"x"'),
    *(
        rb'"\ud800"',
        rb'"\u00e9\n"',
        '"é\u2028"'.encode(),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\x01"',
        b"[" * 300,
    ),
    *(
        b'"error"',
        b'"ping"',
        b'"object":"error"',
        b'"usage":{}',
        b'"finish_reason":"stop"',
        b'"error":{"a":1}',
    ),
    *(b'"index":1.0', b'"index":null', b'"content":"y"', b'"content":["y"]', b'"delta":{}', b'"type":"ping"'),
    *(
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"data: [DONE]\n\n",
        b": c\n",
        b"event: error\n",
        b"data: {}\n\n",
        b"data: ",
    ),
]


def decoder_of(sample: Sample) -> Decoder:
    return sample.protocol.decoder(sample.call, sample.head)


def framed(decoder: Decoder, data: Iterable[bytes]) -> list[Segment]:
    return [*(segment for piece in data for segment in decoder.feed(piece)), *decoder.eof()]


def skimmed(decoder: Decoder, data: Iterable[bytes]) -> list[Segment]:
    if not isinstance(decoder, Skimmer):
        return framed(decoder, data)
    return [*(segment for piece in data for segment in decoder.skim(piece)), *decoder.eof()]


def one_by_one(segments: Iterable[Segment]) -> list[Segment]:
    """The events of runs by themselves, and the blank lines."""
    found: list[Segment] = []
    for segment in segments:
        raws = [segment.raw]
        if segment.run or not segment.raw.strip(b"\n"):
            raws = re.findall(rb"\n|.+?\n\n", segment.raw, re.DOTALL)
        assert b"".join(raws) == segment.raw
        found += [structs.replace(segment, raw=raw, run=False) for raw in raws]
    return found


def read(decoder: Decoder, segments: Sequence[Segment]) -> list[StreamPart]:
    return [part for segment in segments for part in decoder.read(segment)]


def in_one(parts: Iterable[StreamPart]) -> list[StreamPart]:
    """With deltas of one block that follow one another as one, and with pings as one."""
    found: list[StreamPart] = []
    for part in parts:
        before = found[-1] if found else None
        if isinstance(part, BlockDelta) and isinstance(before, BlockDelta) and place(part) == place(before):
            found[-1] = structs.replace(before, text=before.text + part.text)
        elif isinstance(part, Ping) and isinstance(before, Ping):
            pass
        else:
            found.append(part)
    return found


def place(delta: BlockDelta) -> tuple[int, int, BlockKind]:
    return delta.choice, delta.index, delta.kind


def read_in_full(sample: Sample, segments: Sequence[Segment]) -> list[StreamPart]:
    decoder = decoder_of(sample)
    if isinstance(decoder, SseDecoder):
        decoder._read_text = in_full
    return read(decoder, segments)


def says_the_same(sample: Sample, data: Sequence[bytes]) -> None:
    exact, fast = decoder_of(sample), decoder_of(sample)
    expected, found = framed(exact, data), skimmed(fast, data)
    assert one_by_one(found) == one_by_one(expected)
    assert fast.remainder() == exact.remainder()
    parts = read_in_full(sample, expected)
    assert is_equal(in_one(read(fast, found)), in_one(parts))
    assert is_equal(read(decoder_of(sample), expected), parts)
    assert is_equal(progress(in_one(read(decoder_of(sample), found))), progress(in_one(parts)))


def is_equal(some: object, others: object) -> bool:
    """A NaN is not equal to itself."""
    return some == others or repr(some) == repr(others)


@pytest.mark.parametrize("size", [1 << 20, 1009, 64])
@pytest.mark.parametrize("sample", STREAMS, ids=str)
def test_a_stream_says_the_same(sample: Sample, size: int) -> None:
    data = sample.data
    says_the_same(sample, [data[at : at + size] for at in range(0, len(data), size)])
    says_the_same(sample, [event + b"\n\n" for event in data.split(b"\n\n")])
    says_the_same(sample, [data.replace(b"\r\n", b"\n")])


@share(500)
@given(
    st.sampled_from(sorted(BY_ID)),
    st.lists(st.tuples(PLACES, st.sampled_from(ODD), st.integers(0, 12)), min_size=1, max_size=6),
    CUTS,
)
def test_a_damaged_stream_says_the_same(
    name: str, damages: Sequence[tuple[float, bytes, int]], cuts: list[float]
) -> None:
    sample = BY_ID[name]
    data = sample.data.replace(b"\r\n", b"\n")[:20000]
    for place, odd, over in damages:
        at = round(place * len(data))
        data = data[:at] + odd + data[at + over :]
    says_the_same(sample, pieces(data, cuts))


VALUES = re.compile(rb'(?<=[:\[,])(?:"(?:[^"\\]|\\.)*"|-?\d+|null|true|false|\{\}|\[\])(?=[,\]}])')


@share(500)
@given(
    st.sampled_from([name for name in sorted(BY_ID) if name.endswith(".sse")]),
    st.lists(
        st.tuples(PLACES, st.sampled_from([odd for odd in ODD if b"\n" not in odd])), min_size=1, max_size=20
    ),
    CUTS,
)
def test_a_stream_with_other_values_says_the_same(
    name: str, changes: Sequence[tuple[float, bytes]], cuts: list[float]
) -> None:
    """In place of a value stands another one, or one more field."""
    sample = BY_ID[name]
    data = sample.data.replace(b"\r\n", b"\n")[:20000]
    for place, odd in changes:
        values = list(VALUES.finditer(data))
        if values:
            start, end = values[int(place * (len(values) - 1))].span()
            data = data[:start] + (b"0," + odd if b'":' in odd else odd) + data[end:]
    says_the_same(sample, pieces(data, cuts))


KEYS = re.compile(rb'(?<=")\w+(?="\s*:)')


@share(500)
@given(
    st.sampled_from([name for name in sorted(BY_ID) if name.endswith(".sse")]),
    st.lists(
        st.tuples(PLACES, st.sampled_from([b"x", b"index", b"text", b"content", b"type"])),
        min_size=1,
        max_size=20,
    ),
)
def test_a_stream_with_other_fields_says_the_same(name: str, changes: Sequence[tuple[float, bytes]]) -> None:
    sample = BY_ID[name]
    data = sample.data.replace(b"\r\n", b"\n")[:20000]
    for place, field in changes:
        keys = list(KEYS.finditer(data))
        if keys:
            start, end = keys[int(place * (len(keys) - 1))].span()
            data = data[:start] + field + data[end:]
    says_the_same(sample, [data])


CHAT = b'data: {"choices":[{"index":0,"delta":{"content":"a"%b}%b}]%b}\n\n'
MESSAGE = b'event: content_block_delta\ndata: {%b"index":0,"delta":{"text":"a"%b}}\n\n'
TYPE = b'"type":"content_block_delta",'


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("openai_chat/text.sse", CHAT % (b"", b"", b"")),
        ("openai_chat/text.sse", b"event: error\n" + CHAT % (b"", b"", b"")),
        ("openai_chat/text.sse", b"event: x\n" + CHAT % (b"", b"", b"")),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"object":"error"')),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"object":null')),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"error":"no"')),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"usage":{"prompt_tokens":1}')),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"x_groq":{"usage":{"prompt_tokens":1}}')),
        ("openai_chat/text.sse", CHAT % (b"", b"", b',"choices":[]')),
        ("openai_chat/text.sse", CHAT % (b"", b',"index":1', b"")),
        ("openai_chat/text.sse", CHAT % (b"", b',"index":0.0', b"")),
        ("openai_chat/text.sse", CHAT % (b"", b',"finish_reason":"stop"', b"")),
        ("openai_chat/text.sse", CHAT % (b"", b',"finish_reason":"odd","stop_reason":7', b"")),
        ("openai_chat/text.sse", CHAT % (b"", b',"finish_reason":"stop","stop_reason":"b"', b"")),
        (
            "openai_chat/text.sse",
            CHAT % (b"", b',"finish_reason":"tool_calls","native_finish_reason":"MAX_TOKENS"', b""),
        ),
        ("openai_chat/text.sse", b"event: error\ndata: [DONE]\n\n"),
        ("openai_chat/text.sse", CHAT % (b"", b',"delta":{}', b"")),
        ("openai_chat/text.sse", CHAT % (b"", b'},{"delta":{"content":"b"}', b"")),
        ("openai_chat/text.sse", CHAT % (b',"reasoning":"b"', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"reasoning":"b","reasoning_content":"c"', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"reasoning_details":[{"text":"b"}]', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"content":["b"]', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"content":""', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"refusal":"b"', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"tool_calls":[{"function":{"name":"b"}}]', b"", b"")),
        ("openai_chat/text.sse", CHAT % (b',"annotations":[{"url_citation":{"url":"b"}}]', b"", b"")),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b"")),
        ("anthropic_messages/text.sse", MESSAGE % (b"", b"")),
        ("anthropic_messages/text.sse", MESSAGE % (b'"type":"content_block_stop",', b"")),
        ("anthropic_messages/text.sse", MESSAGE % (b'"error":{"message":"b"},', b"")),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b',"thinking":"b"')),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b',"text":""')),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b',"text":1,"partial_json":"b"')),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b',"signature":"b"')),
        ("anthropic_messages/text.sse", MESSAGE % (TYPE, b',"type":"compaction_delta"')),
        (
            "anthropic_messages/text.sse",
            MESSAGE % (TYPE, b',"citation":{"type":"search_result_location","source":"b"}'),
        ),
        ("anthropic_messages/text.sse", MESSAGE.replace(b"0", b"7") % (TYPE, b"")),
    ],
)
def test_a_stream_with_an_odd_event_says_the_same(name: str, event: bytes) -> None:
    data = BY_ID[name].data
    for at in [place.end() for place in re.finditer(b"\n\n", data)]:
        says_the_same(BY_ID[name], [data[:at] + event + data[at:]])


EVENT = b'data: {"a":"\xc3\xa9"}\n\n'
NAMED = b'event: x\ndata: {"a":1}\n\n'


@pytest.mark.parametrize(
    ("pieces", "sizes"),
    [
        ([EVENT * 3], [3]),
        ([EVENT + NAMED * 2], [3]),
        ([EVENT[:5], EVENT[5:] + EVENT + EVENT[:9], EVENT[9:]], [2, 1]),
        ([EVENT * 2 + b": comment\n\n" + EVENT * 2], [2, 0, 2]),
        ([EVENT + b"\n" + EVENT * 2 + b"\n\n\n" + EVENT], [1, 0, 2, 0, 1]),
        ([EVENT * 2 + b"data: [DONE]\n\n"], [2, 0]),
        ([EVENT * 60 + b"data: [DONE]\n\n" + EVENT], [60, 0, 1]),
        ([EVENT * 60 + EVENT[:5], EVENT[5:]], [60, 1]),
        ([EVENT * 30 + b"event: a\n" + EVENT * 30], [60]),
        ([EVENT * 60 + b'data: {"a":\n\n' + EVENT], [60, 0, 1]),
        ([EVENT * 60 + b"data: 1\n\n" + EVENT], [60, 0, 1]),
        ([EVENT * 60 + b"\n" + EVENT], [60, 0, 1]),
        ([EVENT * 2, b"data: [DONE]\n\n", EVENT * 2], [2, 0, 2]),
        ([EVENT + b'data: {"type":"ping"}\n\n' + EVENT], [1, 0, 1]),
        ([EVENT + b'data: {"a":\n\n' + EVENT], [1, 0, 1]),
        ([EVENT + b'data: {"a":"\xff"}\n\n' + EVENT], [1, 0, 1]),
        ([b"\n" + EVENT * 2], [0, 2]),
        ([EVENT.replace(b"\n", b"\r\n") * 2, EVENT], [0, 0, 0]),
        ([b"data: 1\r\n", b"\r\n", EVENT], [0, 0]),
    ],
)
def test_plain_events_that_follow_one_another_are_one_segment(
    pieces: Sequence[bytes], sizes: Sequence[int]
) -> None:
    """`sizes`: the events of each run, 0: a segment that is none."""
    framer = SseFramer(b"[DONE]")
    found = [segment for piece in pieces for segment in framer.skim(piece)]
    assert [segment.raw.count(b"\n\n") if segment.run else 0 for segment in found] == sizes
    assert b"".join(segment.raw for segment in found) == b"".join(pieces)


def test_blank_lines_that_follow_one_another_are_one_segment() -> None:
    found = SseFramer(b"[DONE]").skim(b"\n" * 1000 + EVENT)
    assert [segment.raw for segment in found] == [b"\n" * 1000, EVENT]
    assert found[0].idle


def test_events_with_names_and_those_without_are_one_segment_where_all_are_plain() -> None:
    named = b"event: a\n" + EVENT
    (found,) = SseFramer(b"[DONE]").skim(EVENT + named + EVENT)
    assert found == Segment(EVENT + named + EVENT, run=True)


@pytest.mark.parametrize(
    "run",
    [
        b"",
        b"\n\n",
        EVENT[:-1],
        EVENT + b"\n",
        EVENT + b"data: 1\n\n",
        EVENT + b"event: a\n" + EVENT,
        EVENT + b": a\n" + EVENT,
        b"data: {\n\ndata: {}",
        b"data: {}\ndata: {}\n\n",
        b"data: {}\ndata: {}\n\ndata: \n\n",
    ],
)
def test_other_events_than_objects_in_a_line_are_not_read_together(run: bytes) -> None:
    assert not data_of(run)


def test_objects_in_a_line_are_read_together() -> None:
    assert data_of(b'data: {}\n\ndata: {"a": "data: {"}\n\n') == [b"{}", b'{"a": "data: {"}']


@pytest.mark.parametrize("sample", [each for each in STREAMS if each.name == "text.sse"], ids=str)
def test_most_of_a_stream_is_one_run(sample: Sample) -> None:
    decoder = decoder_of(sample)
    assert isinstance(decoder, Skimmer)
    data = sample.data.replace(b"\r\n", b"\n")
    found = decoder.skim(data)
    assert len(found) < data.count(b"\n\n") / 2
    assert any(segment.run for segment in found)


@pytest.mark.parametrize(
    "sample",
    [
        each
        for each in STREAMS
        if each.name == "text.sse" and each.protocol.name in ("openai_chat", "anthropic_messages")
    ],
    ids=str,
)
def test_the_text_of_a_stream_is_not_read_in_full(sample: Sample) -> None:
    decoder = decoder_of(sample)
    assert isinstance(decoder, SseDecoder)
    deltas = [
        part
        for part in read_in_full(sample, skimmed(decoder_of(sample), [sample.data]))
        if isinstance(part, BlockDelta)
    ]
    full: list[StreamPart] = []
    read_one = decoder._read

    def noted(event: Event, raw: bytes) -> Sequence[StreamPart]:
        parts = read_one(event, raw)
        full.extend(parts)
        return parts

    decoder._read = noted
    read(decoder, skimmed(decoder, [sample.data]))
    assert len([part for part in full if isinstance(part, BlockDelta) and part.text]) <= 1 < len(deltas)
    if sample.protocol.name == "openai_chat":
        assert not [part for part in full if isinstance(part, Finish | StreamEnd)]
