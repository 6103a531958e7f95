"""The chain: config to adapters, their order, and a decoder that rewrites only what they changed."""

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from protocols.base import Decoder
from protocols.framing.frames import frame_of
from protocols.framing.whole import WholeDecoder
from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.parts import BlockDelta, BlockKind, Opaque, StreamEnd, StreamPart
from protocols.model.segment import Segment
from protocols.model.wirejson import JsonObject, dump
from protocols.openai_chat import PROTOCOL as CHAT
from rewrite.adapters.base import Adapter, Context, Events, Unchanged
from rewrite.adapters.chain import Chain, parse_adapters
from rewrite.adapters.registry import discover
from tests.contract import JSON, PROTOCOLS, SSE, Sample, call, parts, samples
from tests.oracle import recorded
from tests.rewrite.adapters.bodies import REQUESTS, Body

ALL: tuple[Any, ...] = (
    {"name": "override_model", "model": "other"},
    "suppress_developer_role",
    {"name": "suppress_developer_role", "to": "drop"},
    "reasoning_field",
    {"name": "reasoning_field", "to": "reasoning"},
    {"name": "reasoning_field", "to": "inline"},
    {"name": "rename_field", "from": "model", "to": "model_name"},
    {"name": "rename_field", "from": "choices.delta", "to": "choices.change"},
    {"name": "drop_params", "params": ["tools.type", "messages.content", "system"]},
    {"name": "clamp_params", "temperature": 1, "generationConfig.topK": {"max": 1}},
    "strip_tool_types",
    "merge_system",
    "anthropic_cache_breakpoints",
)
EACH = tuple(one for spec in ALL for one in parse_adapters([spec]))
each_adapter = pytest.mark.parametrize("made", EACH, ids=str)
each_sample = pytest.mark.parametrize("sample", samples(), ids=str)
CONTEXT = Context("openai_chat", "openai", "m")
FIXTURES = Path(__file__).parents[2] / "fixtures"


@dataclass(frozen=True, slots=True)
class Tag(Unchanged):
    """Adds its word wherever it is asked."""

    name: str

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return {**body, "tags": [*_tags(body), self.name]}

    def answer(self, body: JsonObject, context: Context) -> JsonObject:
        return self.request(body, context)

    def stream(self, context: Context) -> Events | None:
        return lambda event: (self.request(event, context),)


def _tags(body: JsonObject) -> list[object]:
    tags = body.get("tags")
    return tags if isinstance(tags, list) else []


@dataclass(frozen=True, slots=True)
class Times(Unchanged):
    """Every object of a stream comes `count` times."""

    count: int
    name: str = "times"

    def stream(self, context: Context) -> Events | None:
        return lambda event: (event,) * self.count


@dataclass(slots=True)
class Late:
    """Gives each object when the next one comes."""

    held: tuple[JsonObject, ...] = ()

    def __call__(self, event: JsonObject) -> Sequence[JsonObject]:
        given, self.held = self.held, (event,)
        return given

    def close(self) -> Sequence[JsonObject]:
        return self.held


class Delay(Unchanged):
    name = "delay"

    def stream(self, context: Context) -> Events | None:
        return Late()


def chain(*adapters: Adapter, context: Context = CONTEXT) -> Chain:
    return Chain(adapters, context)


def through(
    adapted: Chain, data: Iterable[bytes], head: Head = SSE, asked: Call | None = None
) -> tuple[list[Segment], list[StreamPart]]:
    """The segments of an answer of chat, and what its own decoder reads of them."""
    asked = asked or call(CHAT)
    decoder = adapted.decoder(CHAT.decoder(asked, head), head, asked)
    found = [segment for piece in data for segment in decoder.feed(piece)] + list(decoder.eof())
    assert not decoder.remainder()
    assert not decoder.eof()
    return found, [part for segment in found for part in decoder.read(segment)]


def joined(segments: Iterable[Segment]) -> bytes:
    return b"".join(segment.raw for segment in segments)


def event(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def text(words: str) -> JsonObject:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": words}}]}


def fixture(name: str) -> bytes:
    return (FIXTURES / "openai_chat" / name).read_bytes()


# -- the config -------------------------------------------------------------------------------------------


def test_a_spec_is_a_name_or_a_mapping_with_options() -> None:
    first, second = parse_adapters(["suppress_developer_role", {"name": "override_model", "model": "m"}])
    assert (first.name, second.name) == ("suppress_developer_role", "override_model")
    assert second.request({"model": "x"}, CONTEXT) == {"model": "m"}
    assert parse_adapters(["merge_system"]) == parse_adapters("merge_system")
    assert parse_adapters([]) == ()


def test_a_spec_stays_as_it_is() -> None:
    spec = {"name": "drop_params", "params": ["a"]}
    parse_adapters([spec])
    assert spec == {"name": "drop_params", "params": ["a"]}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("supress_developer_role", ["'supress_developer_role'", "did you mean 'suppress_developer_role'?"]),
        ("zzz", ["unknown adapter 'zzz'; known are", "merge_system", "clamp_params"]),
        ({"name": "override_model", "modle": "m"}, ["'override_model'", "'modle'", "did you mean 'model'?"]),
        (
            {"name": "merge_system", "to": 1},
            ["adapter 'merge_system'", "unknown option 'to'", "has no options"],
        ),
        ("override_model", ["adapter 'override_model': needs the option 'model'", "its options are model"]),
        (
            {"name": "reasoning_field", "to": "x"},
            ["to = 'x' is none of reasoning_content, reasoning, inline"],
        ),
        ({"name": "clamp_params", "n": "x"}, ["adapter 'clamp_params'", "n = 'x'"]),
        ({"model": "m"}, ["is neither a name nor a mapping with a name"]),
        ({"name": 1}, ["is neither a name nor a mapping with a name"]),
        (7, ["adapter 7 is neither a name nor a mapping with a name"]),
    ],
)
def test_a_bad_spec_is_refused_in_words_that_help(spec: object, says: list[str]) -> None:
    with pytest.raises(ValueError, match="adapter") as refused:
        parse_adapters([spec])
    assert not [words for words in says if words not in str(refused.value)]


# -- requests and whole answers ---------------------------------------------------------------------------


def test_adapters_apply_in_their_order_at_every_place() -> None:
    adapted = chain(Tag("a"), Tag("b"))
    assert adapted.request({"x": 1}) == {"x": 1, "tags": ["a", "b"]}
    assert adapted.answer({"x": 1}) == {"x": 1, "tags": ["a", "b"]}
    (segment, *_), _ = through(adapted, [event({"x": 1})])
    assert segment.raw == event({"x": 1, "tags": ["a", "b"]})


def test_the_order_of_the_config_counts() -> None:
    rename = {"name": "rename_field", "from": "max_tokens", "to": "max_completion_tokens"}
    clamp = {"name": "clamp_params", "max_completion_tokens": {"max": 10}}
    body = {"max_tokens": 20}
    assert chain(*parse_adapters([rename, clamp])).request(body) == {"max_completion_tokens": 10}
    assert chain(*parse_adapters([clamp, rename])).request(body) == {"max_completion_tokens": 20}


def test_a_request_without_a_body_stays_without_one() -> None:
    assert chain(Tag("a")).request({}) == {}


@each_adapter
@pytest.mark.parametrize(("context", "body"), REQUESTS)
def test_no_adapter_edits_a_request_in_place(made: Adapter, context: Context, body: Body) -> None:
    before = deepcopy(body)
    after = chain(made, context=context).request(body)
    assert body == before
    assert (after is body) == (after == before)
    assert made.request(body, context) == after


@each_adapter
@each_sample
def test_no_adapter_edits_an_answer_in_place(made: Adapter, sample: Sample) -> None:
    context = Context(sample.protocol.name, "provider")
    events = made.stream(context) or (lambda one: (one,))
    framed = sample.protocol.decoder(call(sample.protocol), sample.head)
    for segment in [*framed.feed(sample.data), *framed.eof()]:
        if frame := frame_of(segment.raw):
            before = deepcopy(frame.event)
            found = events(frame.event)
            assert frame.event == before
            assert (len(found) == 1 and found[0] is frame.event) == (list(found) == [before])
            made.answer(frame.event, context)
            assert frame.event == before


def test_every_adapter_is_among_them() -> None:
    assert {made.name for made in EACH} == set(discover())


# -- answers ----------------------------------------------------------------------------------------------


def test_nothing_to_adapt_is_no_decoder_of_its_own() -> None:
    asked = call(CHAT)
    inner = CHAT.decoder(asked, SSE)
    assert chain().decoder(inner, SSE, asked) is inner
    requests_only = parse_adapters(["suppress_developer_role", {"name": "override_model", "model": "m"}])
    assert chain(*requests_only).decoder(inner, SSE, asked) is inner


@each_sample
def test_what_does_not_change_keeps_its_bytes(sample: Sample) -> None:
    assert_untouched(sample, Times(1))
    assert_untouched(sample, *parse_adapters([{"name": "rename_field", "from": "x.y", "to": "x.z"}]))


def assert_untouched(sample: Sample, *adapters: Adapter) -> None:
    asked = call(sample.protocol)
    bare = sample.protocol.decoder(asked, sample.head)
    inner = sample.protocol.decoder(asked, sample.head)
    adapted = chain(*adapters).decoder(inner, sample.head, asked)
    assert adapted is not inner
    assert framed(adapted, sample.data) == framed(bare, sample.data)


def framed(decoder: Decoder, data: bytes) -> list[Segment]:
    pieces = [data[at : at + 1009] for at in range(0, len(data), 1009)]
    return [*(segment for piece in pieces for segment in decoder.feed(piece)), *decoder.eof()]


@pytest.mark.parametrize("file", [*recorded("openai_chat", "*"), *recorded("anthropic_messages", "*")])
def test_a_recorded_answer_that_does_not_change_keeps_its_bytes(file: Path) -> None:
    (protocol,) = [one for one in PROTOCOLS if one.name == file.parent.name]
    assert_untouched(Sample(protocol, file.name, file.read_bytes()), Times(1))


def test_only_a_changed_event_is_written_anew() -> None:
    rename = parse_adapters([{"name": "rename_field", "from": "usage", "to": "costs"}])
    data = fixture("reasoning.sse")
    found, _ = through(chain(*rename), [data])
    before, _ = through(chain(Times(1)), [data])
    changed = [(old, new) for old, new in zip(before, found, strict=True) if old != new]
    assert [b'"usage"' in old.raw and b'"costs"' in new.raw for old, new in changed] == [True]


@pytest.mark.parametrize("name", ["crlf.sse", "text.sse"])
def test_a_changed_event_keeps_its_line_ends(name: str) -> None:
    found, read = through(chain(Tag("a")), [fixture(name)])
    assert joined(found).count(b"\r") == fixture(name).count(b"\r")
    assert read == parts(CHAT, SSE, [fixture(name)])


def test_the_parts_are_those_of_the_changed_stream() -> None:
    chunks = [text("<thi"), text("nk>Hm</think>"), text("Yes")]
    data = b"".join(map(event, chunks)) + b"data: [DONE]\n\n"
    found, read = through(chain(*parse_adapters(["reasoning_field"])), [data])
    deltas = [(part.kind, part.text) for part in read if isinstance(part, BlockDelta)]
    assert deltas == [(BlockKind.REASONING, "Hm"), (BlockKind.TEXT, "Yes")]
    assert read == parts(CHAT, SSE, [joined(found)])


def test_an_event_may_be_dropped_or_multiplied() -> None:
    data = event(text("a")) + b": note\n\n" + event(text("b")) + b"data: [DONE]\n\n"
    none, _ = through(chain(Times(0)), [data])
    assert joined(none) == b": note\n\ndata: [DONE]\n\n"
    two, read = through(chain(Times(2)), [data])
    assert [part.text for part in read if isinstance(part, BlockDelta)] == ["a", "a", "b", "b"]
    assert [segment.last for segment in two] == [False] * 5 + [True]


def test_the_last_event_is_the_last_of_what_it_became() -> None:
    stop = b'event: message_stop\ndata: {"type": "message_stop"}\n\n'
    (protocol,) = [one.protocol for one in samples("refusal.sse")]
    asked = call(protocol)
    decoder = chain(Times(2)).decoder(protocol.decoder(asked, SSE), SSE, asked)
    assert decoder.feed(stop) == [Segment(stop), Segment(stop, last=True)]
    decoder = chain(Tag("a")).decoder(protocol.decoder(asked, SSE), SSE, asked)
    (changed,) = decoder.feed(stop)
    assert changed.raw.startswith(b"event: message_stop\n")
    assert changed.last


def test_a_keep_alive_stays_one_as_long_as_it_is_one_frame() -> None:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    assert [segment.idle for segment in through(chain(Tag("a")), [ping, b": hm\n\n"])[0]] == [True, True]
    assert [segment.idle for segment in through(chain(Times(2)), [ping])[0]] == [False, False]


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n", b""])
def test_what_is_held_back_comes_before_the_end(end: bytes) -> None:
    chunks = [text("a"), text("b"), text("c")]
    found, read = through(chain(Delay(), Delay(), Tag("t")), [b"".join(map(event, chunks)) + end])
    tagged = [{**chunk, "tags": ["t"]} for chunk in chunks]
    assert joined(found) == b"".join(map(event, tagged)) + end
    assert [type(part) for part in read[-1:]] == ([StreamEnd] if end else [BlockDelta])


def test_half_a_tag_at_a_cut_is_reported() -> None:
    found, _ = through(chain(*parse_adapters(["reasoning_field"])), [event(text("<think>Hm</thi"))])
    assert [json.loads(segment.raw[6:])["choices"][0]["delta"] for segment in found] == [
        {"content": "", "reasoning_content": "Hm"},
        {"reasoning_content": "</thi"},
    ]


def test_each_stream_has_functions_of_its_own() -> None:
    adapted = chain(Delay())
    assert [joined(through(adapted, [event(text(one))])[0]) for one in "ab"] == [
        event(text("a")),
        event(text("b")),
    ]


# -- other framings ---------------------------------------------------------------------------------------


class Lines:
    """A decoder of lines, which are objects or not."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Sequence[Segment]:
        *lines, self._rest = [*(self._rest + data).splitlines(keepends=True), b""]
        return [Segment(line, last=b'"done":true' in line) for line in lines]

    def eof(self) -> Sequence[Segment]:
        return ()

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return (Opaque(segment.raw),)

    def remainder(self) -> bytes:
        return self._rest


def test_lines_and_arrays_are_framed_as_they_were() -> None:
    asked = replace(call(CHAT), protocol="ollama_chat")
    lines = chain(Tag("a")).decoder(Lines(), SSE, asked)
    assert joined(lines.feed(b'{"n":1}\n{"done":true}\n')) == (
        b'{"n":1,"tags":["a"]}\n{"done":true,"tags":["a"]}\n'
    )
    array = chain(Delay(), Tag("a")).decoder(Lines(), SSE, asked)
    written = joined([*array.feed(b'[{"n":1}\n,{"n":2}\n]\n'), *array.eof()])
    assert json.loads(written) == [{"n": 1, "tags": ["a"]}, {"n": 2, "tags": ["a"]}]


# -- whole answers ----------------------------------------------------------------------------------------


def test_a_whole_answer_is_adapted_as_one() -> None:
    asked = replace(call(CHAT), stream=False)
    (segment,), read = through(chain(Tag("a")), [fixture("text.json")], JSON, asked)
    assert json.loads(segment.raw) == {**json.loads(fixture("text.json")), "tags": ["a"]}
    assert read == parts(CHAT, JSON, [fixture("text.json")])


def test_a_whole_answer_that_does_not_change_keeps_its_bytes() -> None:
    asked = replace(call(CHAT), stream=False)
    reasoning = chain(*parse_adapters(["reasoning_field"]))
    (segment,), _ = through(reasoning, [fixture("text.json")], JSON, asked)
    assert segment.raw == fixture("text.json")


def test_a_whole_answer_to_a_streamed_call_is_adapted_as_one() -> None:
    (segment,), _ = through(chain(Times(0), Tag("a")), [b'{"error": "no"}'], JSON)
    assert segment.raw == b'{"error":"no","tags":["a"]}'


def test_a_whole_answer_of_another_decoder_is_adapted_as_one() -> None:
    asked = replace(call(CHAT), stream=False)
    decoder = chain(Times(0), Tag("a")).decoder(Lines(), JSON, asked)
    assert joined(decoder.feed(b'{"n":1}\n')) == b'{"n":1,"tags":["a"]}\n'


@pytest.mark.parametrize("body", [b"not json", b"[1, 2]", b'[{"id": "a"}, {"id": "b"}]'])
def test_a_whole_answer_that_is_no_object_passes(body: bytes) -> None:
    decoder = chain(Tag("a")).decoder(WholeDecoder(lambda _: ()), JSON, call(CHAT))
    assert [*decoder.feed(body), *decoder.eof()] == [Segment(body)]
