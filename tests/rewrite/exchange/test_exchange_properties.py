"""Streams cut anywhere end honestly, and no order of events breaks what an exchange promises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.parts import (
    BlockDelta,
    BlockKind,
    BlockStart,
    Finish,
    FinishReason,
    StreamEnd,
    StreamError,
    StreamPart,
)
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import load_object
from rewrite.exchange.ending import Cut as CutIn
from rewrite.exchange.ending import completeness
from rewrite.exchange.exchange import Exchange
from rewrite.translation.translate import translator_of
from rewrite.values.events import (
    CALL,
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
    ClientGone,
    Command,
    EndResponse,
    Event,
    NoneFree,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.contract import PROTOCOLS, SSE, Sample, parts, progress, samples, segments
from tests.examples import share
from tests.oracle import Judge, judges, protocol_of, recorded
from tests.playbook import handled
from tests.rewrite.replay import Replay, chunked, mode, replay
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    HTML,
    JSON,
    PING,
    ROLE,
    TERMS,
    call,
    calls,
    error_body,
    error_chunk,
    exchange_of,
    finishes,
    refused,
    says,
    timed,
)

ODD = 997
BY_NAME = {protocol.name: protocol for protocol in PROTOCOLS}
DIGITS = st.integers(0, 99)
PLACES = st.tuples(DIGITS, DIGITS).map(lambda digits: digits[0] / 100 + digits[1] / 9900)
"""Fractions from 0 to 1, each as likely as any other: wide ranges of integers are drawn near zero."""

MODES = st.sampled_from([OnTruncation.AUTO, OnTruncation.REPAIR, OnTruncation.ERROR])
CAUSES = st.sampled_from(["reset", None])


# -- streams that are cut -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A stream that ended after `at` bytes: what the client could get of it, and what it got."""

    protocol: WireProtocol
    data: bytes
    at: int
    result: Replay

    @cached_property
    def passed(self) -> list[Segment]:
        """The whole frames that came."""
        return segments(self.protocol, SSE, [self.data[: self.at]])

    @cached_property
    def read(self) -> list[StreamPart]:
        """What these say."""
        return parts(self.protocol, SSE, [segment.raw for segment in self.passed])

    @cached_property
    def before(self) -> Progress:
        return progress(self.read)

    @cached_property
    def got(self) -> list[StreamPart]:
        """What the client reads."""
        return parts(self.protocol, SSE, [self.result.body])

    @property
    def added(self) -> bytes:
        """What the client got after them."""
        whole = b"".join(segment.raw for segment in self.passed)
        assert self.result.body.startswith(whole)
        return self.result.body[len(whole) :]

    @property
    def closing(self) -> list[StreamPart]:
        """What that says, to one who has read what was before it."""
        assert self.result.body.endswith(self.added)
        return self.got[len(self.read) :]


def cut(
    protocol: WireProtocol,
    data: bytes,
    place: float,
    on_truncation: OnTruncation,
    cause: str | None = "reset",
    *,
    discards: bool = False,
) -> Cut:
    at = round(place * len(data))
    terms = mode(on_truncation, discards=discards)
    return Cut(protocol, data, at, replay(protocol, chunked(data[:at], ODD), cause, terms=terms))


def ends_honestly(one: Cut, on_truncation: OnTruncation, *, discards: bool = False) -> None:
    """The rule, from what had come when the stream was cut."""
    summary, before = one.result.summary, one.before
    if any(segment.garbled for segment in one.passed):
        assert summary.end in ("rejected", "failed")
    elif before.error:
        assert summary.end in ("rejected", "error")
        is_the_providers_error(one, before.error)
    elif before.complete:
        assert summary.end == "completed"
        assert one.closing in ([], [StreamEnd()])
    elif not before.visible:
        nothing_framed = one.at < len(b"event:") and one.result.body == one.data[: one.at]  # no event as yet
        assert summary.end == "rejected"
        assert nothing_framed or one.result.head.status == 502
    else:
        is_cut(one, on_truncation, discards=discards)


def is_the_providers_error(one: Cut, error: StreamError) -> None:
    """In its own bytes; and once more where SDKs do not raise on these."""
    raws = accumulate(segment.raw for segment in one.passed)
    upto = next(raw for raw in raws if progress(parts(one.protocol, SSE, [raw])).error)
    assert one.result.body.startswith(upto)
    if error.native:
        whole = b"".join(segment.raw for segment in one.passed)
        assert one.result.body == (upto if one.result.summary.end == "rejected" else whole)
        return
    *_, raised = [part for part in one.got if isinstance(part, StreamError)]
    assert (raised.message, raised.native) == (error.message, True)


def in_call(before: Progress) -> bool:
    found = completeness(before)
    return isinstance(found, CutIn) and found.place is BlockKind.TOOL


def is_cut(one: Cut, on_truncation: OnTruncation, *, discards: bool) -> None:
    in_tool = in_call(one.before)
    fails = in_tool and not discards and on_truncation is not OnTruncation.REPAIR
    if fails or on_truncation is OnTruncation.ERROR:
        assert one.result.summary.end == "failed"
        assert StreamError in [type(part) for part in one.closing]
        assert not [part for part in one.closing if isinstance(part, Finish)]
        return
    assert one.result.summary.end == "truncated"
    finishes = [part for part in one.closing if isinstance(part, Finish)]
    assert {part.reason for part in finishes} == {FinishReason.LENGTH}
    assert progress(one.got).complete


def texts(found: list[StreamPart]) -> dict[tuple[int, int, BlockKind], str]:
    shown: dict[tuple[int, int, BlockKind], str] = {}
    for part in found:
        if isinstance(part, BlockDelta):
            key = (part.choice, part.index, part.kind)
            shown[key] = shown.get(key, "") + part.text
    return shown


@cache
def original(protocol: str, data: bytes) -> tuple[Mapping[tuple[int, int, BlockKind], str], list[BlockStart]]:
    """The texts and the blocks of a stream that nothing cuts."""
    said = parts(BY_NAME[protocol], SSE, [data])
    return texts(said), [part for part in said if isinstance(part, BlockStart)]


def is_honest(one: Cut, kind: BlockKind, text: str, whole: str) -> bool:
    """A call that comes by place has no text that grows: half of it must not pass for a whole one."""
    if kind is BlockKind.TOOL and translator_of(one.protocol).abilities.whole_tool_calls:
        return text == whole or load_object(text.encode()) is None
    return whole.startswith(text)


def shows_a_prefix(one: Cut) -> None:
    """All that the client reads is what the provider wrote, as far as it came; and no other block."""
    whole, blocks = original(one.protocol.name, one.data)
    assert all(is_honest(one, key[-1], text, whole.get(key, "")) for key, text in texts(one.got).items())
    begun = [part for part in one.got if isinstance(part, BlockStart)]
    assert begun == blocks[: len(begun)]


@given(st.sampled_from(samples("*.sse")), PLACES, MODES, CAUSES, st.booleans())
def test_a_golden_stream_cut_anywhere_ends_honestly(
    sample: Sample, place: float, on_truncation: OnTruncation, cause: str | None, discards: bool
) -> None:
    one = cut(sample.protocol, sample.data, place, on_truncation, cause, discards=discards)
    ends_honestly(one, on_truncation, discards=discards)
    if one.result.head == SSE:
        shows_a_prefix(one)


FOREIGN_ERRORS = {
    "openai_chat": (
        b'event: error\ndata: {"message":"busy","code":"server_error"}\n\n',
        b'data: {"object":"error","message":"busy","type":"server_error"}\n\n',
    ),
    "openai_responses": (b'event: error\ndata: {"type":"error","code":"server_error","message":"busy"}\n\n',),
    "anthropic_messages": (b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n',),
}
"""In forms that providers write, and that the protocol's SDKs do not raise on."""


def until_visible(protocol: WireProtocol) -> bytes:
    """The beginning of an answer."""
    (sample,) = samples("text.sse", of=[protocol])
    raws = accumulate(segment.raw for segment in sample.segments([sample.data]))
    return next(raw for raw in raws if progress(sample.parts([raw])).visible)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("name", "frame"), [(name, each) for name in FOREIGN_ERRORS for each in FOREIGN_ERRORS[name]]
)
def test_an_error_that_sdks_ignore_is_repeated_in_a_form_that_they_raise_on(
    name: str, frame: bytes, committed: bool, missing: int
) -> None:
    protocol = BY_NAME[name]
    data = (until_visible(protocol) if committed else b"") + frame
    one = cut(protocol, data, (len(data) - missing) / len(data), OnTruncation.AUTO)
    assert one.before.error is not None
    assert not one.before.error.native
    assert one.result.body.startswith(data)
    ends_honestly(one, OnTruncation.AUTO)


@pytest.mark.parametrize("missing", [0, 1, 2])
@pytest.mark.parametrize("sample", samples("*error.sse"), ids=str)
def test_a_golden_error_without_its_blank_line_is_passed_on(sample: Sample, missing: int) -> None:
    place = (len(sample.data.rstrip()) + 2 - missing) / len(sample.data)
    one = cut(sample.protocol, sample.data, place, OnTruncation.AUTO)
    assert one.before.error
    ends_honestly(one, OnTruncation.AUTO)


IN_PIECES = [
    each for each in samples("tools.sse") if not translator_of(each.protocol).abilities.whole_tool_calls
]
"""Streams in which a call can be cut at all."""


@pytest.mark.parametrize("sample", IN_PIECES, ids=str)
def test_every_cut_in_tool_arguments_is_an_error_without_a_finish(sample: Sample) -> None:
    inside = 0
    for at in places_in_calls(sample):
        one = cut(sample.protocol, sample.data, at / len(sample.data), OnTruncation.AUTO)
        if not in_call(one.before):  # the last bytes of a frame are not missed
            continue
        inside += 1
        assert not [part for part in one.closing if isinstance(part, Finish)]
        assert progress(one.got).error
    assert inside > 100


def places_in_calls(sample: Sample) -> list[int]:
    """All those of the frames that a call begins in, continues in or ends in."""
    bounds = accumulate((len(segment.raw) for segment in sample.segments([sample.data])), initial=0)
    return [
        at
        for start, end in pairwise(bounds)
        if any(in_call(progress(sample.parts([sample.data[:bound]]))) for bound in (start, end))
        for at in range(start, end)
    ]


@pytest.fixture(scope="module")
def grammar() -> Mapping[str, Judge]:
    return judges()


@pytest.mark.parametrize("sample", samples("*.sse"), ids=str)
def test_a_golden_stream_cut_anywhere_is_accepted(sample: Sample, grammar: Mapping[str, Judge]) -> None:
    @share(40)
    @given(PLACES, MODES)
    def accepted(place: float, on_truncation: OnTruncation) -> None:
        is_accepted(cut(sample.protocol, sample.data, place, on_truncation), grammar)

    accepted()


@pytest.mark.parametrize("file", [each for name in BY_NAME for each in recorded(name, "*.sse")])
def test_a_recorded_stream_cut_anywhere_ends_honestly_and_is_accepted(
    file: Path, grammar: Mapping[str, Judge]
) -> None:
    protocol, data = BY_NAME[protocol_of(file)], file.read_bytes()

    @share(12)
    @given(PLACES, MODES)
    def honest(place: float, on_truncation: OnTruncation) -> None:
        one = cut(protocol, data, place, on_truncation)
        ends_honestly(one, on_truncation)
        if one.result.head == SSE:
            shows_a_prefix(one)
        is_accepted(one, grammar)

    honest()


def is_accepted(one: Cut, grammar: Mapping[str, Judge]) -> None:
    """By the grammar: it ends or says an error, and breaks no rule that the provider did not break itself."""
    if one.result.head != SSE:
        return
    judge = grammar[one.protocol.name]
    judgement = judge(one.result.body)
    own = judge(one.data)  # a provider's error may stand in no event, where the judge does not see it
    assert judgement["terminal"] or judgement["error"] or not (own["terminal"] or own["error"]), judgement
    assert kinds(judgement["violations"]) <= broken(judge, one.data)


@cache
def broken(judge: Judge, data: bytes) -> set[str]:
    """The rules that a provider breaks itself. A second head makes the judge forget the blocks that are open,
    which are ended all the same."""
    own = kinds(judge(data)["violations"])
    return own | {"for closed block"} if "message_start (spliced stream)" in own else own


def kinds(violations: Sequence[str]) -> set[str]:
    """Without the event that broke a rule: our last frame cannot mend what the provider's broke before it."""
    return {violation.partition(" ")[2] for violation in violations}


# -- any order of events --------------------------------------------------------------------------------

HEADS = [*[SSE] * 10, JSON, HTML, *(refused(code) for code in (400, 401, 429, 500))]
DATA = [
    *(ROLE, PING, b"\n", says("Hi"), says("x")[:-9], finishes("stop"), DONE, b"data: {oops\n\n"),
    *(calls("", "f"), calls("{"), error_chunk("busy", code=429), error_body("no", "invalid_api_key"), b"{}"),
]
WAITS = [0.5, 30.0, 900.0, None]


@dataclass(slots=True)
class Edge:
    """Plays pool, upstream, timers and client, and holds the exchange to its promises at every command."""

    exchange: Exchange
    choose: st.DataObject
    now: float = 0.0
    wanted: int | None = None
    held: int | None = None
    open: int | None = None
    stage: int = 0
    latest: int = 0
    timers: dict[tuple[int, Timer], float] = field(default_factory=dict)
    answered: int | None = None
    reports: int = 0
    ended: bool = False
    gone: bool = False

    def feed(self, event: Event) -> int:
        """How many commands followed."""
        commands = handled(self.exchange, event, self.now)
        for command in commands:
            assert not self.ended, f"{command} after the end"
            self._perform(command)
        return len(commands)

    def _perform(self, command: Command) -> None:
        match command:
            case SendHeaders() | SendData() | EndResponse() | Report():
                self._answer(command)
            case Acquire(attempt=attempt) | AwaitCredential(attempt=attempt):
                assert self.wanted is self.held is self.open is None
                self.wanted = self.latest = attempt
            case OpenUpstream(attempt=attempt):
                assert (self.held, self.open) == (attempt, None)
                self.open, self.stage = attempt, 0
            case CancelUpstream(attempt=attempt):
                assert self.open == attempt
                self.open = None
            case Release(attempt=attempt):
                assert (self.held, self.open) == (attempt, None)
                self.held = None
            case SetTimer(attempt=attempt, timer=timer, seconds=seconds):
                assert seconds >= 0
                self.latest = max(self.latest, attempt)
                self.timers[attempt, timer] = self.now + seconds

    def _answer(self, command: SendHeaders | SendData | EndResponse | Report) -> None:
        """One head, then data of the same attempt, then the end; and the report beside the end. A head that
        only promises a stream, and heartbeats after it, are of no attempt."""
        match command:
            case SendHeaders(attempt=attempt):
                assert self.answered is None
                self.answered = attempt
            case SendData(attempt=attempt, data=data):
                assert data
                self._follows(attempt)
            case Report():
                self.reports += 1
            case EndResponse(attempt=attempt):
                self._follows(attempt)
                self.ended = True

    def _follows(self, attempt: int) -> None:
        if self.answered == CALL:
            self.answered = attempt
        assert self.answered == attempt

    def closed(self) -> None:
        """The call is over: reported once, answered to its end or left by the client, nothing left behind."""
        assert self.reports == 1
        assert self.ended or self.gone
        assert self.open is self.held is None
        late = (
            Acquired(1, "a"),
            UpstreamData(self.latest, says("late")),
            TimerFired(CALL, Timer.HOLD),
            ClientGone(),
        )
        assert not any(self.feed(event) for event in late)

    def moves(self) -> list[str]:
        """What may happen next; a call ends by itself, or because the client leaves."""
        pool = [*["acquired"] * 4, "none_free"] if self.wanted else []
        upstream = [*[("sent", "start", "data")[self.stage]] * 6, "close"]
        timers = ["timer"] if self.timers else []
        rarely = ["late", "leave"] if self.choose.draw(st.integers(0, 9)) == 9 else []
        return [*pool, *(upstream if self.open else []), *timers, *rarely] or ["leave"]

    def step(self) -> None:
        move = self.choose.draw(st.sampled_from(self.moves()))
        match move:
            case "acquired" | "none_free":
                self._pool(move)
            case "timer":
                key = self.choose.draw(st.sampled_from(sorted(self.timers)))
                self.now = max(self.now, self.timers.pop(key))
                self.feed(TimerFired(*key))
            case "late":
                self._late()
            case "leave":
                self.gone = True
                self.feed(ClientGone())
            case _:
                self._upstream(move, self.open or 0)

    def _pool(self, move: str) -> None:
        attempt, self.wanted = self.wanted or 0, None
        if move == "none_free":
            wait = self.choose.draw(st.sampled_from(WAITS))
            paused, own, final = (self.choose.draw(st.booleans()) for _ in range(3))
            self.feed(NoneFree(attempt, wait, paused, own=own and wait is not None, final=final))
            return
        self.held = attempt
        name, former = self.choose.draw(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "a", "b"])))
        self.feed(Acquired(attempt, name, former))

    def _upstream(self, move: str, attempt: int) -> None:
        self.stage = min(self.stage + 1, 2)
        match move:
            case "sent":
                self.feed(UpstreamSent(attempt))
            case "start":
                self.feed(UpstreamStarted(attempt, self.choose.draw(st.sampled_from(HEADS))))
            case "data":
                self.feed(UpstreamData(attempt, self.choose.draw(st.sampled_from(DATA))))
            case _:
                self.open = None
                self.feed(UpstreamClosed(attempt, self.choose.draw(CAUSES)))

    def _late(self) -> None:
        """Whatever comes of an attempt that another one followed changes nothing."""
        for old in range(1, self.latest):
            late = (UpstreamData(old, says("late")), UpstreamClosed(old), TimerFired(old, Timer.STALL))
            assert not any(self.feed(event) for event in late)


def exchange(*, stream: bool, pooled: bool, acting: bool, targets: int, floor: bool, early: bool) -> Exchange:
    limits = Limits(max_attempts=3)
    terms = timed(
        structs.replace(TERMS, pooled=pooled, limits=limits),
        hold=60.0,
        first_event=30.0,
        first_token=60.0,
        stall=30.0,
        response=100.0,
        heartbeat=10.0,
        min_throughput=0.5 if floor else 0.0,
        heartbeat_before_commit=early,
    )
    return exchange_of(replace(call(stream=stream), acting=acting), CHAT, terms, *[terms] * (targets - 1))


@given(st.data(), st.lists(st.booleans(), min_size=5, max_size=5), st.integers(1, 3))
def test_any_order_of_events_keeps_the_promises(
    choose: st.DataObject, flags: list[bool], targets: int
) -> None:
    stream, pooled, acting, floor, early = flags
    made = exchange(stream=stream, pooled=pooled, acting=acting, targets=targets, floor=floor, early=early)
    edge = Edge(made, choose)
    edge.feed(Start())
    for _ in range(40):
        if not edge.reports:
            edge.step()
    if not edge.reports:
        edge.gone = True
        edge.feed(ClientGone())
    edge.closed()
