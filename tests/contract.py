"""What every protocol promises, as functions over one protocol and one golden answer.

A protocol that the registry finds is held to all of it by its fixtures in `fixtures/<protocol>/`; one that is
derived from another without fixtures of its own, by those of the other. The end of a file's name says how the
answer in it is framed: `.sse` and `.ndjson`, `.jsonarr` for an array that is
streamed, `.json` for an answer that is whole.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from protocols.base import WireProtocol, editor_of
from protocols.framing.frames import FrameWriter, frame_of
from protocols.model.call import Call, Operation
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse, header
from protocols.model.parts import (
    BlockKey,
    BlockKind,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    StreamError,
    StreamPart,
)
from protocols.model.progress import Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import load_object, text_at
from protocols.registry import discover
from rewrite.exchange.ending import formality
from rewrite.targets.reading import joined
from rewrite.translation.repair import closing, failing

FIXTURES = Path(__file__).parent / "fixtures"
REGISTRY = discover()


def parent(protocol: WireProtocol) -> WireProtocol:
    """The protocol of the registry that this one is derived from; itself where it is derived from none."""
    found = {type(each): each for each in REGISTRY}
    return next(found[each] for each in reversed(type(protocol).__mro__) if each in found)


PROTOCOLS = tuple(each for each in REGISTRY if parent(each) is each and each.translator and each.editor)
"""Those that are derived from no other, and more than passed on."""

SSE = Head(200, (("Content-Type", "text/event-stream; charset=utf-8"),))
NDJSON = Head(200, (("Content-Type", "application/x-ndjson"),))
JSON = Head(200, (("Content-Type", "application/json"),))
STREAMED = frozenset({"text", "tools", "error"})
"""Streams that a protocol needs to have among its fixtures, in whatever framing."""

WHOLE = "text.json"


@dataclass(frozen=True, slots=True)
class Framing:
    """`half`: the beginning of a frame that never becomes whole."""

    head: Head
    half: bytes
    stream: bool = True


FRAMINGS: Mapping[str, Framing] = {
    ".sse": Framing(SSE, b"da"),
    ".ndjson": Framing(NDJSON, b'{"mod'),
    ".jsonarr": Framing(JSON, b',\r\n{"can'),
    ".json": Framing(JSON, b"", stream=False),
}

ENVELOPED = "/v1internal:"
TARGETS: Mapping[str, str] = {
    "gemini_generate/code_assist*.sse": f"{ENVELOPED}streamGenerateContent?alt=sse",
    "gemini_generate/*.sse": "/v1beta/models/sample:streamGenerateContent?alt=sse",
    "gemini_generate/*.jsonarr": "/v1beta/models/sample:streamGenerateContent",
    "gemini_generate/*.json": "/v1beta/models/sample:generateContent",
}
"""Where an answer was asked for, by the pattern of its name, where the form of the answer depends on it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One golden answer."""

    protocol: WireProtocol
    name: str
    data: bytes

    @property
    def framing(self) -> Framing:
        """What is framed in none of these ways (a page that came in place of an answer) came as events."""
        return FRAMINGS.get(Path(self.name).suffix, FRAMINGS[".sse"])

    @property
    def head(self) -> Head:
        return self.framing.head

    @property
    def call(self) -> Call:
        file = f"{parent(self.protocol).name}/{self.name}"
        target = next((target for pattern, target in TARGETS.items() if fnmatch(file, pattern)), "")
        return call(self.protocol, stream=self.framing.stream, target=target)

    @property
    def array(self) -> bool:
        return self.name.endswith(".jsonarr")

    def segments(self, pieces: Iterable[bytes]) -> list[Segment]:
        return segments(self.protocol, self.head, pieces, self.call)

    def parts(self, pieces: Iterable[bytes]) -> list[StreamPart]:
        return parts(self.protocol, self.head, pieces, self.call)

    def __str__(self) -> str:
        return f"{self.protocol.name}/{self.name}"


def samples(pattern: str = "*", of: Iterable[WireProtocol] = PROTOCOLS) -> list[Sample]:
    """The golden answers of these protocols whose file names match."""
    return [
        Sample(protocol, file.name, file.read_bytes())
        for protocol in of
        for file in sorted(fixtures(protocol).glob(pattern))
    ]


def streams(of: Iterable[WireProtocol] = PROTOCOLS) -> list[Sample]:
    return [sample for sample in samples(of=of) if sample.framing.stream]


def fixtures(protocol: WireProtocol) -> Path:
    own = FIXTURES / protocol.name
    return own if own.is_dir() else FIXTURES / parent(protocol).name


def editable(of: Iterable[WireProtocol] = PROTOCOLS) -> list[Sample]:
    """The streams of protocols that edit them."""
    return [sample for sample in streams(of) if sample.protocol.editor]


def call(protocol: WireProtocol, *, stream: bool = True, target: str = "") -> Call:
    return Call("call", protocol.name, Operation.GENERATE, "sample", stream, (), target=target)


def segments(
    protocol: WireProtocol, head: Head, pieces: Iterable[bytes], asked: Call | None = None
) -> list[Segment]:
    """The segments of an answer that comes in `pieces` and ends after them."""
    decoder = protocol.decoder(asked or call(protocol, stream=head != JSON), head)
    found = [segment for piece in pieces for segment in decoder.feed(piece)]
    return [*found, *decoder.eof()]


def parts(
    protocol: WireProtocol, head: Head, pieces: Iterable[bytes], asked: Call | None = None
) -> list[StreamPart]:
    decoder = protocol.decoder(asked or call(protocol, stream=head != JSON), head)
    framed = [segment for piece in pieces for segment in decoder.feed(piece)]
    return [part for segment in [*framed, *decoder.eof()] for part in decoder.read(segment)]


def progress(found: Iterable[StreamPart]) -> Progress:
    so_far = Progress()
    so_far.fold(found)
    return so_far


def as_events(sample: Sample, data: bytes) -> bytes:
    """A stream in the form that a judge of its protocol reads: the items of an array become events, and
    what is in an envelope comes out of it."""
    if sample.array:
        items = json.loads(data)
    elif ENVELOPED in sample.call.target:
        found = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
        items = [item.get("response", item) for item in found]
    else:
        return data
    return b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in items)


# -- the promises ---------------------------------------------------------------------------------------


def has_its_fixtures(protocol: WireProtocol) -> None:
    """One that generates nothing says so by `generates = False`, and has whole answers alone; each framing
    that is streamed has a text."""
    files = list(fixtures(protocol).iterdir())
    streamed = [file for file in files if FRAMINGS[file.suffix].stream]
    assert {WHOLE} | {f"text{file.suffix}" for file in streamed} <= {file.name for file in files}
    if getattr(protocol, "generates", True):
        assert {file.stem for file in streamed} >= STREAMED


def passes_untouched(sample: Sample) -> None:
    """Byte for byte; and what a sample says is understood."""
    assert joined(sample.segments([sample.data])) == sample.data
    assert not [part for part in sample.parts([sample.data]) if isinstance(part, Opaque)]


def frames_alike_however_cut(sample: Sample) -> None:
    """Whole, byte by byte, and in two at every place."""
    whole = sample.segments([sample.data])
    single = [sample.data[at : at + 1] for at in range(len(sample.data))]
    assert sample.segments(single) == whole
    for at in range(len(sample.data)):
        assert sample.segments([sample.data[:at], sample.data[at:]]) == whole


def drops_half_a_frame(sample: Sample) -> None:
    """Of an array, before what closes it: nothing follows that."""
    data = sample.data[: sample.data.rindex(b"]")].rstrip() if sample.array else sample.data
    whole = sample.segments([data])
    assert whole
    assert sample.segments([data + sample.framing.half]) == whole


def keeps_what_is_not_framed(sample: Sample) -> None:
    """At every moment what was fed is in a segment or in the remainder."""
    decoder = sample.protocol.decoder(sample.call, sample.head)
    out = b""
    for at in range(0, len(sample.data), 7):
        out += joined(decoder.feed(sample.data[at : at + 7]))
        assert out + decoder.remainder() == sample.data[: at + 7]


def reads_anything(protocol: WireProtocol, garbage: bytes) -> None:
    """A frame that makes no sense is kept as Opaque or counts as life; it never raises."""
    for framing in FRAMINGS.values():
        for part in parts(protocol, framing.head, [garbage], call(protocol, stream=framing.stream)):
            assert isinstance(part, StreamPart.__value__)


def writes_errors(protocol: WireProtocol, fault: Fault) -> None:
    """In the shape that its own clients raise on: its own decoder reads the error out of it."""
    answer = protocol.error(fault)
    assert answer.status == fault.status
    assert (header(answer.headers, "content-type") or "").partition(";")[0] == "application/json"
    assert _message(answer) == fault.message
    error = progress(parts(protocol, JSON, [answer.body])).error
    assert error
    assert error.native
    assert error.message == fault.message


def says_when_to_ask_again(protocol: WireProtocol) -> None:
    def says(fault: Fault, name: str) -> str | None:
        return header(protocol.error(fault).headers, name)

    plain = Fault(429, "rate_limit_exceeded", "slow")
    assert says(plain, "retry-after") is says(plain, "x-should-retry") is None
    assert says(Fault(429, "x", "slow", retry_after=12.4), "retry-after") == "13"
    assert says(Fault(429, "x", "slow", retry_after=0.2), "retry-after") == "1"
    assert says(Fault(504, "x", "slow", should_retry=False), "x-should-retry") == "false"


def _message(answer: WireResponse) -> str:
    error = (load_object(answer.body) or {}).get("error")
    return text_at(error, "message") if isinstance(error, dict) else str(error)


def heartbeats_do_no_harm(sample: Sample) -> None:
    """A heartbeat between any two frames changes nothing that is read."""
    heartbeat = sample.protocol.encoder(sample.call).heartbeat()
    frames = sample.segments([sample.data])
    with_heartbeats = heartbeat + b"".join(frame.raw + heartbeat for frame in frames)
    before = [part for part in sample.parts([sample.data]) if part != Ping()]
    after = [part for part in sample.parts([with_heartbeats]) if part != Ping()]
    assert after == before
    assert joined(sample.segments([with_heartbeats])) == with_heartbeats


@dataclass(frozen=True, slots=True)
class Ended:
    """A stream that was cut: what had been `sent` and said by then, and what it is with its end: `data`."""

    so_far: Progress
    sent: bytes
    data: bytes


def closed(sample: Sample) -> Iterator[Ended]:
    """The stream cut after each of its frames, and closed as a cut or as done, whichever it is."""
    for sent, so_far in _prefixes(sample):
        ending = formality(so_far) if so_far.complete else closing(so_far)
        yield Ended(so_far, sent, sent + sample.protocol.encoder(sample.call).close(ending, so_far))


def failed(sample: Sample) -> Iterator[Ended]:
    """The stream cut after each of its frames before its end, and closed by an error."""
    for sent, so_far in _prefixes(sample):
        if so_far.complete:
            return
        added = sample.protocol.encoder(sample.call).close(failing("it was cut"), so_far)
        yield Ended(so_far, sent, sent + added)


def _prefixes(sample: Sample) -> Iterator[tuple[bytes, Progress]]:
    decoder = sample.protocol.decoder(sample.call, sample.head)
    so_far, sent = Progress(), b""
    for segment in [*decoder.feed(sample.data), *decoder.eof()]:
        so_far.fold(decoder.read(segment))
        sent += segment.raw
        if so_far.visible and not so_far.error:
            yield sent, so_far


@dataclass(frozen=True, slots=True)
class Resumed:
    """A stream that was cut inside a text and continued: `resumed` was written by the encoder that resumed
    it."""

    sent: bytes
    resumed: bytes
    whole: Progress


def places_inside_text(sample: Sample) -> list[int]:
    """How many frames came before each cut: a text is open and another frame follows. None where the
    provider began again: a writer gets one message."""
    decoder = sample.protocol.decoder(sample.call, sample.head)
    so_far, places = Progress(), list[int]()
    if sum(isinstance(part, MessageStart) for part in sample.parts([sample.data])) != 1:
        return []
    for place, segment in enumerate([*decoder.feed(sample.data), *decoder.eof()]):
        if _inside_text(so_far):
            places.append(place)
        so_far.fold(decoder.read(segment))
    return places


def _inside_text(so_far: Progress) -> bool:
    kinds = {block.kind for block in so_far.open.values()}
    return BlockKind.TEXT in kinds and not (so_far.error or so_far.ended or so_far.torn)


def resumed(sample: Sample, place: int) -> Resumed:
    """The stream cut after its first `place` frames, and written on from what its own second half says."""
    decoder = sample.protocol.decoder(sample.call, sample.head)
    framed = [*decoder.feed(sample.data), *decoder.eof()]
    so_far, whole = Progress(), Progress()
    for segment in framed[:place]:
        said = decoder.read(segment)
        so_far.fold(said)
        whole.fold(said)
    sent = joined(framed[:place])
    writer = editor_of(sample.protocol).resume(sample.call, so_far)
    resumed = b""
    for segment in framed[place:]:
        said = decoder.read(segment)
        whole.fold(said)
        resumed += writer.write(said)
    return Resumed(sent, resumed + writer.write(formality(whole) if whole.complete else ()), whole)


END_WORDS = {FinishReason.OTHER: FinishReason.STOP}
"""An end without a known reason is written as a stop where there is no word for it."""


def summary_of(so_far: Progress) -> tuple[dict[str, list[str]], list[tuple[object, ...]], object]:
    """What a client keeps of an answer: the texts of each choice by their kind, its calls, how it ended.

    What a provider's own tools did is not written on.
    """
    texts: dict[str, list[str]] = {}
    calls: list[tuple[object, ...]] = []
    for block in so_far.ordered:
        start = block.start
        if start.kind is BlockKind.TOOL:
            calls.append((start.choice, start.tool_id, start.tool_name, start.tool_kind, block.text))
        elif start.kind is not BlockKind.HOSTED:
            texts.setdefault(f"{start.choice} {start.kind}", []).append(block.text)
    error = so_far.error and so_far.error.message
    ends = {choice: END_WORDS.get(one.reason, one.reason) for choice, one in so_far.finished.items()}
    joined = {where: ["".join(pieces)] for where, pieces in texts.items()}
    return joined, calls, error or ends


def continues_where_it_was_cut(sample: Sample, place: int) -> Resumed:
    """Both halves read as the one stream that was not cut. What every frame repeats, those of the second do
    too; where the stream is opened once, it is not opened again."""
    found = resumed(sample, place)
    again = sample.parts([found.sent + found.resumed])
    assert summary_of(progress(again)) == summary_of(found.whole)
    assert sum(isinstance(part, MessageStart) for part in again) == 1
    later = progress(sample.parts([found.resumed])).head
    assert later is None or sample.protocol.opens_with_lifecycle or later == found.whole.head
    return found


def reads_its_own_closing(sample: Sample) -> None:
    """By a last frame, where the framing has one: then the protocol's golden text ends with it."""
    (text,) = samples(f"text{Path(sample.name).suffix}", [sample.protocol])
    has_last_frame = progress(text.parts([text.data])).ended
    for one in closed(sample):
        again = progress(sample.parts([one.data]))
        assert again.ended or (again.complete and not has_last_frame)
        assert one.so_far.complete or not (again.open or again.unfinished)
        assert as_events(sample, one.data)


def reads_its_own_error(sample: Sample) -> None:
    for one in failed(sample):
        error = progress(sample.parts([one.data])).error
        assert isinstance(error, StreamError)
        assert (error.native, error.message) == (True, "it was cut")
        assert as_events(sample, one.data)


def prunes_calls(sample: Sample) -> None:
    """With every call taken out, the frames say all the rest and nothing of them; with none, they stay."""
    whole = progress(sample.parts([sample.data]))
    calls = {key for key, block in whole.blocks.items() if block.kind is BlockKind.TOOL}
    assert _pruned(sample, set()) == sample.data
    left = progress(sample.parts([_pruned(sample, calls)]))
    assert not [block for block in left.blocks.values() if block.kind is BlockKind.TOOL]
    assert _said(left) == _said(whole)
    assert (left.usage, left.finished.keys(), left.ended) == (
        whole.usage,
        whole.finished.keys(),
        whole.ended,
    )
    assert as_events(sample, _pruned(sample, calls))


def _pruned(sample: Sample, calls: set[BlockKey]) -> bytes:
    decoder, pruner = sample.protocol.decoder(sample.call, sample.head), editor_of(sample.protocol).pruner()
    writer, head, data = FrameWriter(), None, b""
    for segment in [*decoder.feed(sample.data), *decoder.eof()]:
        said, frame = decoder.read(segment), frame_of(segment.raw)
        head = next((part for part in said if isinstance(part, MessageStart)), head)
        if frame is None:
            data += segment.raw
            continue
        event = pruner.prune(frame.event, said, calls, head)
        data += b"".join(writer.write(frame, [] if event is None else [event]))
    return data


def _said(found: Progress) -> dict[BlockKind, str]:
    """The text of each kind of block; calls, and the empty blocks that a call's signature stands in, not."""
    texts: dict[BlockKind, str] = {}
    for block in found.blocks.values():
        if block.kind is not BlockKind.TOOL and block.text:
            texts[block.kind] = texts.get(block.kind, "") + block.text
    return texts
