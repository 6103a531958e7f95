"""What is known of a model changes what it is asked."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from protocols.base import WireProtocol
from protocols.model.call import Call, Operation
from protocols.model.http import WireRequest
from protocols.model.wirejson import dump
from rewrite.adapters.base import Adapter
from rewrite.adapters.chain import parse_adapters
from rewrite.catalog.provider_tables import refused
from rewrite.catalog.providers import ModelFacts, Provider
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.translation.translate import Loss
from tests.rewrite.asks import wanted
from tests.rewrite.scenes import ANTHROPIC, CHAT

PROVIDER = Provider(
    "maker",
    "https://m",
    ("m",),
    ("openai_chat", "anthropic_messages"),
    max_tokens_field="max_completion_tokens",
)
MESSAGES = [{"role": "user", "content": "Hi"}]
PICKY = ModelFacts("asked-for", refuses=(refused("seed"), refused("user")), default_output=50)


def asks(**fields: object) -> Call:
    body: dict[str, object] = {"model": "asked-for", "messages": MESSAGES, "seed": 1}
    request = WireRequest("POST", "/v1/chat/completions", (), dump(body | fields))
    return CHAT.parse("c", Operation.GENERATE, request)


def body_of(one: Target) -> Mapping[str, object]:
    assert one.rendered is not None
    return one.rendered.body


def known(
    facts: ModelFacts,
    call: Call | None = None,
    *,
    to: WireProtocol = CHAT,
    adapters: tuple[Adapter, ...] = (),
) -> Target:
    """The target of a call of chat at a model of which `facts` are known."""
    original = to is CHAT
    route = Route(replace(PROVIDER, models=(facts,)), to.name, "asked-for", original)
    return target_of(call or asks(), CHAT, wanted(route, adapters))


def test_what_a_model_refuses_is_left_out_and_reported_where_it_was_there() -> None:
    one = known(replace(PICKY, default_output=None))
    assert body_of(one) == {key: value for key, value in asks().body.items() if key != "seed"}
    assert one.losses == (Loss("seed", "is refused by maker/asked-for"),)
    assert one.untouched, "answers come as they are"


def test_a_request_without_any_of_it_goes_as_its_own_bytes() -> None:
    assert known(PICKY, replace(asks(max_tokens=3), operation=Operation.EMBEDDINGS)).rendered is None
    without = {key: value for key, value in asks(max_tokens=3).body.items() if key != "seed"}
    assert known(PICKY, replace(asks(), body=without)).rendered is None


def test_what_is_refused_goes_after_all_adapters() -> None:
    renamed = parse_adapters([{"name": "rename_field", "from": "n", "to": "seed", "at": "request"}])
    call = asks(n=2)
    without = {key: value for key, value in call.body.items() if key != "seed"}
    assert "seed" not in body_of(known(PICKY, replace(call, body=without), adapters=renamed))


def test_what_is_refused_is_named_in_the_protocol_that_is_asked() -> None:
    facts = ModelFacts("asked-for", refuses=(refused("top_k"), refused("max_tokens")))
    one = known(facts, asks(max_completion_tokens=9), to=ANTHROPIC)
    assert "max_tokens" not in body_of(one)
    assert Loss("max_tokens", "is refused by maker/asked-for") in one.losses


@pytest.mark.parametrize(
    ("fields", "to", "name", "limit"),
    [
        ({}, CHAT, "max_completion_tokens", 50),
        ({"max_tokens": 3}, CHAT, "max_tokens", 3),
        ({}, ANTHROPIC, "max_tokens", 50),
        ({"max_tokens": 3}, ANTHROPIC, "max_tokens", 3),
    ],
)
def test_a_request_without_a_limit_has_the_one_of_the_model(
    fields: Mapping[str, object], to: WireProtocol, name: str, limit: int
) -> None:
    facts = ModelFacts("asked-for", default_output=50, refuses=(refused("seed"),))
    body = body_of(known(facts, asks(**fields), to=to))
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: limit}
