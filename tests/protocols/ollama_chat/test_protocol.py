"""Ollama's chat within itself: which calls are ours, what is known of them, how a cut stream is closed."""

import json
from dataclasses import replace

import pytest

from protocols.model.call import Call, Destination, Operation, Reasoning
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import WireRequest
from protocols.model.parts import Finish, FinishReason, MessageStart, StreamEnd, StreamError, Usage
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from protocols.ollama_chat import PROTOCOL
from protocols.shared.signatures import Returning
from rewrite.translation.repair import closing, failing
from tests.contract import NDJSON, parts, progress, samples


def request(path: str = "/api/chat", /, **body: object) -> WireRequest:
    return WireRequest("POST", path, (("authorization", "Bearer k"),), dump(body))


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/api/chat", Operation.GENERATE),
        ("POST", "/ollama/api/chat", Operation.GENERATE),
        ("POST", "/api/embed", Operation.EMBEDDINGS),
        ("POST", "/api/embeddings", Operation.EMBEDDINGS),
        ("GET", "/api/tags", Operation.MODELS),
        ("GET", "/api/chat", None),
        ("POST", "/api/tags", None),
        ("POST", "/api/generate", None),
        ("POST", "/api/pull", None),
        ("POST", "/api/show", None),
        ("POST", "/api/chat/completions", None),
        ("POST", "/api/chats", None),
        ("GET", "/api/version", None),
    ],
)
def test_operations_are_known_by_method_and_path(method: str, path: str, operation: Operation | None) -> None:
    assert PROTOCOL.match(method, path) is operation


@pytest.mark.parametrize(
    ("body", "stream"),
    [({}, True), ({"stream": True}, True), ({"stream": None}, True), ({"stream": False}, False)],
)
def test_an_answer_is_streamed_unless_the_call_says_no(body: dict[str, bool | None], stream: bool) -> None:
    call = PROTOCOL.parse("id", Operation.GENERATE, request(model="m", **body))
    assert (call.model, call.stream, call.protocol) == ("m", stream, "ollama_chat")
    assert PROTOCOL.translator.read_request(call).stream is stream


def test_embeddings_and_models_are_never_streamed() -> None:
    assert not PROTOCOL.parse("id", Operation.EMBEDDINGS, request("/api/embed", model="m", input="x")).stream
    listed = PROTOCOL.parse("id", Operation.MODELS, WireRequest("GET", "/api/tags", ()))
    assert (listed.model, listed.stream) == (None, False)


@pytest.mark.parametrize(
    ("think", "reasoning"),
    [(True, Reasoning.ON), ("low", Reasoning.ON), (False, Reasoning.OFF), (None, Reasoning.UNSAID)],
)
def test_whether_it_thinks_is_said_by_the_call(think: object, reasoning: Reasoning) -> None:
    assert PROTOCOL.parse("id", Operation.GENERATE, request(model="m", think=think)).reasoning is reasoning


def test_a_body_that_is_no_object_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        PROTOCOL.parse("id", Operation.GENERATE, replace(request(), body=b"[]"))


def test_an_error_is_a_text() -> None:
    answer = PROTOCOL.error(Fault(429, "rate_limit_exceeded", "every key rests", 3.0))
    assert json.loads(answer.body) == {"error": "every key rests"}
    assert answer.status == 429


# -- closing --------------------------------------------------------------------------------------------


def test_a_cut_stream_ends_with_length_in_its_own_name() -> None:
    so_far = cut("text.ndjson")
    assert json.loads(PROTOCOL.encoder(call()).close(closing(so_far), so_far)) == {
        "model": "sample:8b",
        "created_at": "2025-03-20T18:32:37.255986Z",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "length",
    }


def test_a_cut_stream_may_end_as_an_error() -> None:
    so_far = cut("text.ndjson")
    assert PROTOCOL.encoder(call()).close(failing("it broke"), so_far) == b'{"error":"it broke"}\n'


def test_counts_that_are_known_are_sent_in_the_closing() -> None:
    so_far = Progress(head=MessageStart("", "m"), usage=Usage(input=3, output=4))
    ending = (Finish(0, FinishReason.LENGTH, ""), StreamEnd())
    line = json.loads(PROTOCOL.encoder(call()).close(ending, so_far))
    assert (line["prompt_eval_count"], line["eval_count"]) == (3, 4)


def test_nothing_is_added_to_what_has_ended() -> None:
    assert PROTOCOL.encoder(call()).close((), Progress()) == b""


def call() -> Call:
    return PROTOCOL.parse("id", Operation.GENERATE, request(model="m"))


def cut(name: str) -> Progress:
    """A golden stream up to its last line."""
    (sample,) = (each for each in samples(name) if each.protocol is PROTOCOL)
    return progress(parts(PROTOCOL, NDJSON, [sample.data[: sample.data[:-1].rindex(b"\n")]]))


# -- another model, another place -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "asked", "path", "rendered"),
    [
        (Operation.GENERATE, "/api/chat", "", "/api/chat"),
        (Operation.GENERATE, "/api/chat", "/v2/{model}/api/chat?a=b", "/v2/big%3A70b/api/chat?a=b"),
        (Operation.EMBEDDINGS, "/api/embed", "", "/api/embed"),
        (Operation.EMBEDDINGS, "/api/embeddings", "/ollama/api/chat", "/ollama/api/embeddings"),
    ],
)
def test_only_the_model_changes(operation: Operation, asked: str, path: str, rendered: str) -> None:
    body = {"model": "m", "keep_alive": 5, "messages": [{"role": "user", "content": "hi"}], "new": {"x": 1}}
    call = PROTOCOL.parse("id", operation, request(asked, **body))
    found = PROTOCOL.editor.retarget(call, Destination("other", "big:70b", path))
    assert (found.path, found.body, found.headers) == (rendered, {**body, "model": "big:70b"}, ())


def test_a_list_of_models_is_asked_for_without_a_body() -> None:
    call = PROTOCOL.parse("id", Operation.MODELS, WireRequest("GET", "/api/tags", ()))
    found = PROTOCOL.editor.retarget(call, Destination("other", "big", "/ollama/api/chat"))
    assert (found.path, found.body) == ("/ollama/api/tags", {})


def test_there_is_nothing_to_unseal() -> None:
    body = {"messages": [{"role": "assistant", "thinking": "hm", "content": "a"}]}
    assert PROTOCOL.editor.own_signatures(body, Returning("own", native=True)) is body


def test_a_native_error_is_a_text_and_any_other_is_not() -> None:
    def error_of(line: bytes) -> StreamError | None:
        return progress(parts(PROTOCOL, NDJSON, [line])).error

    assert error_of(b'{"error":"no"}\n') == StreamError("", "no", native=True)
    assert error_of(b'{"error":{"message":"no","type":"busy"}}\n') == StreamError("busy", "no", native=False)
