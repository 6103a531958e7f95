"""One target of a call: what the call becomes for it, which headers it gets, how its answers come back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation, Rendered, Reply
from protocols.model.errors import Untranslatable
from protocols.model.http import Headers, WireRequest
from protocols.model.parts import Signature
from protocols.model.wirejson import dump, load_object
from protocols.registry import discover
from protocols.shared.signatures import wrapped
from rewrite.adapters.base import Adapter
from rewrite.adapters.chain import parse_adapters
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.catalog.routes import Route
from rewrite.targets.response_adapters import ReportedModel
from rewrite.targets.target import Target, target_of
from tests.rewrite.asks import ask, wanted
from tests.rewrite.asks import target_at as to
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    MESSAGE,
    ROLE,
    SSE,
    TERMS,
    VENDOR,
    call,
    finishes,
    own,
    says,
)

REGISTRY = discover()
PROVIDER = Provider(
    "maker",
    "https://m",
    ("m",),
    ("openai_chat", "anthropic_messages"),
    paths={"openai_chat": "/c/chat", "anthropic_messages": "/a/messages"},
    max_tokens_field="max_completion_tokens",
    models=(ModelFacts("served", max_output=777),),
)
MESSAGES = [{"role": "user", "content": "Hi"}]
REPLY = Reply("rot1", "asked-for", 7)
SEED: tuple[Adapter, ...] = parse_adapters([{"name": "drop_params", "params": ["seed"]}])
OPENAI = replace(VENDOR, account_headers=("openai-organization",))
RENDERED = Rendered("/v1/messages", {"model": "claude"}, (("anthropic-version", "2023-06-01"),))
SENT = (
    ("Host", "api.openai.com"),
    ("X-Odd", "1"),
    ("User-Agent", "tool/1"),
    ("Accept", "*/*"),
    ("Authorization", "Bearer sk"),
    ("OpenAI-Organization", "org-1"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("Content-Length", "7"),
)
SAME = own(provider=OPENAI)
ADAPTED = own(provider=OPENAI, rendered=Rendered("/v1/chat/completions", {"model": "n"}))
ACROSS = own(call(), ANTHROPIC, original=False, rendered=RENDERED)
LIKE = own(original=False, rendered=Rendered("/v1/chat/completions", {"model": "n"}))


def asks(protocol: WireProtocol = CHAT, **fields: object) -> Call:
    body: dict[str, object] = {"model": "asked-for", "messages": MESSAGES, "stream": True, "seed": 1}
    request = WireRequest("POST", "/v1/chat/completions?x=1", (), dump(body | fields))
    return protocol.parse("c", Operation.GENERATE, request)


def target(
    call: Call | None = None,
    *,
    protocol: WireProtocol = CHAT,
    to: WireProtocol | None = None,
    model: str | None = "asked-for",
    original: bool = True,
    adapters: tuple[Adapter, ...] = (),
    reply: Reply = REPLY,
    enveloped: bool = False,
) -> Target:
    route = Route(PROVIDER, (to or protocol).name, model, original)
    return target_of(call or asks(protocol), protocol, wanted(route, adapters, reply, enveloped=enveloped))


def body_of(one: Target) -> Mapping[str, object]:
    assert one.rendered is not None
    return one.rendered.body


# -- what is sent -------------------------------------------------------------------------------------


def test_what_nothing_changes_goes_as_its_own_bytes() -> None:
    one = target()
    assert (one.rendered, one.translation, one.chain, one.losses) == (None, None, None, ())
    assert (one.protocol, one.call.model) == (CHAT, "asked-for")


def test_an_adapter_that_changes_nothing_leaves_the_bytes_alone() -> None:
    call = replace(asks(), body={"model": "asked-for", "messages": MESSAGES})
    assert target(call, adapters=SEED).rendered is None


def test_an_adapted_body_goes_where_the_client_sent_it() -> None:
    one = target(adapters=SEED)
    assert one.rendered is not None
    assert one.rendered.path == "/v1/chat/completions?x=1"
    assert "seed" not in one.rendered.body
    assert one.call.body["seed"] == 1


def test_another_model_of_the_same_provider_changes_the_model_alone() -> None:
    one = target(model="served")
    assert body_of(one) == {**asks().body, "model": "served"}
    assert one.call.model == "served"


DEPLOYMENTS = "/openai/deployments"
PUBLISHED = "/v1/projects/p/locations/l/publishers/google/models"


@pytest.mark.parametrize(
    ("name", "path", "asked"),
    [
        ("openai_chat", "/openai/v1/chat/completions", ""),
        (
            "openai_chat",
            f"{DEPLOYMENTS}/m/chat/completions?api-version=1",
            f"{DEPLOYMENTS}/served/chat/completions?api-version=1",
        ),
        ("openai_responses", "/api/v1/responses", ""),
        ("anthropic_messages", "/api/v1/messages?beta=true", ""),
        ("ollama_chat", "/front/api/chat", ""),
        ("gemini_generate", f"{PUBLISHED}/m:generateContent", f"{PUBLISHED}/served:generateContent"),
    ],
)
def test_another_model_of_the_same_provider_is_asked_where_the_client_asked(
    name: str, path: str, asked: str
) -> None:
    request = WireRequest("POST", path, (), dump({"model": "m", "messages": MESSAGES}))
    call = REGISTRY[name].parse("c", Operation.GENERATE, request)
    rendered = target(call, protocol=REGISTRY[name], model="served").rendered
    assert rendered is not None
    assert rendered.path == (asked or path)


def test_another_provider_of_the_same_protocol_is_asked_at_its_own_path() -> None:
    one = target(original=False, model="served", adapters=SEED)
    assert one.rendered is not None
    assert one.rendered.path == "/c/chat"
    assert one.rendered.body["model"] == "served"
    assert "seed" not in one.rendered.body


def test_a_translated_call_follows_what_is_known_of_provider_and_model() -> None:
    one = target(asks(max_tokens=99), to=ANTHROPIC, model="served", original=False)
    assert one.rendered is not None
    assert (one.rendered.path, one.rendered.body["model"]) == ("/a/messages", "served")
    assert one.protocol is ANTHROPIC
    assert [loss.field for loss in one.losses] == ["seed"]
    back = target(asks(ANTHROPIC, max_tokens=99), protocol=ANTHROPIC, to=CHAT, model="served", original=False)
    assert body_of(back)["max_completion_tokens"] == 99


def test_a_limit_that_messages_needs_is_what_the_model_can_say() -> None:
    assert body_of(target(to=ANTHROPIC, model="served", original=False))["max_tokens"] == 777


def test_adapters_see_the_body_that_the_provider_gets() -> None:
    chain = parse_adapters([{"name": "rename_field", "from": "max_tokens", "to": "most"}])
    body = body_of(target(asks(max_tokens=99), to=ANTHROPIC, model="served", original=False, adapters=chain))
    assert (body["most"], "max_tokens" in body) == (99, False)


def test_what_cannot_be_translated_is_refused() -> None:
    with pytest.raises(Untranslatable):
        target(replace(asks(), operation=Operation.EMBEDDINGS), to=ANTHROPIC, original=False)


LINK = "https://elsewhere.example/a.png"
SYSTEM = {"role": "system", "content": "Be brief."}


def of_user(part: object) -> dict[str, object]:
    return {"role": "user", "content": [part]}


@pytest.mark.parametrize(
    ("client", "fields", "place"),
    [
        (
            "openai_chat",
            {"messages": [SYSTEM, of_user({"type": "image_url", "image_url": LINK})]},
            "messages[1].content[0]",
        ),
        (
            "openai_responses",
            {"input": [SYSTEM, of_user({"type": "input_image", "image_url": LINK})]},
            "input[1].content[0]",
        ),
        (
            "openai_responses",
            {"input": [of_user({"type": "input_file", "file_id": "file-1"})]},
            "input[0].content[0]",
        ),
        (
            "openai_responses",
            {"input": [of_user({"type": "input_audio", "input_audio": {"data": "A"}})]},
            "input[0].content[0]",
        ),
        (
            "anthropic_messages",
            {"messages": [of_user({"type": "image", "source": {"type": "url", "url": LINK}})]},
            "messages[0].content[0]",
        ),
        (
            "gemini_generate",
            {"contents": [{"parts": [{"text": "see"}, {"fileData": {"fileUri": LINK}}]}]},
            "contents[0].parts[1]",
        ),
        (
            "gemini_generate",
            {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "A"}}]}]},
            "contents[0].parts[0]",
        ),
    ],
)
def test_media_that_is_not_taken_is_refused_where_the_client_has_it(
    client: str, fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        to(ask(client, **fields), "ollama_chat")
    assert refused.value.field == place


def test_a_file_that_messages_do_not_take_is_refused_where_the_client_has_it() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/zip;base64,/w=="}}
    with pytest.raises(Untranslatable) as refused:
        to(ask("openai_chat", messages=[of_user(file)]), "anthropic_messages")
    assert refused.value.field == "messages[0].content[0]"


def test_only_a_generation_is_adapted() -> None:
    one = target(replace(asks(), operation=Operation.EMBEDDINGS), adapters=SEED)
    assert (one.chain, one.rendered) == (None, None)


def test_signatures_of_others_are_taken_out_where_there_are_any() -> None:
    envelope = wrapped(Signature("signature", "c2ln"), "other").value
    thinking = {"type": "thinking", "thinking": "hm", "signature": envelope}
    turn = {"role": "assistant", "content": [thinking, {"type": "text", "text": "Hello"}]}
    call = asks(ANTHROPIC, messages=[*MESSAGES, turn, *MESSAGES])
    assert envelope.encode() not in dump(body_of(target(call, protocol=ANTHROPIC, enveloped=True)))
    assert target(call, protocol=ANTHROPIC).rendered is None


def test_a_knob_that_goes_with_the_signatures_of_others_is_reported() -> None:
    envelope = wrapped(Signature("signature", "c2ln"), "other").value
    thinking = {"type": "thinking", "thinking": "hm", "signature": envelope}
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    turn = {"role": "assistant", "content": [thinking, use]}
    found = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}
    budget = {"type": "enabled", "budget_tokens": 2000}
    call = asks(ANTHROPIC, messages=[*MESSAGES, turn, found], thinking=budget)
    one = target(call, protocol=ANTHROPIC, enveloped=True)
    assert "thinking" not in body_of(one)
    assert [loss.field for loss in one.losses] == ["reasoning", "thinking"]


# -- how its answers come back -----------------------------------------------------------------------


@pytest.mark.parametrize(("reply", "model"), [(REPLY, b"asked-for"), (replace(REPLY, model=""), b"model")])
def test_an_answer_names_the_model_that_was_asked_for_unless_the_route_says_otherwise(
    reply: Reply, model: bytes
) -> None:
    """The frames come from a model that is called `model`."""
    reading = target(model="served", original=False, reply=reply).reading(SSE)
    data = reading.pass_on(reading.feed(ROLE + says("Hi")))
    assert data.count(b'"model":"' + model + b'"') == 2


def test_a_whole_answer_names_it_too() -> None:
    reading = target(asks(stream=False), model="served", original=False).reading(JSON)
    reading.feed(b'{"model": "served", "choices": []}')
    (segment,) = reading.eof()
    assert load_object(segment.raw) == {"model": "asked-for", "choices": []}


def test_embeddings_name_it_too_and_are_not_adapted() -> None:
    call = replace(asks(stream=False), operation=Operation.EMBEDDINGS)
    reading = target(call, model="served", original=False, adapters=SEED).reading(JSON)
    reading.feed(b'{"object": "list", "model": "served", "data": []}')
    (segment,) = reading.eof()
    assert load_object(segment.raw) == {"object": "list", "model": "asked-for", "data": []}


def test_a_translated_answer_comes_in_the_client_s_protocol() -> None:
    reading = target(protocol=ANTHROPIC, to=CHAT, model="served", original=False).reading(SSE)
    data = reading.pass_on(reading.feed(ROLE + says("Hi") + finishes("stop") + DONE))
    assert data.startswith(b"event: message_start")
    assert b'"asked-for"' in data
    assert (reading.streamed, reading.translation is not None) == (True, True)


def test_messages_begin_under_the_client_s_model() -> None:
    reading = target(protocol=ANTHROPIC, model="served").reading(SSE)
    assert b'"model":"asked-for"' in reading.pass_on(reading.feed(MESSAGE))


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"model": "a", "x": 1}, {"model": "m", "x": 1}),
        ({"modelVersion": "a"}, {"modelVersion": "m"}),
        ({"message": {"model": "a", "id": 1}}, {"message": {"model": "m", "id": 1}}),
        ({"response": {"model": "a"}, "type": "t"}, {"response": {"model": "m"}, "type": "t"}),
        ({"response": {"modelVersion": "a"}}, {"response": {"modelVersion": "m"}}),
    ],
    ids=str,
)
def test_wherever_a_protocol_names_its_model(event: dict[str, object], named: dict[str, object]) -> None:
    chain = target(model="served").chain
    assert chain is not None
    assert ReportedModel("m").answer(event, chain.context) == named


@pytest.mark.parametrize("event", [{"choices": []}, {"model": None}, {"message": {"content": "model"}}, {}])
def test_what_names_no_model_is_the_same_object(event: dict[str, object]) -> None:
    chain = target(model="served").chain
    assert chain is not None
    assert ReportedModel("m").answer(event, chain.context) is event


# -- its headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [SAME, ADAPTED], ids=["untouched", "adapted"])
def test_beside_a_key_of_the_pool_nothing_names_an_account_of_the_client(target: Target) -> None:
    assert target.keeps_headers
    assert target.dropped(SENT) == ["openai-organization"]
    assert replace(target, terms=structs.replace(TERMS, pooled=False)).dropped(SENT) == []


@pytest.mark.parametrize(
    ("target", "its_own"),
    [(ACROSS, (("anthropic-version", "2023-06-01"),)), (LIKE, ())],
    ids=["protocol", "provider"],
)
def test_another_one_gets_an_allow_list_alone(target: Target, its_own: Headers) -> None:
    assert not target.keeps_headers
    assert target.headers(SENT) == (
        ("host", "vendor.example"),
        ("User-Agent", "tool/1"),
        ("Accept", "*/*"),
        *its_own,
        ("content-type", "application/json"),
    )
    assert target.dropped(SENT) == ["authorization", "openai-organization", "x-odd"]


# -- how its answers come back ----------------------------------------------------------------------------


def test_an_answer_of_the_client_s_own_protocol_passes_byte_for_byte() -> None:
    data = ROLE + says("Hi") + finishes("stop") + DONE
    reading = own().reading(SSE)
    assert (reading.pass_on(reading.feed(data)), reading.streamed) == (data, True)
    assert (reading.translation, reading.head) == (None, SSE)
