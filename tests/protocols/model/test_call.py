"""What reading a request has in common among protocols."""

import re

import pytest

from protocols.model.call import Operation, json_call, matched
from protocols.model.errors import MalformedRequest
from protocols.model.http import WireRequest

PATHS = (
    ("POST", re.compile(r"/ask$"), Operation.GENERATE),
    ("GET", re.compile(r"/ask$"), Operation.MODELS),
)


def request(body: bytes) -> WireRequest:
    return WireRequest("POST", "/ask", (("A", "1"),), body)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1/ask", Operation.GENERATE),
        ("GET", "/v1/ask", Operation.MODELS),
        ("PUT", "/v1/ask", None),
        ("POST", "/v1/ask/more", None),
    ],
)
def test_method_and_path_make_an_operation(method: str, path: str, operation: Operation | None) -> None:
    assert matched(PATHS, method, path) is operation


def test_a_body_says_model_and_stream() -> None:
    call = json_call("p", "1", Operation.GENERATE, request(b'{"model": "m", "stream": true, "x": 1}'))
    assert (call.id, call.protocol, call.model, call.stream) == ("1", "p", "m", True)
    assert call.body == {"model": "m", "stream": True, "x": 1}
    assert call.headers == (("A", "1"),)
    assert call.text_bytes == 38


def test_only_a_generation_is_streamed() -> None:
    assert not json_call("p", "1", Operation.COUNT_TOKENS, request(b'{"stream": true}')).stream


def test_a_list_of_models_has_no_body() -> None:
    assert json_call("p", "1", Operation.MODELS, request(b"")).body == {}


def test_any_other_body_is_malformed() -> None:
    with pytest.raises(MalformedRequest, match="JSON object"):
        json_call("p", "1", Operation.GENERATE, request(b"[]"))
