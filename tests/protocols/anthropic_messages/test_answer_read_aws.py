"""Events of Messages in AWS's framing become server-sent events."""

import json
from base64 import b64encode
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.anthropic_messages.answer_read_aws import write_message
from protocols.base import Skimmer
from protocols.framing.aws_event_stream import Message, MessageFramer
from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedStream
from protocols.model.http import Head
from protocols.registry import discover
from tests.vendor import messages_stream
from tests.vendor.bedrock import KIND, chunk, exception, message

CALL = Call("1", "anthropic_messages", Operation.GENERATE, "m", True, ())
EVENTS = messages_stream(["Hel", "lo"])
STREAM = b"".join(map(chunk, EVENTS))
STREAM_ENDS = [0, *accumulate(len(chunk(event)) for event in EVENTS)]
CHUNK = {":message-type": "event", ":event-type": "chunk"}


def read(data: bytes) -> bytes:
    (found,), _ = MessageFramer().feed(data)
    return write_message(found)


def test_a_stream_becomes_the_events_that_it_holds() -> None:
    decoder = discover()["anthropic_messages"].decoder(CALL, Head(200, (("content-type", KIND),)))
    data = b"".join(map(chunk, EVENTS))
    segments = [each for at in range(0, len(data), 11) for each in decoder.feed(data[at : at + 11])]
    assert [each.raw for each in [*segments, *decoder.eof()]] == EVENTS
    assert segments[-1].last


@given(st.integers(0, len(STREAM)), st.integers(1, 500))
def test_what_came_of_a_stream_that_is_cut_is_its_beginning(end: int, size: int) -> None:
    decoder = discover()["anthropic_messages"].decoder(CALL, Head(200, (("content-type", KIND),)))
    assert isinstance(decoder, Skimmer)
    pieces = [STREAM[at : min(at + size, end)] for at in range(0, end, size)]
    segments = [each for piece in pieces for each in decoder.skim(piece)]
    came = b"".join(each.raw for each in [*segments, *decoder.eof()])
    assert b"".join(EVENTS).startswith(came)
    whole = came.count(b"\n\n")
    assert decoder.remainder() == (b"" if STREAM_ENDS[whole] == end else b"data: ")


def test_an_event_over_several_lines_becomes_one_line() -> None:
    event = json.dumps({"type": "ping", "a": 1}, indent=1).encode()
    payload = json.dumps({"bytes": b64encode(event).decode()}).encode()
    assert read(message(CHUNK, payload)) == b'event: ping\ndata: {"type":"ping","a":1}\n\n'


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit_error"),
        ("validationException", "invalid_request_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("modelStreamErrorException", "api_error"),
        ("somethingNewException", "api_error"),
    ],
)
def test_an_exception_becomes_an_error(name: str, kind: str) -> None:
    event = read(exception(name, "why"))
    assert event.startswith(b"event: error\n")
    error = json.loads(event.splitlines()[1][6:])
    assert error == {"type": "error", "error": {"type": kind, "message": "why"}}


def test_an_error_without_a_model_is_one_too() -> None:
    event = read(message({":message-type": "error", ":error-message": "why"}, b""))
    assert b'"message":"why"' in event


def test_an_event_that_is_no_chunk_says_nothing() -> None:
    assert read(message({":message-type": "event", ":event-type": "initial-response"}, b"{}")) == b""


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"bytes": "%%%"}', b'{"bytes": "AAAA"}', b'{"bytes": 1}'])
def test_a_chunk_without_an_event_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedStream, match="a chunk holds no event"):
        read(message(CHUNK, payload))


@given(st.dictionaries(st.sampled_from([*CHUNK, ":exception-type", ":error-code"]), st.text()), st.binary())
def test_no_message_breaks_it(headers: dict[str, str], payload: bytes) -> None:
    try:
        write_message(Message(headers, payload))
    except MalformedStream:
        return
