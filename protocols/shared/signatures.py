"""Signatures on their way through a client that speaks another protocol than their maker.

A provider asks for signatures and encrypted reasoning back, unchanged, and refuses those of others. The
client keeps whatever stands in its own protocol's place for such a thing; so that is where an envelope goes:
base64 text that names the provider, the form and the value. What comes back without being an envelope was
made by the provider that the client believes it talks to. A provider of the client's own protocol that it
did not mean has its signatures carried in the very places where they stand.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable
from dataclasses import dataclass

from protocols.base import Keep, Wrap
from protocols.model.parts import Signature
from protocols.model.wirejson import JsonObject, dump, load_object, text_at

ENVELOPE = "envelope"
"""The `form` of a signature that is wrapped."""

MARK = "cm90YXRvcjEA"
"""How every envelope begins; base64 of `rotator1` and a zero byte, valid wherever base64 is asked for."""

_OPENING = b"rotator1\0"

PLAIN = "plain"
UNSIGNED = Signature(PLAIN, "")
"""Of reasoning with nothing to sign: Ollama, DeepSeek and their like want the text alone back."""


def wrapped(signature: Signature, provider: str) -> Signature:
    """`signature` of `provider` as an envelope; one that is wrapped already stays as it is."""
    if signature.form == ENVELOPE:
        return signature
    inside = dump({"provider": provider, "form": signature.form, "value": signature.value})
    return Signature(ENVELOPE, b64encode(_OPENING + inside).decode())


def is_envelope(value: str) -> bool:
    return value.startswith(MARK)


def unwrapped(value: str) -> tuple[str, Signature] | None:
    """Provider and signature of an envelope; None if `value` is none, or is damaged."""
    if not is_envelope(value):
        return None
    try:
        inside = load_object(b64decode(value, validate=True).removeprefix(_OPENING))
    except Error:
        return None
    if inside is None:
        return None
    return text_at(inside, "provider"), Signature(text_at(inside, "form"), text_at(inside, "value"))


# -- within one protocol ----------------------------------------------------------------------------------

IN_PLACE = "in place"
"""The form of a signature that is carried where it stood."""


def wrapped_by(provider: str) -> Wrap:
    return lambda value: value if is_envelope(value) else wrapped(Signature(IN_PLACE, value), provider).value


def kept_in(holder: JsonObject, names: Iterable[str], keep: Keep) -> JsonObject | None:
    """`holder` with the signatures in its fields `names` as `keep` gives them. None where one is not
    kept."""
    for name in names:
        value = text_at(holder, name)
        kept = keep(value) if value else value
        if kept is None:
            return None
        holder = holder if kept == value else {**holder, name: kept}
    return holder


def wrapped_in(holder: JsonObject, names: Iterable[str], wrap: Wrap) -> JsonObject:
    """`holder` with the signatures in its fields `names` as `wrap` gives them."""
    found = {name: wrap(value) for name in names if (value := text_at(holder, name))}
    return {**holder, **found} if found else holder


@dataclass(slots=True)
class Returning:
    """Keeps what one provider made."""

    provider: str
    """Its name: what is in envelopes of it is kept."""
    native: bool
    """Whether what is in no envelope is kept as well."""
    dropped: int = 0
    """How many signatures of others it was shown."""

    def __call__(self, value: str) -> str | None:
        kept = self._kept(value)
        self.dropped += kept is None
        return kept

    def _kept(self, value: str) -> str | None:
        if not is_envelope(value):
            return value if self.native else None
        found = unwrapped(value)
        return found[1].value if found and found[0] == self.provider else None
