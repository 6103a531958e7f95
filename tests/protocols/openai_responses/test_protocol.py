"""Responses: what is recognised, what a request says before it is answered, how errors are written."""

from dataclasses import replace

import pytest

from protocols.model.call import Call, Destination, Operation, Reasoning
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.parts import ErrorKind, Signature
from protocols.model.wirejson import JsonObject, dump, load_object, object_at
from protocols.openai_responses import PROTOCOL
from protocols.shared.signatures import Returning, wrapped
from tests.protocols.openai_responses.frames import call

KEEP = Returning("own", native=True)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/responses", Operation.GENERATE),
        ("POST", "/responses", Operation.GENERATE),
        ("POST", "/api/v1/responses", Operation.GENERATE),
        ("POST", "/backend-api/codex/responses", Operation.GENERATE),
        ("POST", "/openai/responses", Operation.GENERATE),
        ("POST", "/openai/v1/responses", Operation.GENERATE),
        ("POST", "/v1/responses/input_tokens", Operation.COUNT_TOKENS),
        ("GET", "/v1/models", Operation.MODELS),
        ("GET", "/v1/responses", None),
        ("GET", "/v1/responses/resp_1", None),
        ("DELETE", "/v1/responses/resp_1", None),
        ("POST", "/v1/responses/compact", None),
        ("POST", "/v1/responses/resp_1/cancel", None),
        ("POST", "/v1/chat/completions", None),
        ("POST", "/v1/my_responses", None),
    ],
)
def test_operations_match_by_exact_suffix(method: str, path: str, operation: Operation | None) -> None:
    assert PROTOCOL.match(method, path) is operation


def parsed(body: JsonObject) -> Call:
    request = WireRequest("POST", "http://vendor.test/v1/responses", (), dump(body))
    return PROTOCOL.parse("id", Operation.GENERATE, request)


def test_a_request_keeps_what_it_says() -> None:
    body = {"model": "m", "stream": True, "input": "hi", "odd": {"x": 1}}
    found = parsed(body)
    assert (found.model, found.stream, found.body, found.session) == ("m", True, body, None)
    assert (found.hosted, found.acting, found.reasoning) == (False, False, Reasoning.UNSAID)


def test_a_body_that_is_no_object_is_malformed() -> None:
    request = WireRequest("POST", "http://vendor.test/v1/responses", (), b"[]")
    with pytest.raises(MalformedRequest):
        PROTOCOL.parse("id", Operation.GENERATE, request)


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"prompt_cache_key": "key", "previous_response_id": "resp_1"}, "key"),
        ({"previous_response_id": "resp_1"}, None),
        ({"conversation": "conv_1"}, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, "conv_1"),
        ({"conversation": None, "prompt_cache_key": 7}, None),
    ],
)
def test_what_names_the_conversation(body: JsonObject, session: str | None) -> None:
    assert parsed(body).session == session


@pytest.mark.parametrize(
    ("reasoning", "found"),
    [
        ({"effort": "low"}, Reasoning.ON),
        ({"summary": "auto"}, Reasoning.ON),
        ({"effort": "none", "summary": "auto"}, Reasoning.OFF),
        ({"effort": None}, Reasoning.UNSAID),
        (None, Reasoning.UNSAID),
        ("odd", Reasoning.UNSAID),
    ],
)
def test_whether_it_asks_for_reasoning(reasoning: object, found: Reasoning) -> None:
    assert parsed({"reasoning": reasoning}).reasoning is found


@pytest.mark.parametrize(
    ("tool", "hosted", "acting"),
    [
        ({"type": "function"}, False, False),
        ({"type": "custom"}, False, False),
        ({"type": "local_shell"}, False, False),
        ({"type": "apply_patch"}, False, False),
        ({"type": "computer_use_preview"}, False, False),
        ({"type": "shell"}, False, False),
        ({"type": "shell", "environment": {"type": "local"}}, False, False),
        ({"type": "shell", "environment": {"type": "container_auto"}}, True, True),
        ({"type": "tool_search", "execution": "client"}, False, False),
        ({"type": "tool_search"}, True, False),
        ({"type": "web_search"}, True, False),
        ({"type": "file_search"}, True, False),
        ({"type": "image_generation"}, True, False),
        ({"type": "mcp"}, True, True),
        ({"type": "code_interpreter"}, True, True),
        ({"type": "brand_new"}, True, False),
        ({}, False, False),
    ],
)
def test_tools_that_the_provider_runs(tool: JsonObject, hosted: bool, acting: bool) -> None:
    ways: list[JsonObject] = [
        {"tools": [tool]},
        {"tools": [{"type": "namespace", "name": "n", "tools": [tool]}]},
        {"input": [{"type": "additional_tools", "tools": [{"type": "function"}, tool]}]},
    ]
    for body in ways:
        assert (parsed(body).hosted, parsed(body).acting) == (hosted, acting)


@pytest.mark.parametrize("odd", [{"tools": "x"}, {"tools": [7]}, {"input": 3}, {"input": [None]}])
def test_tools_that_make_no_sense_are_none(odd: JsonObject) -> None:
    assert not parsed(odd).hosted


def test_a_response_in_the_background_is_told_apart() -> None:
    assert parsed({"background": True}).background
    assert not parsed({"background": False}).background
    assert not parsed({}).background


# -- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        (ErrorKind.INVALID_REQUEST, 400, "invalid_request_error", "invalid_request"),
        (ErrorKind.AUTHENTICATION, 401, "invalid_request_error", "invalid_api_key"),
        (ErrorKind.PERMISSION, 403, "invalid_request_error", "permission_denied"),
        (ErrorKind.NOT_FOUND, 404, "invalid_request_error", "not_found"),
        (ErrorKind.TOO_LARGE, 413, "invalid_request_error", "request_too_large"),
        (ErrorKind.QUOTA, 429, "insufficient_quota", "insufficient_quota"),
        (ErrorKind.RATE_LIMIT, 429, "rate_limit_error", "rate_limit_exceeded"),
        (ErrorKind.TIMEOUT, 504, "server_error", "timeout"),
        (ErrorKind.OVERLOADED, 503, "server_error", "server_is_overloaded"),
        (ErrorKind.SERVER, 500, "server_error", "server_error"),
        ("upstream_cut", 502, "server_error", "upstream_cut"),
        ("odd", 422, "invalid_request_error", "odd"),
    ],
)
def test_errors_have_their_type_by_kind_and_then_by_status(
    kind: str, status: int, type_: str, code: str
) -> None:
    answer = PROTOCOL.error(Fault(status, kind, "no"))
    assert answer.status == status
    error = object_at(load_object(answer.body) or {}, "error")
    assert error == {"message": "no", "type": type_, "param": None, "code": code}


# -- another target of the same protocol ------------------------------------------------------------------

TARGET = Destination("vendor", "other")


def test_only_the_model_changes_for_another_target() -> None:
    body = {"input": "hi", "model": "m", "store": True, "odd": 1}
    found = PROTOCOL.editor.retarget(call(body), TARGET)
    assert found.body == {**body, "model": "other"}
    assert (found.path, found.headers) == ("/v1/responses", ())


@pytest.mark.parametrize(
    ("operation", "path", "found"),
    [
        (Operation.GENERATE, "", "/v1/responses"),
        (Operation.COUNT_TOKENS, "", "/v1/responses/input_tokens"),
        (Operation.MODELS, "", "/v1/models"),
        (Operation.GENERATE, "/openai/responses?api-version=1", "/openai/responses?api-version=1"),
        (Operation.COUNT_TOKENS, "/x/responses?v=1", "/x/responses/input_tokens?v=1"),
        (Operation.MODELS, "/x/responses", "/x/models"),
        (Operation.GENERATE, "/d/{model}/responses", "/d/o%2Fm/responses"),
    ],
)
def test_where_a_call_goes(operation: Operation, path: str, found: str) -> None:
    asked = Call("id", PROTOCOL.name, operation, "m", False, (), {"model": "m"})
    target = Destination("vendor", "o/m", path)
    assert PROTOCOL.editor.retarget(asked, target).path == found


def test_a_call_stays_where_it_was_unless_the_target_says_where() -> None:
    asked = replace(call({"model": "m"}), target="/openai/v1/responses?api-version=1")
    assert PROTOCOL.editor.retarget(asked, TARGET).path == "/openai/v1/responses?api-version=1"
    elsewhere = Destination("vendor", "other", "/v1/responses")
    assert PROTOCOL.editor.retarget(asked, elsewhere).path == "/v1/responses"


def test_a_list_of_models_has_no_body() -> None:
    asked = Call("id", PROTOCOL.name, Operation.MODELS, None, False, ())
    assert PROTOCOL.editor.retarget(asked, TARGET).body == {}


def test_what_another_provider_sealed_is_left_out() -> None:
    envelope = wrapped(Signature("signature", "sig"), "anthropic").value
    foreign = {"type": "reasoning", "summary": [], "encrypted_content": envelope}
    own = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    said = {"role": "user", "content": "hi"}
    assert PROTOCOL.editor.own_signatures({"input": [said, foreign, own]}, KEEP) == {"input": [said, own]}
    for untouched in ({"input": [said, own]}, {"input": "hi"}, {}):
        assert PROTOCOL.editor.own_signatures(untouched, KEEP) is untouched
