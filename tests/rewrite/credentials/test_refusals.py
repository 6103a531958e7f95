"""What is kept of a refusal, and what a later call gets of it."""

import json
from dataclasses import replace

import pytest

from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from protocols.model.wirejson import dump, load_object
from rewrite.credentials.refusals import LONGEST_ANSWER, answer_of, key_refusal
from rewrite.values.key_refusal import KeyRefusal, StandingRefusal
from rewrite.values.outcome import Kind, Rejected

JSON = ("Content-Type", "application/json")
BODY = {"error": {"message": "Incorrect API key", "type": "invalid_request_error", "code": "invalid_api_key"}}
ANSWER = WireResponse(401, (JSON,), dump(BODY), "Unauthorized")
SAID = Rejected(401, Kind.AUTH, "Incorrect API key", None, ANSWER)


def kept(outcome: Rejected = SAID, until: float = 300.0) -> KeyRefusal:
    return key_refusal(outcome, "openai/OPENAI_API_KEY_1", "openai_chat", 0.0, until)


def answered(said: KeyRefusal, protocol: str = "openai_chat", now: float = 100.0) -> WireResponse:
    answer = answer_of(StandingRefusal(said, said.until - now), protocol)
    assert isinstance(answer, WireResponse)
    return answer


def test_a_later_call_gets_status_words_and_code_of_the_provider_and_the_name_of_the_key() -> None:
    answer = answered(kept())
    error = json.loads(answer.body)["error"]
    assert (answer.status, answer.reason, error["code"]) == (401, "Unauthorized", "invalid_api_key")
    assert error["message"].startswith("Incorrect API key (openai/OPENAI_API_KEY_1 was refused (401 invalid")
    assert "tried again in 200 s; check the key" in error["message"]
    assert answer.headers == (JSON, ("x-should-retry", "false"))


def test_headers_of_the_former_answer_that_are_about_it_alone_are_left_out() -> None:
    headers = (JSON, ("Date", "now"), ("retry-after", "7"), ("set-cookie", "a=1"), ("X-Request-Id", "req_1"))
    said = kept(replace(SAID, answer=replace(ANSWER, headers=headers)))
    assert answered(said).headers == (JSON, ("X-Request-Id", "req_1"), ("x-should-retry", "false"))


def test_a_client_may_ask_again_by_itself_where_the_key_is_tried_soon() -> None:
    assert answered(kept(), now=290.0).headers == (JSON, ("retry-after", "10"))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"error": {"message": "no", "status": "X"}}, "error.message"),
        ({"error": "no"}, "error"),
        ({"message": "no"}, "message"),
        ({"detail": "no"}, "detail"),
    ],
)
def test_the_note_stands_after_the_message_wherever_that_is(body: object, place: str) -> None:
    found = load_object(answered(kept(replace(SAID, answer=WireResponse(401, (), dump(body))))).body)
    for name in place.split("."):
        assert isinstance(found, dict)
        found = found[name]
    assert str(found).startswith("no (openai/OPENAI_API_KEY_1 was refused (401")


@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b'{"error": {}}', b'{"error": {"message": 5}}'])
def test_a_body_without_a_message_stays_as_it_was(body: bytes) -> None:
    assert answered(kept(replace(SAID, answer=WireResponse(401, (), body)))).body == body


LONG = replace(SAID, answer=WireResponse(401, (), b"x" * (LONGEST_ANSWER + 1)))


@pytest.mark.parametrize(
    ("said", "protocol"),
    [
        (kept(), "anthropic_messages"),
        (kept(LONG), "openai_chat"),
        (kept(replace(SAID, answer=None)), "openai_chat"),
        (kept(replace(SAID, answer=replace(ANSWER, status=200))), "openai_chat"),
        (kept(replace(SAID, answer=replace(ANSWER, body=dump([BODY])))), "openai_chat"),
    ],
    ids=["other protocol", "too long", "none", "in a stream", "of a stream"],
)
def test_what_cannot_be_given_as_it_was_is_worded_by_the_protocol(said: KeyRefusal, protocol: str) -> None:
    answer = answer_of(StandingRefusal(said, 200.0), protocol)
    assert isinstance(answer, Fault)
    assert (answer.status, answer.kind, answer.should_retry) == (401, "authentication", False)
    assert answer.message.startswith("Incorrect API key (openai/OPENAI_API_KEY_1 was refused (401")
