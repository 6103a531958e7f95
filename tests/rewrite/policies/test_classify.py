"""What a rejection blames: by status, by what the body says, and inside a stream."""

import pytest

from addons.config.provider_files import built_in
from protocols.model.http import WireResponse
from protocols.model.parts import StreamError
from protocols.model.wirejson import dump
from rewrite.catalog.provider_tables import provider
from rewrite.policies.classify import by_status, in_band, rejection
from rewrite.values.outcome import ErrorFacts, Kind, Rejected

OPENAI, ANTHROPIC = (provider(name, built_in()[name]).errors for name in ("openai", "anthropic"))
NOTHING = ErrorFacts()


def rejected(code: int, body: bytes, facts: ErrorFacts = NOTHING, **headers: str) -> Rejected:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return rejection(WireResponse(code, pairs, body), facts, 0.0)


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return dump({"error": {"message": message, "type": kind, "param": None, "code": code}})


def anthropic(kind: str, message: str) -> bytes:
    return dump({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r1"})


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ((400, 404, 405, 413, 422, 301, 302, 411, 418), Kind.REQUEST),
        ((401,), Kind.AUTH),
        ((402,), Kind.QUOTA),
        ((403,), Kind.FORBIDDEN),
        ((429,), Kind.RATE),
        ((408, 409, 425, 500, 501, 502, 503, 504, 520, 529), Kind.SERVER),
    ],
)
def test_the_status_alone(codes: tuple[int, ...], kind: Kind) -> None:
    assert {by_status(code) for code in codes} == {kind}
    assert {rejected(code, b"<html>").kind for code in codes} == {kind}


GOOGLE_KEY = {
    "code": 400,
    "message": "Check it.",
    "status": "INVALID_ARGUMENT",
    "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
}


@pytest.mark.parametrize("body", [{"error": GOOGLE_KEY}, [{"error": GOOGLE_KEY}]], ids=["object", "array"])
def test_a_reason_among_the_details_counts_also_where_the_error_is_in_an_array(body: object) -> None:
    found = rejected(400, dump(body), OPENAI)
    assert (found.kind, found.message) == (Kind.AUTH, "Check it.")


@pytest.mark.parametrize(
    ("code", "body", "facts", "kind"),
    [
        (429, openai("You exceeded your current quota", "insufficient_quota"), OPENAI, Kind.QUOTA),
        (429, openai("Rate limit reached", "rate_limit_exceeded"), OPENAI, Kind.RATE),
        (400, openai("Incorrect API key provided: sk-x", "invalid_api_key"), OPENAI, Kind.AUTH),
        (400, openai("too long", "context_length_exceeded"), OPENAI, Kind.REQUEST),
        (400, openai("nope", "invalid_encrypted_content"), OPENAI, Kind.BINDING),
        (404, openai("Previous response with id 'r' not found"), OPENAI, Kind.BINDING),
        (401, openai("no"), OPENAI, Kind.AUTH),
        (400, openai("Invalid value: 'why do I get invalid api key'"), OPENAI, Kind.REQUEST),
        (400, openai('Unknown name "insufficient balance"'), OPENAI, Kind.REQUEST),
        (500, openai("bad", "server_error"), OPENAI, Kind.SERVER),
        (400, anthropic("invalid_request_error", "Your credit balance is too low"), ANTHROPIC, Kind.QUOTA),
        (400, anthropic("invalid_request_error", "prompt is too long"), ANTHROPIC, Kind.REQUEST),
        (
            400,
            anthropic("invalid_request_error", "m.1: Invalid `signature` in `thinking` block"),
            ANTHROPIC,
            Kind.BINDING,
        ),
        (401, anthropic("authentication_error", "invalid x-api-key"), ANTHROPIC, Kind.AUTH),
        (403, anthropic("permission_error", "not yours"), ANTHROPIC, Kind.FORBIDDEN),
        (529, anthropic("overloaded_error", "Overloaded"), ANTHROPIC, Kind.SERVER),
        (500, anthropic("api_error", "invalid `signature`"), ANTHROPIC, Kind.SERVER),
        (402, dump({"error": {"code": 402, "message": "Insufficient credits"}}), OPENAI, Kind.QUOTA),
        (400, dump({"error": "incorrect api key"}), OPENAI, Kind.AUTH),
        (400, dump({"message": "invalid api key"}), OPENAI, Kind.AUTH),
    ],
)
def test_what_the_body_says(code: int, body: bytes, facts: ErrorFacts, kind: Kind) -> None:
    assert rejected(code, body, facts).kind is kind


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"\xff", b'{"error": {}}', b'{"error": [1]}', b'{"error": {"code": 1}}'],
)
def test_odd_bodies_count_by_their_status(body: bytes) -> None:
    assert rejected(400, body, OPENAI).kind is Kind.REQUEST


def test_a_rejection_keeps_the_answer_and_a_short_message() -> None:
    body = openai("x" * 1000)
    found = rejected(429, body, retry_after="7")
    assert (found.status, found.message, found.retry_after) == (429, "x" * 300, 7.0)
    assert found.answer == WireResponse(429, (("retry-after", "7"),), body)


@pytest.mark.parametrize(("code", "wait"), [(429, 60.0), (500, None), (401, None), (402, None)])
def test_a_rate_window_says_something_of_a_rate_limit_alone(code: int, wait: float | None) -> None:
    assert rejected(code, b"", x_ratelimit_reset_tokens="1m0s").retry_after == wait


def test_a_rate_window_is_no_reset_of_a_quota() -> None:
    body = openai("no money", "insufficient_quota")
    assert rejected(429, body, OPENAI, x_ratelimit_reset_tokens="6ms").retry_after is None


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        (StreamError("overloaded_error", "Overloaded"), Kind.SERVER, 500),
        (StreamError("rate_limit_error", "slow"), Kind.RATE, 429),
        (StreamError("authentication_error", "who"), Kind.AUTH, 401),
        (StreamError("permission_error", "no"), Kind.FORBIDDEN, 403),
        (StreamError("invalid_request_error", "Your credit balance is too low"), Kind.QUOTA, 402),
        (StreamError("invalid_request_error", "too long"), Kind.REQUEST, 400),
        (StreamError("", "boom"), Kind.SERVER, 500),
        (StreamError("brand_new_error", "boom"), Kind.SERVER, 500),
        (StreamError("", "slow", status=429), Kind.RATE, 429),
        (StreamError("", "no", status=400), Kind.REQUEST, 400),
        (StreamError("", "no", status=503), Kind.SERVER, 503),
    ],
)
def test_errors_inside_a_stream(error: StreamError, kind: Kind, status: int) -> None:
    answer = WireResponse(200, ())
    found = in_band(error, ANTHROPIC, 0.0, answer)
    assert found == Rejected(status, kind, error.message, None, answer)


# -- an unknown model -----------------------------------------------------------------------------------

GEMINI = provider("gemini", built_in()["gemini"]).errors
AZURE = provider("azure", built_in()["azure"]).errors


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (openai("The model `x` does not exist or you do not have access to it.", "model_not_found"), OPENAI),
        (openai("The model `x` does not exist"), NOTHING),
        (anthropic("not_found_error", "model: claude-x"), ANTHROPIC),
        (dump({"error": {"code": 404, "message": "models/x is not found for API version v1beta"}}), GEMINI),
        (dump({"error": {"code": "DeploymentNotFound", "message": "The API deployment is missing."}}), AZURE),
        (dump({"error": "model 'x' not found, try pulling it first"}), NOTHING),
    ],
)
def test_a_404_that_says_that_the_model_is_unknown(body: bytes, facts: ErrorFacts) -> None:
    assert rejected(404, body, facts).kind is Kind.MODEL


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (404, openai("Invalid URL (POST /v1/chat)"), Kind.REQUEST),
        (404, openai("The file 'the model' was not found"), Kind.REQUEST),
        (404, openai("Previous response with id 'r' not found for the model"), Kind.BINDING),
        (404, b"<html>no model</html>", Kind.REQUEST),
        (400, openai("The model `x` does not exist", "model_not_found"), Kind.REQUEST),
        (403, openai("Project `p` does not have access to model `x`", "model_not_found"), Kind.FORBIDDEN),
    ],
)
def test_what_says_no_such_thing(code: int, body: bytes, kind: Kind) -> None:
    assert rejected(code, body, OPENAI).kind is kind


def test_a_model_that_is_unknown_inside_a_stream_is_a_404() -> None:
    found = in_band(StreamError("invalid_request_error", "no such model", "model_not_found"), OPENAI, 0.0)
    assert (found.status, found.kind) == (404, Kind.MODEL)
