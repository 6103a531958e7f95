"""What an error of one protocol is called in all of them."""

import pytest

from protocols.base import WireProtocol
from protocols.model.http import WireResponse
from protocols.model.parts import ErrorKind, StreamError
from rewrite.translation.error_kinds import error_of, for_client, kind_of, message_of
from tests.rewrite.scenes import ANTHROPIC, CHAT, call, error_body


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (StreamError("overloaded_error", ""), None, ErrorKind.OVERLOADED),
        (StreamError("invalid_request_error", "", "context_length_exceeded"), 400, ErrorKind.INVALID_REQUEST),
        (StreamError("error", "", "insufficient_quota"), 429, ErrorKind.QUOTA),
        (StreamError("invalid_request_error", "", "invalid_api_key"), 401, ErrorKind.AUTHENTICATION),
        (StreamError("RESOURCE_EXHAUSTED", "", "429"), 429, ErrorKind.RATE_LIMIT),
        (StreamError("billing_error", ""), 400, ErrorKind.QUOTA),
        (StreamError("rate_limit_exceeded", ""), None, ErrorKind.RATE_LIMIT),
        (StreamError("", ""), 402, ErrorKind.QUOTA),
        (StreamError("", ""), 404, ErrorKind.NOT_FOUND),
        (StreamError("", ""), 413, ErrorKind.TOO_LARGE),
        (StreamError("", ""), 418, ErrorKind.INVALID_REQUEST),
        (StreamError("", ""), 500, ErrorKind.SERVER),
        (StreamError("", ""), 529, ErrorKind.OVERLOADED),
        (StreamError("odd", "", "odder"), 504, ErrorKind.TIMEOUT),
        (StreamError("", ""), None, ErrorKind.SERVER),
        (StreamError("", ""), 200, ErrorKind.SERVER),
        (StreamError("upstream_cut", ""), None, "upstream_cut"),
    ],
    ids=str,
)
def test_a_kind_by_its_words_and_else_by_the_status(
    error: StreamError, status: int | None, kind: str
) -> None:
    assert kind_of(error, status) == kind


@pytest.mark.parametrize(
    ("protocol", "body", "said"),
    [
        (CHAT, error_body("slow down", "rate_limit_exceeded"), "slow down"),
        (ANTHROPIC, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', "busy"),
        (CHAT, b"<html>Bad gateway</html>", "the provider answered with status 502"),
        (CHAT, b"", "the provider answered with status 502"),
        (CHAT, b'{"error": {}}', "the provider answered with status 502"),
        (ANTHROPIC, b"[]", "the provider answered with status 502"),
    ],
)
def test_an_answer_is_read_in_its_own_protocol(protocol: WireProtocol, body: bytes, said: str) -> None:
    assert error_of(protocol, call(protocol), WireResponse(502, (), body)).message == said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StreamError("t", "m", "c", 500), "m"),
        (
            StreamError("overloaded_error", ""),
            "the provider reported an error without a message: overloaded_error",
        ),
        (StreamError("", "", "c"), "the provider reported an error without a message: c"),
        (StreamError("", "", None, 503), "the provider reported an error without a message: 503"),
        (StreamError("", ""), "the provider reported an error without a message"),
    ],
)
def test_an_error_always_has_a_message(error: StreamError, words: str) -> None:
    assert message_of(error) == words


def test_an_error_for_clients_of_any_protocol() -> None:
    found = for_client(StreamError("overloaded_error", "busy", code="x", status=529))
    assert found == StreamError("overloaded", "busy", status=529, native=True)
