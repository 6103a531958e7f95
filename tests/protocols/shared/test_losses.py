"""Every topic of a protocol's losses is reported for the requests that it happens to, or is about answers."""

import pytest

from protocols.base import WireProtocol, translator_of
from protocols.model.call import Destination
from tests import contract
from tests.protocols.lossy import PLAIN, losses

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
