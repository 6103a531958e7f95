"""Answers of odd types, for every reader, with rules of the field cache of every kind and a trace.

Nothing raises, and a client gets the bytes and the end that it gets without. What was kept of such an answer
may go into any request.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from addons.config.provider_files import built_in
from protocols.model.call import Call
from protocols.model.wirejson import dump, load_object, objects_at
from rewrite.catalog.provider_tables import provider
from rewrite.exchange.exchange import Exchange
from rewrite.exchange.traced import TracedExchange
from rewrite.fields.call_fields import Asked, CallFields
from rewrite.fields.rule import Mode, Rule, Source
from rewrite.fields.store import Store
from rewrite.records.passes import TargetTrace
from rewrite.targets.target import Target
from rewrite.values.events import Start, UpstreamClosed, UpstreamData, UpstreamSent, UpstreamStarted
from tests.contract import Sample
from tests.rewrite.asks import REGISTRY, ask, target_at, with_usage
from tests.rewrite.fields.rules import at, into, rule
from tests.rewrite.records.traces import Kept, trace_of
from tests.rewrite.replay import ONCE, Replay, chunked, holding
from tests.rewrite.scenes import own, targets
from tests.rewrite.test_fuzz import (
    CHANGES,
    CLIENTS,
    DIGITS,
    MOVES,
    ODDITIES,
    STREAMS,
    WHOLES,
    changed,
    frames_of,
    fuzzed,
    gathering,
    moved,
)

PATHS = ("*", "*.*", "*[0].*.*", "*[-1].*", "usage", "id", "content.*.*", "choices[0].*.content")
OF_ANSWERS = (Source.RESPONSE, Source.STREAM_EVENT, Source.UNIFIED_RESPONSE, Source.UNIFIED_STREAM_EVENT)
WIDE = [
    rule(path, into("x", when_missing_only=False), name=f"{path} {source} {mode}", source=source, mode=mode)
    for path in PATHS
    for source in OF_ANSWERS
    for mode in (Mode.LAST, Mode.ALL, Mode.LAST_ASSISTANT_TURN)
]
PER_CALL = [
    rule(
        place=at(path, 1),
        inject=into(path, 1, when_missing_only=False),
        name=f"{path} {source}",
        source=source,
        mode=Mode.PER_TOOL_CALL,
    )
    for path in ("x", "content", "index", "function.arguments")
    for source in (Source.RESPONSE, Source.UNIFIED_RESPONSE)
]
BUILT_IN = [each for name, facts in built_in().items() for each in provider(name, facts).field_cache]
RULES = [*{each.digest: each for each in (*WIDE, *PER_CALL, *BUILT_IN)}.values()]
SOME_RULES = st.lists(st.sampled_from(RULES), min_size=1, max_size=6, unique_by=lambda one: one.digest)


@dataclass(frozen=True, slots=True)
class Reader:
    """A client's call, and how it is asked."""

    call: Call
    target: Target


def readers(sample: Sample, client: str) -> Iterator[Reader]:
    """Who may get the answer: as it is, with held calls, gathered, translated."""
    yield Reader(sample.call, own(sample.call, sample.protocol, ONCE))
    if sample.framing.stream:
        yield Reader(sample.call, holding(sample.protocol, sample.call))
        asked, target = gathering(sample)
        yield Reader(asked, replace(target, terms=ONCE))
    if client != sample.protocol.name and not sample.array:
        asked = with_usage(ask(client, stream=sample.framing.stream))
        yield Reader(asked, replace(target_at(asked, sample.protocol.name), terms=ONCE))


def answered(reader: Reader, sample: Sample, data: bytes, *, kept: Kept | None, **fields: Any) -> Replay:
    """What the client gets; with a sink the call is traced."""
    client = REGISTRY[reader.call.protocol]
    trace = trace_of(kept, reader.call) if kept else None
    target = replace(reader.target, trace=TargetTrace(trace) if trace else None, **fields)
    asked = targets(reader.call, client, target)
    running = Replay(
        TracedExchange(reader.call, client, asked, 0.0, trace)
        if trace
        else Exchange(reader.call, client, asked, 0.0)
    )
    for event in (Start(), UpstreamSent(1), UpstreamStarted(1, sample.head)):
        running.feed(event)
    for piece in chunked(data, 997):
        running.feed(UpstreamData(1, piece))
    running.feed(UpstreamClosed(1, None))
    return running


def fields_of(sample: Sample, rules: Sequence[Rule], store: Store, now: float) -> CallFields:
    return CallFields(rules, store, Asked("vendor", sample.protocol.name, "m", "s"), now)


def said_alike(sample: Sample, data: bytes, client: str, rules: Sequence[Rule]) -> None:
    for reader in readers(sample, client):
        plain = answered(reader, sample, data, kept=None)
        store = Store()
        watched = answered(reader, sample, data, kept=Kept(), fields=fields_of(sample, rules, store, 0))
        assert (watched.heads, watched.body) == (plain.heads, plain.body)
        assert watched.summary.end == plain.summary.end
        for each in watched.summary.fields:
            each.keep(0)
        assert isinstance(fields_of(sample, rules, store, 1).request(history(sample)), dict)


def history(sample: Sample) -> dict[str, Any]:
    """A request that has the whole answer in it, as a client might return it, in each place for it."""
    found = load_object(sample.data) or {}
    choices = [inner for name in ("choices", "candidates") for inner in objects_at(found, name)]
    said = [found, *choices]
    turns = [
        each
        for one in said
        if isinstance(one, dict)
        for each in (one, one.get("message"), one.get("content"))
        if isinstance(each, dict)
    ]
    return {"messages": turns, "contents": turns, "input": found.get("output") or turns}


@given(st.sampled_from(STREAMS), CHANGES, MOVES, st.sampled_from(CLIENTS), SOME_RULES)
def test_a_stream_of_odd_types_is_the_same_with_rules_and_a_trace(
    sample: Sample,
    changes: list[tuple[int, int, object]],
    moves: list[tuple[str, int]],
    client: str,
    rules: list[Rule],
) -> None:
    said_alike(sample, b"".join(moved(fuzzed(frames_of(sample), changes), moves)), client, rules)


@given(
    st.sampled_from(WHOLES),
    st.lists(st.tuples(DIGITS, ODDITIES), min_size=1, max_size=3),
    st.sampled_from(CLIENTS),
    SOME_RULES,
)
def test_a_whole_answer_of_odd_types_is_the_same_with_rules_and_a_trace(
    sample: Sample, changes: list[tuple[int, object]], client: str, rules: list[Rule]
) -> None:
    body: Any = load_object(sample.data)
    for which, odd in changes:
        body = changed(body, which, odd)
    said_alike(sample, dump(body), client, rules)


@given(
    st.sampled_from(WHOLES),
    st.lists(st.tuples(DIGITS, ODDITIES), min_size=1, max_size=3),
    SOME_RULES,
)
def test_a_request_of_odd_types_takes_what_was_kept(
    sample: Sample, changes: list[tuple[int, object]], rules: list[Rule]
) -> None:
    """No payload is edited in place: the body is the same afterwards."""
    store, body = Store(), history(sample)
    first = fields_of(sample, rules, store, 0)
    first.answer(load_object(sample.data) or {})
    first.keep(0)
    for which, odd in changes:
        body = changed(body, which, odd)
    before = dump(body)
    fields_of(sample, rules, store, 1).request(body)
    assert dump(body) == before
