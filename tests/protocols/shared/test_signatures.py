"""Seals that travel through a client of another protocol."""

from base64 import b64decode

import pytest

from protocols.model.parts import Signature
from protocols.shared.signatures import ENVELOPE, MARK, is_envelope, unwrapped, wrapped

SEALS = [
    Signature("signature", "EqQBCkgIBRABGAIiQ"),
    Signature("redacted", ""),
    Signature("encrypted", "gAAAA=="),
    Signature("details", '[{"type": "reasoning.encrypted", "data": "é \u2028"}]'),
    Signature("plain", ""),
]


@pytest.mark.parametrize("signature", SEALS, ids=lambda signature: signature.form)
@pytest.mark.parametrize("provider", ["anthropic", "my-gateway.2"])
def test_what_is_wrapped_is_unwrapped(signature: Signature, provider: str) -> None:
    envelope = wrapped(signature, provider)
    assert envelope.form == ENVELOPE
    assert unwrapped(envelope.value) == (provider, signature)


def test_a_carrier_is_base64_that_is_known_by_its_beginning() -> None:
    value = wrapped(SEALS[0], "anthropic").value
    assert value.startswith(MARK)
    assert is_envelope(value)
    assert b64decode(value, validate=True).startswith(b"rotator1\0")


def test_a_carrier_is_not_wrapped_again() -> None:
    envelope = wrapped(SEALS[0], "anthropic")
    assert wrapped(envelope, "openai") == envelope


@pytest.mark.parametrize("value", ["", "EqQBCkgIBRABGAIiQ", "cm90YXRvcg==", MARK[:-1]])
def test_what_a_provider_made_is_no_carrier(value: str) -> None:
    assert not is_envelope(value)
    assert unwrapped(value) is None


@pytest.mark.parametrize("damage", [lambda v: v[:-3], lambda v: v + "!", lambda v: v[:20], lambda v: MARK])
def test_a_damaged_carrier_says_nothing(damage: object) -> None:
    value = damage(wrapped(SEALS[0], "anthropic").value)  # type: ignore[operator]
    assert is_envelope(value)
    assert unwrapped(value) is None
