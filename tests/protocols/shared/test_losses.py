"""Every topic of a protocol's losses is reported for the requests that it happens to, or is about answers."""

from dataclasses import replace

import pytest

from protocols.base import Trait, WireProtocol, Written
from protocols.model.call import Destination
from protocols.model.prompt import Message, Prompt, Refusal, Role, Text, ToolResult
from protocols.shared.losses import rendered, traits
from rewrite.translation.translate import translator_of
from tests import contract
from tests.protocols.lossy import IMAGE, PLAIN, TARGET, losses, resulting, said

PROTOCOLS = {protocol.name: protocol for protocol in contract.PROTOCOLS}
OF_ANSWERS = {
    "anthropic_messages": {"answers", "citations", "stop reasons", "whole answers"},
    "gemini_generate": {"hosted tools", "log probabilities", "sources"},
    "ollama_chat": {"endings", "sources", "pictures of the model", "hosted tools", "usage"},
    "openai_chat": {"place of reasoning", "hosted tools", "audio", "pause"},
    "openai_responses": {"citations", "pause", "hosted output"},
}
OTHERWISE = {"anthropic_messages": {"thinking", "sampling", "files"}}
"""Told by the names of the prompt's fields, or refused."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_loss_is_reported_of_a_request_or_is_about_answers(name: str) -> None:
    abilities = translator_of(PROTOCOLS[name]).abilities
    named = abilities.happens.keys() | abilities.unread.keys()
    assert named <= abilities.losses.keys()
    assert abilities.losses.keys() - named == OF_ANSWERS[name] | OTHERWISE.get(name, set())


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda one: one.name)
@pytest.mark.parametrize("thinking", ["", "none", "budget", "effort"])
@pytest.mark.parametrize("most", [None, 100])
def test_what_loses_nothing_tells_nothing(protocol: WireProtocol, thinking: str, most: int | None) -> None:
    assert losses(protocol, PLAIN, Destination("vendor", "m", "", most, thinking)) == []


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda one: one.name)
def test_nothing_is_looked_for_in_a_prompt_that_has_nothing_to_lose(protocol: WireProtocol) -> None:
    def never(one: Written) -> bool:
        raise AssertionError(f"asked of {one.prompt}")

    translator = translator_of(protocol)
    happens = {topic: replace(each, test=never) for topic, each in translator.abilities.happens.items()}
    asked = replace(translator, abilities=replace(translator.abilities, happens=happens))
    plain = Prompt("m", (Message(Role.USER, (Text("Hi"),)),), system=(Text("Be brief."),), max_output=None)
    assert not traits(plain)
    assert rendered(asked, plain, TARGET).losses == ()


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        (said(Refusal("No")), Trait.REFUSAL),
        (said(Text(" ")), Trait.BLANK),
        (said(), Trait.BLANK),
        (said(Text("So "), role=Role.ASSISTANT), Trait.BLANK),
        (said(Text("Hi", cache=True)), Trait.CACHE),
        (said(Text("Hi"), role=Role.SYSTEM), Trait.SYSTEM),
        (replace(PLAIN, messages=PLAIN.messages[1:]), Trait.OPENED),
        (replace(PLAIN, stop=("x",)), Trait.STOP),
        (resulting(ToolResult("a", (IMAGE,), "f")), Trait.MEDIA),
    ],
)
def test_what_a_prompt_has(prompt: Prompt, found: Trait) -> None:
    assert found & traits(prompt)
    assert not found & traits(PLAIN) or found is Trait.MEDIA
