"""Seals on their way through a client that speaks another protocol than their maker.

A provider asks for signatures and encrypted reasoning back, unchanged, and refuses those of others. The
client keeps whatever stands in its own protocol's place for such a thing; so that is where a carrier goes:
base64 text that names the provider, the form and the value. What comes back without being a carrier was
made by a provider of the client's own protocol.
"""

from base64 import b64decode, b64encode
from binascii import Error

from protocols.parts import Seal
from protocols.wirejson import dump, load_object, text_at

CARRIER = "carrier"
"""The `form` of a seal that is wrapped."""

MARK = "cm90YXRvcjEA"
"""How every carrier begins; base64 of `rotator1` and a zero byte, valid wherever base64 is asked for."""

_OPENING = b"rotator1\0"


def wrapped(seal: Seal, provider: str) -> Seal:
    """`seal` of `provider` as a carrier; one that is wrapped already stays as it is."""
    if seal.form == CARRIER:
        return seal
    inside = dump({"provider": provider, "form": seal.form, "value": seal.value})
    return Seal(CARRIER, b64encode(_OPENING + inside).decode())


def is_carrier(value: str) -> bool:
    return value.startswith(MARK)


def unwrapped(value: str) -> tuple[str, Seal] | None:
    """Provider and seal of a carrier; None if `value` is none, or is damaged."""
    if not is_carrier(value):
        return None
    try:
        inside = load_object(b64decode(value, validate=True).removeprefix(_OPENING))
    except Error:
        return None
    if inside is None:
        return None
    return text_at(inside, "provider"), Seal(text_at(inside, "form"), text_at(inside, "value"))
