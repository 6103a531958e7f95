"""Seals on their way through a client that speaks another protocol than their maker.

A provider asks for signatures and encrypted reasoning back, unchanged, and refuses those of others. The
client keeps whatever stands in its own protocol's place for such a thing; so that is where a carrier goes:
base64 text that names the provider, the form and the value. What comes back without being a carrier was
made by the provider that the client believes it talks to. A provider of the client's own protocol that it
did not mean has its seals carried in the very places where they stand.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from dataclasses import dataclass

from protocols.base import Keep, Wrap
from protocols.model.parts import Seal
from protocols.model.wirejson import JsonObject, dump, load_object, text_at

CARRIER = "carrier"
"""The `form` of a seal that is wrapped."""

MARK = "cm90YXRvcjEA"
"""How every carrier begins; base64 of `rotator1` and a zero byte, valid wherever base64 is asked for."""

_OPENING = b"rotator1\0"

PLAIN = "plain"
UNSEALED = Seal(PLAIN, "")
"""Of reasoning with nothing to sign: Ollama, DeepSeek and their like want the text alone back."""


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


# -- within one protocol ----------------------------------------------------------------------------------

IN_PLACE = "in place"
"""The form of a seal that is carried where it stood."""


def wrapped_by(provider: str) -> Wrap:
    return lambda value: value if is_carrier(value) else wrapped(Seal(IN_PLACE, value), provider).value


def kept_in(holder: JsonObject, names: Iterable[str], keep: Keep) -> JsonObject | None:
    """`holder` with the seals in its fields `names` as `keep` gives them; None if it does not keep one."""
    for name in names:
        value = text_at(holder, name)
        kept = keep(value) if value else value
        if kept is None:
            return None
        holder = holder if kept == value else {**holder, name: kept}
    return holder


def wrapped_in(holder: JsonObject, names: Iterable[str], wrap: Wrap) -> JsonObject:
    """`holder` with the seals in its fields `names` as `wrap` gives them."""
    found = {name: wrap(value) for name in names if (value := text_at(holder, name))}
    return {**holder, **found} if found else holder


@dataclass(slots=True)
class Returning:
    """Keeps what `provider` made: what is in carriers of its name, and with `native` what is in none.

    `dropped`: how many seals of others it was shown.
    """

    provider: str
    native: bool
    dropped: int = 0

    def __call__(self, value: str) -> str | None:
        kept = self._kept(value)
        self.dropped += kept is None
        return kept

    def _kept(self, value: str) -> str | None:
        if not is_carrier(value):
            return value if self.native else None
        found = unwrapped(value)
        return found[1].value if found and found[0] == self.provider else None
