"""Streams cut anywhere, with tool calls held and not: what a client gets of a call is all of it, or no more
than it can distinguish from a whole one."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.parts import BlockDelta, BlockKind, FinishReason
from protocols.model.progress import Block, Progress
from protocols.model.wirejson import encoded, load_object
from rewrite.targets.target import target_of
from rewrite.values.timeouts import OnTruncation
from tests.contract import PROTOCOLS, Sample, as_events, parts, progress, segments, streams
from tests.examples import share
from tests.oracle import Judge, judges, protocol_of, recorded
from tests.rewrite.asks import REGISTRY, REPLY, ROLES, ask, route, wanted
from tests.rewrite.exchange.test_exchange_properties import MODES, PLACES, broken, kinds
from tests.rewrite.replay import ONCE, Replay, chunked, holding, mode, replay
from tests.rewrite.scenes import SSE, Spec, call

ODD = 997
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
DONE = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS, FinishReason.OTHER})
"""Finishes by which a client takes an answer, calls and all, for done."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as a provider gives it."""

    protocol: WireProtocol
    head: Head
    call: Call
    data: bytes

    def read(self, data: bytes) -> Progress:
        return progress(parts(self.protocol, self.head, [data], self.call))

    def text(self, data: bytes) -> str:
        said = parts(self.protocol, self.head, [data], self.call)
        return "".join(part.text for part in said if isinstance(part, BlockDelta) and part.kind in SHOWN)

    def cut(self, at: int, on_truncation: OnTruncation, *, hold: bool) -> Replay:
        terms: Spec = mode(on_truncation)
        if hold:
            terms = holding(self.protocol, self.call, mode(on_truncation))
        pieces = chunked(self.data[:at], ODD)
        return replay(self.protocol, pieces, "reset", terms=terms, head=self.head, call=self.call)


SHOWN = frozenset({BlockKind.TEXT, BlockKind.REASONING, BlockKind.REFUSAL})


def golden(sample: Sample) -> Answer:
    return Answer(sample.protocol, sample.head, sample.call, sample.data)


def calls_of(one: Answer, data: bytes) -> list[Block]:
    """Of all answers, where a recording joins several."""
    found, so_far = dict[int, Block](), Progress()
    for part in parts(one.protocol, one.head, [data], one.call):
        so_far.fold([part])
        found |= {id(block): block for block in so_far.blocks.values() if block.kind is BlockKind.TOOL}
    return list(found.values())


def is_object(text: str) -> bool:
    return load_object(encoded(text)) is not None


def named(block: Block) -> tuple[str | None, str | None, str]:
    return block.start.tool_id, block.tool_name, block.text


def is_spared_half_calls(one: Answer, at: int, result: Replay) -> None:
    """Every call is one that the provider gave, all of it, and had ended as far as it came."""
    whole = [named(block) for block in calls_of(one, one.data)]
    ended = [
        named(block)
        for block in calls_of(one, one.data[:at])
        if is_object(block.text) or block.stop is not None
    ]
    for block in calls_of(one, result.body):
        assert named(block) in whole
        assert named(block) in ended


def is_never_run_by_half(one: Answer, at: int, result: Replay) -> None:
    """Where half a call is shown, nothing says that the answer is done, unless the provider did."""
    got, before = one.read(result.body), one.read(one.data[:at])
    half = [block for block in got.blocks.values() if block.kind is BlockKind.TOOL and block.stop is None]
    if half and not before.complete:
        assert not [finish for finish in got.finished.values() if finish.reason in DONE]


def is_all_that_came(one: Answer, at: int, result: Replay) -> None:
    """The text is a beginning of the provider's, and lacks nothing of what had come."""
    text = one.text(result.body)
    assert one.text(one.data).startswith(text)
    passed = segments(one.protocol, one.head, [one.data[:at]], one.call)
    assert text == one.text(b"".join(segment.raw for segment in passed))


def holds(one: Answer, at: int, on_truncation: OnTruncation, *, hold: bool) -> Replay:
    result = one.cut(at, on_truncation, hold=hold)
    if result.head == one.head:
        is_never_run_by_half(one, at, result)
        is_all_that_came(one, at, result)
        if hold:
            is_spared_half_calls(one, at, result)
    return result


def is_accepted(one: Answer, body: bytes, grammar: Mapping[str, Judge]) -> None:
    """Numbers and places too: what is left out leaves no gap."""
    judge = grammar[one.protocol.name]
    judgement = judge(body)
    assert judgement["terminal"] or judgement["error"], judgement
    assert kinds(judgement["violations"]) <= broken(judge, one.data)


@pytest.mark.parametrize("sample", streams(), ids=str)
def test_a_golden_stream_cut_anywhere(sample: Sample) -> None:
    grammar, one = judges(), golden(sample)

    @share(60)
    @given(PLACES, MODES, st.booleans())
    def honest(place: float, on_truncation: OnTruncation, hold: bool) -> None:
        result = holds(one, round(place * len(one.data)), on_truncation, hold=hold)
        if result.head == SSE:
            is_accepted(one, as_events(sample, result.body), grammar)

    honest()


@pytest.mark.parametrize("file", [each for name in BY_NAME for each in recorded(name, "*.sse")])
def test_a_recorded_stream_cut_anywhere(file: Path) -> None:
    grammar, protocol = judges(), BY_NAME[protocol_of(file)]
    one = Answer(protocol, SSE, call(protocol), file.read_bytes())

    @share(12)
    @given(PLACES, MODES, st.booleans())
    def honest(place: float, on_truncation: OnTruncation, hold: bool) -> None:
        result = holds(one, round(place * len(one.data)), on_truncation, hold=hold)
        if result.head == SSE:
            is_accepted(one, result.body, grammar)

    honest()


def asked_for(block: Block) -> tuple[str | None, object]:
    """A call as a client acts on it, whatever the protocol: free text is an object with an `input`."""
    said = load_object(encoded(block.text or "{}"))
    if said is not None and said.keys() == {"input"}:
        return block.tool_name, said["input"]
    return block.tool_name, block.text if said is None else said


@pytest.mark.parametrize("client", ROLES)
@pytest.mark.parametrize("sample", streams(), ids=str)
def test_a_golden_stream_cut_anywhere_for_a_client_of_another_protocol(sample: Sample, client: str) -> None:
    protocol, asked, one = REGISTRY[client], ask(client), golden(sample)
    want = wanted(route(sample.protocol.name), (), REPLY, hold_tool_calls=True)
    terms = replace(target_of(asked, protocol, want), terms=ONCE)
    given_calls = [asked_for(block) for block in calls_of(one, one.data)]

    @share(20)
    @given(PLACES)
    def whole_or_not_at_all(place: float) -> None:
        data = one.data[: round(place * len(one.data))]
        result = replay(protocol, chunked(data, ODD), "reset", terms=terms, head=one.head, call=asked)
        if result.head.status == 200:
            got = calls_of(Answer(protocol, SSE, asked, b""), result.body)
            assert all(asked_for(block) in given_calls for block in got)

    whole_or_not_at_all()


@pytest.mark.parametrize("sample", streams(), ids=str)
def test_a_golden_stream_that_nothing_cuts_is_byte_for_byte(sample: Sample) -> None:
    is_untouched(golden(sample))


@pytest.mark.parametrize("file", [each for name in BY_NAME for each in recorded(name, "*.sse")])
def test_a_recorded_stream_that_nothing_cuts_is_byte_for_byte(file: Path) -> None:
    protocol = BY_NAME[protocol_of(file)]
    is_untouched(Answer(protocol, SSE, call(protocol), file.read_bytes()))


def is_untouched(one: Answer) -> None:
    """With calls held it is the same as without; where no call was cut by the provider itself."""
    plain = replay(one.protocol, chunked(one.data, ODD), head=one.head, call=one.call)
    terms = holding(one.protocol, one.call)
    held = replay(one.protocol, chunked(one.data, ODD), head=one.head, call=one.call, terms=terms)
    if "was cut and left out" not in held.summary.detail:
        assert (held.head, held.body) == (plain.head, plain.body)
