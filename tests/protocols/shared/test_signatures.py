"""Seals that travel through a client of another protocol."""

from base64 import b64decode

import pytest

from protocols.model.parts import Seal
from protocols.shared.signatures import CARRIER, MARK, is_carrier, unwrapped, wrapped

SEALS = [
    Seal("signature", "EqQBCkgIBRABGAIiQ"),
    Seal("redacted", ""),
    Seal("encrypted", "gAAAA=="),
    Seal("details", '[{"type": "reasoning.encrypted", "data": "é \u2028"}]'),
    Seal("plain", ""),
]


@pytest.mark.parametrize("seal", SEALS, ids=lambda seal: seal.form)
@pytest.mark.parametrize("provider", ["anthropic", "my-gateway.2"])
def test_what_is_wrapped_is_unwrapped(seal: Seal, provider: str) -> None:
    carrier = wrapped(seal, provider)
    assert carrier.form == CARRIER
    assert unwrapped(carrier.value) == (provider, seal)


def test_a_carrier_is_base64_that_is_known_by_its_beginning() -> None:
    value = wrapped(SEALS[0], "anthropic").value
    assert value.startswith(MARK)
    assert is_carrier(value)
    assert b64decode(value, validate=True).startswith(b"rotator1\0")


def test_a_carrier_is_not_wrapped_again() -> None:
    carrier = wrapped(SEALS[0], "anthropic")
    assert wrapped(carrier, "openai") == carrier


@pytest.mark.parametrize("value", ["", "EqQBCkgIBRABGAIiQ", "cm90YXRvcg==", MARK[:-1]])
def test_what_a_provider_made_is_no_carrier(value: str) -> None:
    assert not is_carrier(value)
    assert unwrapped(value) is None


@pytest.mark.parametrize("damage", [lambda v: v[:-3], lambda v: v + "!", lambda v: v[:20], lambda v: MARK])
def test_a_damaged_carrier_says_nothing(damage: object) -> None:
    value = damage(wrapped(SEALS[0], "anthropic").value)  # type: ignore[operator]
    assert is_carrier(value)
    assert unwrapped(value) is None
