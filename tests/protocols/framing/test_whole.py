"""An answer that is not streamed: one segment, at the end of input."""

import pytest

from protocols.framing.whole import WholeDecoder
from protocols.model.parts import MessageStart, Opaque, StreamEnd, StreamPart
from protocols.model.segment import Segment

READ = MessageStart("read", "")


def decoder() -> WholeDecoder:
    return WholeDecoder(lambda body: (READ,))


def test_the_body_waits_for_the_end() -> None:
    whole = decoder()
    assert [*whole.feed(b'{"a"'), *whole.feed(b":1}")] == []
    assert whole.remainder() == b'{"a":1}'
    assert whole.eof() == (Segment(b'{"a":1}'),)
    assert whole.remainder() == b""
    assert whole.eof() == ()


def test_no_body_is_no_segment() -> None:
    assert decoder().eof() == ()


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b'{"a":1}', READ),
        (b"[]", StreamEnd()),
        (b'{"a":', Opaque(b'{"a":')),
        (b"<html>", Opaque(b"<html>")),
    ],
    ids="object array half html".split(),
)
def test_what_a_body_says(body: bytes, part: StreamPart) -> None:
    assert decoder().read(Segment(body)) == (part,)
