"""An answer whose plain events pass several at a time is the one whose events pass one by one: all commands,
each at its moment."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Decoder, Skimmer, WireProtocol
from protocols.model.call import Call
from protocols.model.http import Head
from protocols.model.parts import StreamPart
from protocols.model.segment import Segment
from rewrite.exchange.exchange import UnexpectedEvent
from rewrite.values.events import (
    Acquired,
    ClientGone,
    Command,
    Event,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timer import Timer
from tests.contract import Sample, streams
from tests.examples import share
from tests.playbook import handled
from tests.protocols.test_properties import CUTS, PLACES, pieces
from tests.protocols.test_skimming import BY_ID, ODD, is_equal
from tests.rewrite.replay import ONCE
from tests.rewrite.scenes import exchange_of, timed

TERMS = timed(ONCE, first_event=30.0, first_token=60.0, stall=60.0, heartbeat=15.0, throughput_window=1.0)


class OneByOne:
    """A decoder that does not skim."""

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner

    def feed(self, data: bytes) -> Sequence[Segment]:
        return self._inner.feed(data)

    def eof(self) -> Sequence[Segment]:
        return self._inner.eof()

    def read(self, segment: Segment) -> Sequence[StreamPart]:
        return self._inner.read(segment)

    def remainder(self) -> bytes:
        return self._inner.remainder()


def unskimmed(protocol: WireProtocol) -> WireProtocol:
    class Unskimmed(type(protocol)):  # type: ignore[misc]
        def decoder(self, call: Call, head: Head) -> Decoder:
            return OneByOne(super().decoder(call, head))

    found: WireProtocol = Unskimmed()
    return found


type Done = Sequence[Command] | str
"""What was done about an event, or that it was not expected: a timer may be one that was not set."""


def commands(protocol: WireProtocol, sample: Sample, events: Iterable[Event]) -> list[Done]:
    """What is done about each event; one comes every half second."""
    exchange = exchange_of(sample.call, protocol, TERMS)
    begun = (Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, sample.head))
    found: list[Done] = []
    for at, event in enumerate((*begun, *events)):
        try:
            found.append(handled(exchange, event, at / 2))
        except UnexpectedEvent as unexpected:
            found.append(str(unexpected))
    return found


def passes_alike(sample: Sample, data: Sequence[bytes], ends: Sequence[Event]) -> None:
    events = [*(UpstreamData(1, piece) for piece in data), *ends]
    expected = commands(unskimmed(sample.protocol), sample, events)
    assert is_equal(commands(sample.protocol, sample, events), expected)


ENDS: Sequence[Sequence[Event]] = (
    (UpstreamClosed(1),),
    (UpstreamClosed(1, "reset"),),
    (TimerFired(1, Timer.LINGER),),
    (TimerFired(1, Timer.STALL),),
    (ClientGone(),),
)


@pytest.mark.parametrize("name", sorted(BY_ID))
def test_a_stream_passes_alike(name: str) -> None:
    sample = BY_ID[name]
    data = sample.data.replace(b"\r\n", b"\n")
    passes_alike(sample, [data], ENDS[0])
    passes_alike(sample, pieces(data, [0.1, 0.3, 0.31, 0.7]), ENDS[1])
    passes_alike(sample, [event + b"\n\n" for event in data.split(b"\n\n")], ENDS[0])


@share(300)
@given(
    st.sampled_from(sorted(BY_ID)),
    st.lists(st.tuples(PLACES, st.sampled_from(ODD)), max_size=2),
    CUTS,
    st.sampled_from(ENDS),
)
def test_a_damaged_stream_passes_alike(
    name: str, damages: Sequence[tuple[float, bytes]], cuts: list[float], ends: Sequence[Event]
) -> None:
    sample = BY_ID[name]
    data = sample.data.replace(b"\r\n", b"\n")[:20000]
    for place, odd in damages:
        at = round(place * len(data))
        data = data[:at] + odd + data[at:]
    passes_alike(sample, pieces(data, cuts), ends)


@pytest.mark.parametrize("sample", [each for each in streams() if each.name == "text.sse"], ids=str)
def test_plain_events_pass_as_one(sample: Sample) -> None:
    """So that the others prove anything."""
    fed: list[int] = []

    class Counting(type(sample.protocol)):  # type: ignore[misc]
        def decoder(self, call: Call, head: Head) -> Decoder:
            found = super().decoder(call, head)
            assert isinstance(found, Skimmer)
            skim = found.skim

            def counted(data: bytes) -> Sequence[Segment]:
                segments = skim(data)
                fed.extend(segment.raw.count(b"\n\n") for segment in segments if segment.run)
                return segments

            found.skim = counted  # type: ignore[method-assign]
            return found

    commands(Counting(), sample, (UpstreamData(1, sample.data.replace(b"\r\n", b"\n")),))
    assert max(fed) > 1
