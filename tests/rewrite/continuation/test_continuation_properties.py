"""Streams cut anywhere and continued: the client reads the one answer that it would have read uncut."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from protocols.model.call import Reply
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    StreamEnd,
    StreamPart,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import encoded, load_object
from rewrite.continuation.splice import said_text
from rewrite.targets.target import target_of
from rewrite.translation.translate import translator_of
from rewrite.values.timeouts import OnTruncation
from tests.contract import END_WORDS, FIXTURES, PROTOCOLS, SSE, Sample, as_events, parts, progress, streams
from tests.examples import share
from tests.oracle import Judge, judges, recorded
from tests.rewrite.asks import REGISTRY, REPLY, ROLES, ask, route, wanted
from tests.rewrite.continued import CUT, Answer, Continued, played
from tests.rewrite.exchange.test_exchange_properties import PLACES, kinds
from tests.rewrite.replay import holding, mode

CONTINUATIONS = 3
RUN = frozenset({FinishReason.STOP, FinishReason.TOOL_CALLS, FinishReason.OTHER})
"""Finishes by which a client takes calls for done."""

SAMPLES = [pytest.param(sample, id=str(sample)) for sample in streams()]


def recordings() -> Iterator[object]:
    for protocol in PROTOCOLS:
        suffix = "*.ndjson" if protocol.name == "ollama_chat" else "*.sse"
        for each in recorded(protocol.name, suffix):
            file = each.values[0]
            value = file and Sample(protocol, file.name, file.read_bytes())
            yield pytest.param(value, id=each.id, marks=each.marks)


every_stream = pytest.mark.parametrize("sample", [*SAMPLES, *recordings()])


@dataclass(frozen=True, slots=True)
class Whole:
    """What a stream says that nothing cuts; `plain`: one answer, that came to a proper end of its own."""

    said: Progress
    plain: bool

    @property
    def text(self) -> str:
        return said_text(self.said)

    @property
    def end(self) -> FinishReason:
        """One that is not known, or that nothing but a last frame says, is written as a stop."""
        finish = self.said.finished.get(0)
        reason = finish.reason if finish else FinishReason.OTHER
        return END_WORDS.get(reason, reason)


@cache
def whole_of(sample: Sample) -> Whole:
    parts = sample.parts([sample.data])
    said = progress(parts)
    plain = said.complete and not said.error and said.seen <= {0} and heads(parts) == 1
    return Whole(said, plain)


def heads(parts: list[StreamPart]) -> int:
    return sum(isinstance(part, MessageStart) for part in parts)


def continued_with(sample: Sample, *answers: bytes) -> Continued:
    """All but the last are cut; that one comes again as often as it is asked for."""
    terms = structs.replace(mode(OnTruncation.CONTINUE), continuations=CONTINUATIONS)
    target = holding(sample.protocol, sample.call, terms)
    cut = [Answer(data, CUT, sample.head) for data in answers[:-1]]
    last = [Answer(answers[-1], None, sample.head)] * (CONTINUATIONS + 1)
    return played(sample.call, sample.protocol, target, [*cut, *last])


@cache
def own_violations(sample: Sample) -> set[str]:
    return kinds(judges()[sample.protocol.name](as_events(sample, sample.data))["violations"])


def is_one_answer(sample: Sample, one: Continued, grammar: Mapping[str, Judge]) -> Progress:
    """For its reader and for a judge; and no call in it is run that was not whole."""
    parts = sample.parts([one.body])
    found = progress(parts)
    assert heads(parts) == 1
    assert found.head
    assert found.head.id == first_id(sample)
    judgement = grammar[sample.protocol.name](as_events(sample, one.body))
    assert judgement["terminal"] or judgement["error"], judgement
    assert kinds(judgement["violations"]) <= own_violations(sample)
    if any(finish.reason in RUN for finish in found.finished.values()):
        whole = calls(whole_of(sample).said)
        assert all(call in whole for call in calls(found))
    return found


def calls(found: Progress) -> list[tuple[str | None, object]]:
    """Those that can be run."""
    tools = [block for block in found.blocks.values() if block.kind is BlockKind.TOOL]
    called = [(block.tool_name, load_object(encoded(block.text or "{}"))) for block in tools]
    return [(name, arguments) for name, arguments in called if arguments is not None]


def first_id(sample: Sample) -> str:
    return next(part.id for part in sample.parts([sample.data]) if isinstance(part, MessageStart))


def cut_at(sample: Sample, place: float) -> bytes:
    return sample.data[: round(place * len(sample.data))]


def check(sample: Sample, seen: Callable[[float, Whole], bool]) -> None:
    """`seen` at places all over the stream, and whether it was continued there; where it holds several
    answers there is no one to read."""
    whole = whole_of(sample)
    if heads(sample.parts([sample.data])) != 1:
        pytest.skip("it is not one answer")
    found_there = []

    # At one of these two, the text of each golden stream is under way.
    @example(0.45)
    @example(0.5)
    @share(examples(sample))
    @given(PLACES)
    def at(place: float) -> None:
        found_there.append(seen(place, whole))

    at()
    assert any(found_there) or not sample.name.startswith("text.")


def examples(sample: Sample) -> int:
    """Recorded streams are many, and long."""
    return 25 if (FIXTURES / str(sample)).exists() else 5


@every_stream
def test_the_whole_again_is_read_once(sample: Sample) -> None:
    grammar = judges()

    def read_once(place: float, whole: Whole) -> bool:
        one = continued_with(sample, cut_at(sample, place), sample.data)
        if len(one.asked) == 1:
            return False
        found = is_one_answer(sample, one, grammar)
        if whole.plain:
            assert said_text(found) == whole.text
            assert found.finished[0].reason is whole.end
            assert calls(found) == calls(whole.said)
        return True

    check(sample, read_once)


@every_stream
def test_the_remainder_is_read_after_what_there_is(sample: Sample) -> None:
    grammar = judges()

    def read_on(place: float, whole: Whole) -> bool:
        before = cut_at(sample, place)
        said = said_text(progress(sample.parts([before])))
        rest = whole.text[len(said) :]
        if not (whole.plain and said.strip() and whole.text.startswith(said)) or is_ambiguous(said, rest):
            return False
        one = continued_with(sample, before, written(sample, rest))
        if len(one.asked) == 1:
            return False
        found = is_one_answer(sample, one, grammar)
        assert (said_text(found), found.finished[0].reason) == (whole.text, FinishReason.STOP)
        return True

    check(sample, read_on)


@every_stream
def test_what_is_cut_again_and_again_is_a_beginning(sample: Sample) -> None:
    grammar = judges()
    whole = whole_of(sample)
    if heads(sample.parts([sample.data])) != 1:
        pytest.skip("it is not one answer")

    @share(examples(sample))
    @given(st.lists(PLACES, min_size=CONTINUATIONS + 1, max_size=CONTINUATIONS + 1))
    def begins(places: list[float]) -> None:
        one = continued_with(sample, *(cut_at(sample, place) for place in places))
        if len(one.asked) == 1:
            return
        found = is_one_answer(sample, one, grammar)
        assert whole.text.startswith(said_text(found)) or not whole.plain
        if said_text(found) != whole.text and whole.plain:
            assert one.summary.end in ("truncated", "failed")
            assert not [each for each in found.finished.values() if each.reason in RUN]

    begins()


def written(sample: Sample, text: str) -> bytes:
    """An answer as another maker would write it, word by word."""
    writer = translator_of(sample.protocol).writer(sample.call, Reply("another", "other", 1))
    words = [text[at : at + 7] for at in range(0, len(text), 7)]
    deltas = [BlockDelta(0, 0, BlockKind.TEXT, word) for word in words]
    start: tuple[StreamPart, ...] = (MessageStart("another", "other"), ChoiceStart(0))
    end = (BlockStop(0, 0), Finish(0, FinishReason.STOP, ""), StreamEnd())
    return writer.write((*start, BlockStart(0, 0, BlockKind.TEXT), *deltas, *end))


def is_ambiguous(said: str, rest: str) -> bool:
    """The rest begins as what was said ends, or is a beginning of it: that reads like a repetition."""
    if said.strip().startswith(rest.strip()) or rest.strip().startswith(said.strip()):
        return True
    bare = rest.lstrip(" \t\r\n.\"'`")
    return any(bare.startswith(said[at:]) for at in range(max(len(said) - 400, 0), len(said) - 2))


@pytest.mark.parametrize("client", ROLES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_a_client_of_another_protocol_reads_what_it_would_have_uncut(sample: Sample, client: str) -> None:
    protocol, asked = REGISTRY[client], ask(client)
    if sample.array and client == sample.protocol.name:
        pytest.skip("its provider answers as it is asked: with events")
    want = wanted(route(sample.protocol.name), (), REPLY, hold_tool_calls=True)
    terms = replace(target_of(asked, protocol, want), terms=mode(OnTruncation.CONTINUE))
    whole = Answer(sample.data, None, sample.head)

    def read(*answers: Answer) -> tuple[Progress, Continued]:
        one = played(asked, protocol, terms, answers)
        return progress(parts(protocol, SSE, [one.body], asked)), one

    uncut, _ = read(whole)

    @share(10)
    @given(PLACES)
    def at(place: float) -> None:
        found, one = read(Answer(cut_at(sample, place), CUT, sample.head), *[whole] * CONTINUATIONS)
        if len(one.asked) > 1 and whole_of(sample).plain:
            assert said_text(found) == said_text(uncut)
            assert calls(found) == calls(uncut)
            assert not uncut.finished or found.finished == uncut.finished

    at()
