"""A request whose fields are read one by one says what the same request says that is read at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.call import Call, Operation
from protocols.model.errors import MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.wirejson import json_call, load_object
from protocols.registry import discover

REGISTRY = discover()
TARGETS = (
    "/v1/chat/completions",
    "/v1beta/models/g:streamGenerateContent?alt=sse",
    "/v1internal:generateContent",
)
_NAMES = st.sampled_from(
    """
    model stream tools type think thinking reasoning reasoning_effort effort enabled budget_tokens
    prompt_cache_key conversation previous_response_id id background web_search_options mcp_servers
    output_config generationConfig generation_config thinkingConfig thinkingBudget includeThoughts sessionId
    cachedContent request input messages
    """.split()
)
_ODD = (
    st.none() | st.booleans() | st.sampled_from([0, 1, -1, 2.0, "", "high", "none", "disabled", "web_search"])
)
_ODD |= st.sampled_from(["mcp", "code_interpreter", "function", "gpt", "minimal", float("nan")])
_VALUES = st.recursive(
    _ODD, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=6
)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=6)


def _body(fields: list[tuple[str, object]], end: str) -> bytes:
    """With names that stand there twice, and not always an object."""
    pairs = ",".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in fields)
    return f"{{{pairs}{end}".encode()


@contextmanager
def _read_at_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_call, "__defaults__", (load_object,))
        yield


def _parsed(name: str, target: str, operation: Operation, body: bytes) -> tuple[str, ...] | None:
    try:
        call = REGISTRY[name].parse("c", operation, WireRequest("POST", target, (), body))
    except MalformedRequest:
        return None
    said = {field: getattr(call, field) for field in Call.__slots__}
    return tuple(repr(dict(value) if field == "body" else value) for field, value in said.items())


@pytest.mark.parametrize("name", [protocol.name for protocol in REGISTRY])
@given(
    fields=_FIELDS,
    end=st.sampled_from(["}", "}", "}", "} ", "", ",}", "}}"]),
    target=st.sampled_from(TARGETS),
    operation=st.sampled_from([Operation.GENERATE, Operation.COUNT_TOKENS]),
)
def test_a_call_is_the_same(
    name: str, fields: list[tuple[str, object]], end: str, target: str, operation: Operation
) -> None:
    body = _body(fields, end)
    lazily = _parsed(name, target, operation, body)
    with _read_at_once():
        assert lazily == _parsed(name, target, operation, body)
