"""What every protocol promises, as functions over one protocol and one golden answer.

A protocol that the registry finds is held to all of it by its fixtures in `fixtures/<protocol>/`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from protocols.base import Call, Fault, Head, Operation, Segment, WireProtocol, WireResponse, header
from protocols.parts import Opaque, Ping, Progress, StreamError, StreamPart
from protocols.registry import discover
from protocols.wirejson import load_object, text_at
from rewrite.repair import closing, failing, formality

FIXTURES = Path(__file__).parent / "fixtures"
PROTOCOLS = tuple(discover())
SSE = Head(200, (("Content-Type", "text/event-stream; charset=utf-8"),))
JSON = Head(200, (("Content-Type", "application/json"),))
NEEDED = frozenset({"text.sse", "tools.sse", "error.sse", "text.json"})
HALF = b"da"
"""The beginning of a frame that never becomes whole."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One golden answer."""

    protocol: WireProtocol
    name: str
    data: bytes

    @property
    def head(self) -> Head:
        return JSON if self.name.endswith(".json") else SSE

    def __str__(self) -> str:
        return f"{self.protocol.name}/{self.name}"


def samples(pattern: str = "*") -> list[Sample]:
    """The golden answers of every protocol whose file names match."""
    return [
        Sample(protocol, file.name, file.read_bytes())
        for protocol in PROTOCOLS
        for file in sorted((FIXTURES / protocol.name).glob(pattern))
    ]


def call(protocol: WireProtocol, *, stream: bool = True) -> Call:
    return Call("call", protocol.name, Operation.GENERATE, "sample", stream, ())


def segments(protocol: WireProtocol, head: Head, pieces: Iterable[bytes]) -> list[Segment]:
    """The segments of an answer that comes in `pieces` and ends behind them."""
    decoder = protocol.decoder(call(protocol), head)
    found = [segment for piece in pieces for segment in decoder.feed(piece)]
    return [*found, *decoder.eof()]


def parts(protocol: WireProtocol, head: Head, pieces: Iterable[bytes]) -> list[StreamPart]:
    decoder = protocol.decoder(call(protocol), head)
    framed = [segment for piece in pieces for segment in decoder.feed(piece)]
    return [part for segment in [*framed, *decoder.eof()] for part in decoder.read(segment)]


def progress(found: Iterable[StreamPart]) -> Progress:
    so_far = Progress()
    so_far.fold(found)
    return so_far


def encoded(protocol: WireProtocol, found: Sequence[Segment]) -> bytes:
    return protocol.encoder(call(protocol)).encode(found)


# -- the promises ---------------------------------------------------------------------------------------


def has_its_fixtures(protocol: WireProtocol) -> None:
    assert {file.name for file in (FIXTURES / protocol.name).glob("*")} >= NEEDED


def passes_untouched(sample: Sample) -> None:
    """Byte for byte; and what a sample says is understood."""
    assert encoded(sample.protocol, segments(sample.protocol, sample.head, [sample.data])) == sample.data
    read = parts(sample.protocol, sample.head, [sample.data])
    assert not [part for part in read if isinstance(part, Opaque)]


def frames_alike_however_cut(sample: Sample) -> None:
    """Whole, byte by byte, and in two at every place."""
    whole = segments(sample.protocol, sample.head, [sample.data])
    single = [sample.data[at : at + 1] for at in range(len(sample.data))]
    assert segments(sample.protocol, sample.head, single) == whole
    for at in range(len(sample.data)):
        assert segments(sample.protocol, sample.head, [sample.data[:at], sample.data[at:]]) == whole


def drops_half_a_frame(sample: Sample) -> None:
    whole = segments(sample.protocol, sample.head, [sample.data])
    assert segments(sample.protocol, sample.head, [sample.data + HALF]) == whole


def keeps_what_is_not_framed(sample: Sample) -> None:
    """At every moment what was fed is in a segment or in the rest."""
    decoder = sample.protocol.decoder(call(sample.protocol), sample.head)
    out = b""
    for at in range(0, len(sample.data), 7):
        out += encoded(sample.protocol, decoder.feed(sample.data[at : at + 7]))
        assert out + decoder.rest() == sample.data[: at + 7]


def reads_anything(protocol: WireProtocol, garbage: bytes) -> None:
    """A frame that makes no sense is kept as Opaque or counts as life; it never raises."""
    for head in (SSE, JSON):
        for part in parts(protocol, head, [garbage]):
            assert isinstance(part, StreamPart.__value__)


def writes_errors(protocol: WireProtocol, fault: Fault) -> None:
    """In the shape that its own clients raise on: its own decoder reads the error out of it."""
    answer = protocol.error(fault)
    assert answer.status == fault.status
    assert header(answer.headers, "content-type") == "application/json"
    assert _told_message(answer) == fault.message
    error = progress(parts(protocol, JSON, [answer.body])).error
    assert error
    assert error.native
    assert error.message == fault.message


def says_when_to_ask_again(protocol: WireProtocol) -> None:
    def told(fault: Fault, name: str) -> str | None:
        return header(protocol.error(fault).headers, name)

    plain = Fault(429, "rate_limit_exceeded", "slow")
    assert told(plain, "retry-after") is told(plain, "x-should-retry") is None
    assert told(Fault(429, "x", "slow", retry_after=12.4), "retry-after") == "13"
    assert told(Fault(429, "x", "slow", retry_after=0.2), "retry-after") == "1"
    assert told(Fault(504, "x", "slow", should_retry=False), "x-should-retry") == "false"


def _told_message(answer: WireResponse) -> str:
    error = (load_object(answer.body) or {}).get("error")
    return text_at(error, "message") if isinstance(error, dict) else str(error)


def beats_without_harm(sample: Sample) -> None:
    """A heartbeat between any two frames changes nothing that is read."""
    beat = sample.protocol.encoder(call(sample.protocol)).heartbeat()
    frames = segments(sample.protocol, sample.head, [sample.data])
    beaten = beat + b"".join(frame.raw + beat for frame in frames)
    before = [part for part in parts(sample.protocol, sample.head, [sample.data]) if part != Ping()]
    after = [part for part in parts(sample.protocol, sample.head, [beaten]) if part != Ping()]
    assert after == before
    assert encoded(sample.protocol, segments(sample.protocol, sample.head, [beaten])) == beaten


def closed(sample: Sample) -> Iterator[tuple[Progress, bytes]]:
    """The stream cut behind each of its frames, and closed as a cut or as done, whichever it is."""
    encoder = sample.protocol.encoder(call(sample.protocol))
    for sent, so_far in _prefixes(sample):
        ending = formality(so_far) if so_far.complete else closing(so_far)
        yield so_far, sent + encoder.close(ending, so_far)


def failed(sample: Sample) -> Iterator[tuple[Progress, bytes]]:
    """The stream cut behind each of its frames before its end, and closed by an error."""
    encoder = sample.protocol.encoder(call(sample.protocol))
    for sent, so_far in _prefixes(sample):
        if so_far.complete:
            return
        yield so_far, sent + encoder.close(failing("it was cut"), so_far)


def _prefixes(sample: Sample) -> Iterator[tuple[bytes, Progress]]:
    decoder = sample.protocol.decoder(call(sample.protocol), sample.head)
    so_far, sent = Progress(), b""
    for segment in [*decoder.feed(sample.data), *decoder.eof()]:
        so_far.fold(decoder.read(segment))
        sent += segment.raw
        if so_far.visible and not so_far.error:
            yield sent, so_far


def reads_its_own_closing(sample: Sample) -> None:
    for so_far, data in closed(sample):
        again = progress(parts(sample.protocol, sample.head, [data]))
        assert again.ended
        assert so_far.complete or not (again.open or again.unfinished)


def reads_its_own_error(sample: Sample) -> None:
    for _, data in failed(sample):
        error = progress(parts(sample.protocol, sample.head, [data])).error
        assert isinstance(error, StreamError)
        assert (error.native, error.message) == (True, "it was cut")
