"""What is recognised, what a request says to decisions, and the same request for another model."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from protocols.gemini_generate import PROTOCOL
from protocols.gemini_generate.request_write import UNSIGNED
from protocols.model.call import Call, Destination, Operation, Reasoning
from protocols.model.errors import MalformedRequest, Untranslatable
from protocols.model.http import WireRequest
from protocols.model.parts import Signature
from protocols.shared.signatures import Returning, wrapped
from tests.protocols.gemini_generate.frames import EVENTS, INTERNAL, STREAM, WHOLE, call, calls, text

KEEP = Returning("own", native=True)
VERTEX = "/v1/projects/p/locations/l/publishers"
GENERATE, COUNT, EMBED = Operation.GENERATE, Operation.COUNT_TOKENS, Operation.EMBEDDINGS


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/v1beta/models/gemini-2.5-flash:generateContent", GENERATE),
        ("POST", "/v1/models/m:streamGenerateContent", GENERATE),
        ("POST", "/v1alpha/models/m:generateContent", GENERATE),
        ("POST", "/v1beta/tunedModels/mine-1:generateContent", GENERATE),
        ("POST", VERTEX + "/google/models/m:streamGenerateContent", GENERATE),
        ("POST", "/v1beta1/publishers/google/models/m:generateContent", GENERATE),
        ("POST", "/v1/projects/p/locations/l/endpoints/7:generateContent", GENERATE),
        ("POST", "/v1internal:generateContent", GENERATE),
        ("POST", "/v1internal:streamGenerateContent", GENERATE),
        ("POST", "/gateway/google/v1beta/models/m:generateContent", GENERATE),
        ("POST", "/models/m:generateContent", GENERATE),
        ("POST", "/v1beta/models/m:countTokens", COUNT),
        ("POST", "/v1internal:countTokens", COUNT),
        ("POST", "/v1beta/models/m:embedContent", EMBED),
        ("POST", "/v1beta/models/m:batchEmbedContents", EMBED),
        ("GET", "/v1beta/models", Operation.MODELS),
        ("GET", "/v1beta1/publishers/google/models", Operation.MODELS),
        ("GET", "/v1beta/models/m", None),
        ("GET", "/v1beta/models/m:generateContent", None),
        ("POST", VERTEX + "/anthropic/models/m:streamRawPredict", None),
        ("POST", VERTEX + "/anthropic/models/m:generateContent", None),
        ("POST", VERTEX + "/google/models/m:predict", None),
        ("POST", "/v1beta/models/m:batchGenerateContent", None),
        ("POST", "/v1beta/models/m:generateContent/x", None),
        ("POST", "/v1beta/cachedContents", None),
        ("POST", "/v1internal:loadCodeAssist", None),
        ("GET", "/v1beta/tunedModels", None),
    ],
)
def test_operations_match_by_path(method: str, path: str, operation: Operation | None) -> None:
    assert PROTOCOL.match(method, path) is operation


@pytest.mark.parametrize(
    ("target", "model", "stream"),
    [
        (EVENTS, "m", True),
        (STREAM, "m", True),
        (WHOLE, "m", False),
        ("/v1beta/tunedModels/mine-1:generateContent", "mine-1", False),
        (VERTEX + "/google/models/gemini%402:streamGenerateContent?alt=sse", "gemini@2", True),
        (INTERNAL + "?alt=sse", "inside", True),
    ],
)
def test_the_path_names_the_model_and_says_whether_it_streams(target: str, model: str, stream: bool) -> None:
    found = call({"model": "inside", "stream": not stream}, target)
    assert (found.model, found.stream, found.target) == (model, stream, target)


@pytest.mark.parametrize("before", ["//vendor.test", "//[", "//user@vendor.test:x"])
def test_a_target_is_never_read_as_a_url(before: str) -> None:
    assert call(target=before + EVENTS).target == before + EVENTS


def test_counting_is_never_streamed_and_a_list_has_no_body() -> None:
    counting = WireRequest("POST", "/v1beta/models/m:countTokens", (), b"{}")
    found = PROTOCOL.parse("id", COUNT, counting)
    assert (found.model, found.stream) == ("m", False)
    listing = PROTOCOL.parse("id", Operation.MODELS, WireRequest("GET", "/v1beta/models?pageSize=5", ()))
    assert (listing.model, listing.stream, listing.target) == (None, False, "/v1beta/models?pageSize=5")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null"])
def test_a_body_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        PROTOCOL.parse("id", GENERATE, WireRequest("POST", EVENTS, (), body))


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (None, Reasoning.UNSAID),
        ({}, Reasoning.UNSAID),
        ({"includeThoughts": False}, Reasoning.UNSAID),
        ({"includeThoughts": True}, Reasoning.ON),
        ({"include_thoughts": True}, Reasoning.ON),
        ({"thinkingBudget": 0, "includeThoughts": True}, Reasoning.OFF),
        ({"thinking_budget": 0}, Reasoning.OFF),
        ({"thinkingBudget": -1}, Reasoning.ON),
        ({"thinkingBudget": 512}, Reasoning.ON),
        ({"thinkingLevel": "HIGH"}, Reasoning.ON),
    ],
)
def test_whether_it_asks_for_reasoning(thinking: object, reasoning: Reasoning) -> None:
    body = {"generationConfig": {"thinkingConfig": thinking}}
    assert call(body).reasoning is reasoning
    assert call({"request": body}, INTERNAL).reasoning is reasoning


@pytest.mark.parametrize(
    ("tools", "hosted", "acting"),
    [
        ([{"functionDeclarations": [{"name": "f"}]}], False, False),
        ([{"function_declarations": []}, {"computerUse": {}}, "odd"], False, False),
        ([{"googleSearch": {}}], True, False),
        ([{"google_search_retrieval": {}}], True, False),
        ([{"urlContext": {}}, {"googleMaps": {}}, {"fileSearch": {}}], True, False),
        ([{"codeExecution": {}}], True, True),
        ([{"functionDeclarations": [], "mcpServers": [{}]}], True, True),
        ("odd", False, False),
    ],
)
def test_tools_that_the_provider_runs(tools: object, hosted: bool, acting: bool) -> None:
    found = call({"tools": tools})
    assert (found.hosted, found.acting) == (hosted, acting)


def test_what_keeps_calls_together() -> None:
    assert call({}).session is None
    assert call({"cachedContent": "cachedContents/1"}).session == "cachedContents/1"
    assert call({"request": {"session_id": "talk"}}, INTERNAL).session == "talk"


# -- the same request elsewhere -------------------------------------------------------------------------

OTHER = Destination("p", "new-1")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (EVENTS, "/v1beta/models/new-1:streamGenerateContent?alt=sse"),
        (STREAM, "/v1beta/models/new-1:streamGenerateContent"),
        ("/v1/models/m:countTokens?x=1", "/v1/models/new-1:countTokens"),
        ("/v1beta/tunedModels/m:generateContent", "/v1beta/models/new-1:generateContent"),
        (VERTEX + "/google/models/m:generateContent", VERTEX + "/google/models/new-1:generateContent"),
        (
            "/v1/projects/p/locations/l/endpoints/7:generateContent",
            VERTEX + "/google/models/new-1:generateContent",
        ),
        (INTERNAL + "?alt=sse", INTERNAL + "?alt=sse"),
    ],
)
def test_only_the_model_of_the_path_changes(target: str, path: str) -> None:
    assert PROTOCOL.editor.retarget(call(target=target), OTHER).path == path


def test_a_path_of_the_provider_keeps_method_and_query() -> None:
    where = Destination("p", "new-1", path="/x/{model}/{method}")
    assert (
        PROTOCOL.editor.retarget(call(target=EVENTS), where).path == "/x/new-1/streamGenerateContent?alt=sse"
    )
    assert PROTOCOL.editor.retarget(call(target=WHOLE), where).path == "/x/new-1/generateContent"


@pytest.mark.parametrize(
    ("target", "body", "new"),
    [
        (EVENTS, {"contents": []}, {"contents": []}),
        (EVENTS, {"model": "models/m"}, {"model": "models/new-1"}),
        (
            INTERNAL,
            {"model": "m", "project": "p", "request": {}},
            {"model": "new-1", "project": "p", "request": {}},
        ),
        (
            "/v1internal:countTokens",
            {"request": {"model": "models/m", "contents": []}},
            {"request": {"model": "models/new-1", "contents": []}},
        ),
        (
            EVENTS,
            {"generateContentRequest": {"model": "models/m", "contents": []}},
            {"generateContentRequest": {"model": "models/new-1", "contents": []}},
        ),
        (
            EVENTS,
            {"requests": [{"model": "models/m", "content": {}}]},
            {"requests": [{"model": "models/new-1", "content": {}}]},
        ),
    ],
)
def test_every_mention_of_the_model_changes(
    target: str, body: Mapping[str, object], new: Mapping[str, object]
) -> None:
    found = PROTOCOL.editor.retarget(call(body, target), OTHER)
    assert (found.body, found.headers) == (new, ())


def test_a_body_without_its_model_is_the_same_object() -> None:
    asked = call({"contents": []})
    assert PROTOCOL.editor.retarget(asked, OTHER).body is asked.body


CODE_ASSIST = Destination("antigravity", "new-1", path="/v1internal:{method}")


@pytest.mark.parametrize(
    ("target", "body", "path", "new"),
    [
        (
            EVENTS,
            {"contents": [], "tools": []},
            "/v1internal:streamGenerateContent?alt=sse",
            {"model": "new-1", "request": {"contents": [], "tools": []}},
        ),
        (
            WHOLE,
            {"model": "models/m", "contents": []},
            "/v1internal:generateContent",
            {"model": "new-1", "request": {"contents": []}},
        ),
    ],
)
def test_a_bare_request_is_put_into_the_envelope_of_code_assist(
    target: str, body: Mapping[str, object], path: str, new: Mapping[str, object]
) -> None:
    found = PROTOCOL.editor.retarget(call(body, target), CODE_ASSIST)
    assert (found.path, found.body) == (path, new)


@pytest.mark.parametrize("inside", [False, True])
def test_contents_are_counted_in_the_envelope_of_code_assist(inside: bool) -> None:
    asked = {"contents": [{"parts": []}], "systemInstruction": {"parts": []}}
    body = {"generateContentRequest": {"model": "models/m", **asked}} if inside else asked
    counted = replace(call(body, "/v1beta/models/m:countTokens"), operation=Operation.COUNT_TOKENS)
    found = PROTOCOL.editor.retarget(counted, CODE_ASSIST)
    assert found.path == "/v1internal:countTokens"
    assert found.body == {"request": {"model": "models/new-1", "contents": [{"parts": []}]}}


@pytest.mark.parametrize("operation", [Operation.EMBEDDINGS, Operation.MODELS])
def test_code_assist_does_not_do_everything(operation: Operation) -> None:
    with pytest.raises(Untranslatable, match=f"Code Assist has no {operation}"):
        PROTOCOL.editor.retarget(replace(call(), operation=operation), CODE_ASSIST)


def test_what_is_in_an_envelope_is_not_taken_out() -> None:
    with pytest.raises(Untranslatable, match="not taken elsewhere"):
        PROTOCOL.editor.retarget(
            call(target=INTERNAL), replace(CODE_ASSIST, path="/v1/models/{model}:{method}")
        )


# -- signatures of others ------------------------------------------------------------------------------------

ENVELOPE = wrapped(Signature("encrypted", "x"), "another").value


def turn(*parts: Mapping[str, object]) -> dict[str, object]:
    return {"role": "model", "parts": list(parts)}


def test_without_carriers_nothing_changes() -> None:
    body = {"contents": [turn(text("Hi", thoughtSignature="c2ln"), calls(name="f"))]}
    assert PROTOCOL.editor.own_signatures(body, KEEP) is body
    enveloped = {"request": body}
    assert PROTOCOL.editor.own_signatures(enveloped, KEEP) is enveloped


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
def test_what_another_provider_sealed_is_left_out(name: str) -> None:
    asking = {"role": "user", "parts": [text("Hi")]}
    thoughts = turn(text("Hm", thought=True, **{name: ENVELOPE}), text("", **{name: ENVELOPE}))
    answer = turn(text("Hi", **{name: ENVELOPE}), text("you"))
    body = {"contents": [asking, thoughts, answer], "other": 1}
    new = {"contents": [asking, turn(text("Hi"), text("you"))], "other": 1}
    assert PROTOCOL.editor.own_signatures(body, KEEP) == new
    assert PROTOCOL.editor.own_signatures({"request": body, "model": "m"}, KEEP) == {
        "request": new,
        "model": "m",
    }


def test_a_call_that_bore_such_a_signature_is_marked() -> None:
    body = {"contents": [turn({**calls(name="f"), "thoughtSignature": ENVELOPE}, calls(name="g"))]}
    marked = {**calls(name="f"), "thoughtSignature": UNSIGNED}
    assert PROTOCOL.editor.own_signatures(body, KEEP) == {"contents": [turn(marked, calls(name="g"))]}


def test_what_the_query_holds_besides_the_framing_stays_with_the_provider_that_was_called() -> None:
    plain = Call("c", "gemini_generate", Operation.GENERATE, "m", True, (), {"contents": []})
    called = replace(plain, target="/v1beta/models/m:streamGenerateContent?access_token=t&alt=sse&x=1")
    for path in ("", "/v1beta/models/{model}:{method}"):
        target = Destination("other", "n", path)
        assert (
            PROTOCOL.editor.retarget(called, target).path == "/v1beta/models/n:streamGenerateContent?alt=sse"
        )


def test_the_envelope_of_code_assist_goes_nowhere_else() -> None:
    wrapped_up = {"model": "m", "request": {}}
    plain = Call("c", "gemini_generate", Operation.GENERATE, "m", True, (), wrapped_up)
    called = replace(plain, target="/v1internal:streamGenerateContent?alt=sse")
    with pytest.raises(Untranslatable, match="Code Assist"):
        PROTOCOL.editor.retarget(called, Destination("gemini", "n", "/v1beta/models/{model}:{method}"))
