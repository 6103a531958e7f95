"""What we put where the provider has its own seals, so that it can be told when the client sends it back.

Thinking that was cut before its signature, and sources that another provider cited, come back with the
next request; the provider refuses both, since it signed neither. Each gets a carrier of no provider.
"""

from collections.abc import Iterator

from protocols.parts import Seal
from protocols.seals import is_carrier, wrapped
from protocols.wirejson import JsonObject, objects_at, text_at

CUT = wrapped(Seal("cut", ""), "").value
"""The signature of thinking that has none."""

SOURCE = wrapped(Seal("source", ""), "").value
"""The `encrypted_index` of a source that another provider cited."""

_SEALED_IN = ("signature", "data")
_THINKING = ("thinking", "redacted_thinking")


def unsealed(body: JsonObject) -> JsonObject:
    """A request's body without the blocks of thinking and the citations whose seal is a carrier, and
    without messages that hold nothing else; the same object if there are none."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    kept = [kept for message in messages for kept in _message(message)]
    unchanged = len(kept) == len(messages) and all(a is b for a, b in zip(kept, messages, strict=True))
    return body if unchanged else {**body, "messages": kept}


def _message(message: object) -> Iterator[object]:
    if not isinstance(message, dict) or not isinstance(content := message.get("content"), list):
        yield message
        return
    kept = [_uncited(block) for block in content if not _is_foreign(block)]
    if len(kept) == len(content) and all(a is b for a, b in zip(kept, content, strict=True)):
        yield message
    elif kept:
        yield {**message, "content": kept}


def _is_foreign(block: object) -> bool:
    if not isinstance(block, dict) or block.get("type") not in _THINKING:
        return False
    return any(is_carrier(text_at(block, field)) for field in _SEALED_IN)


def _uncited(block: object) -> object:
    """A block of text without the citations that are marked."""
    if not isinstance(block, dict):
        return block
    cited = objects_at(block, "citations")
    kept = [each for each in cited if not is_carrier(text_at(each, "encrypted_index"))]
    return block if len(kept) == len(cited) else {**block, "citations": kept or None}
