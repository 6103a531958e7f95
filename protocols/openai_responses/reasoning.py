"""Items of reasoning: what they show, and what is to be sent back of them."""

from protocols.model.parts import Signature
from protocols.model.wirejson import JsonObject, dump, encoded, load_object, objects_at, text_at
from protocols.shared.signatures import ENVELOPE, is_envelope

ENCRYPTED = "encrypted"
"""The form of a signature that this protocol makes: the JSON text of a reasoning item, as it is sent back."""

BLANK_LINE = "\n\n"
"""Between the parts of a summary, which are one block."""

_REPLAYED = ("id", "summary", "content", "encrypted_content")


def reasoning_text(item: JsonObject) -> str:
    """The summary of a reasoning item and what it shows besides, as one text."""
    shown = [*objects_at(item, "summary"), *objects_at(item, "content")]
    return BLANK_LINE.join(text for piece in shown if (text := text_at(piece, "text")))


def signature_of(item: JsonObject) -> Signature | None:
    """What is to be sent back of a reasoning item; None of one that is not encrypted.

    Its id goes back with it: providers that keep nothing (`store: false`) take the item under its own id.
    """
    encrypted = text_at(item, "encrypted_content")
    if is_envelope(encrypted):
        return Signature(ENVELOPE, encrypted)
    if not encrypted:
        return None
    replayed = {name: item[name] for name in _REPLAYED if item.get(name) is not None}
    return Signature(ENCRYPTED, dump(replayed).decode())


def encrypted_content(signature: Signature) -> str:
    """What stands in `encrypted_content` of the reasoning item with `signature`; empty: nothing does."""
    if signature.form != ENCRYPTED:
        return signature.value
    return text_at(load_object(encoded(signature.value)) or {}, "encrypted_content")
