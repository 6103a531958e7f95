"""What we put where the provider has its own signatures, to be known when the client sends it back.

Thinking that was cut before its signature, and sources that another provider cited, come back with the
next request; the provider refuses both, since it signed neither. Each gets an envelope of no provider.
"""

from protocols.anthropic_messages.request_write_turns import closes_with_bare_call
from protocols.base import Keep, Wrap
from protocols.model.parts import Signature
from protocols.model.wirejson import JsonObject, each_at, inside, object_at, objects_at, text_at
from protocols.shared.signatures import kept_in, wrapped, wrapped_in

CUT = wrapped(Signature("cut", ""), "").value
"""The signature of thinking that has none."""

SOURCE = wrapped(Signature("source", ""), "").value
"""The `encrypted_index` of a source that another provider cited."""

_SIGNED_FIELDS = ("signature", "data")
_CITED_IN = ("encrypted_index",)
_THINKING = ("thinking", "redacted_thinking")


def own_signatures(body: JsonObject, keep: Keep) -> JsonObject:
    """A request's body with the signatures of thinking and citations as `keep` gives them.

    The blocks of thinking and the citations that it does not keep are gone, and so are messages that hold
    nothing else.

    Documented: thinking by a budget cannot continue a tool call that no thinking stands before; where
    that is gone, this answer is asked for without.
    """
    found = each_at(body, "messages", lambda message: _kept_message(message, keep))
    if found is body or text_at(object_at(body, "thinking"), "type") != "enabled":
        return found
    bare = closes_with_bare_call(objects_at(found, "messages"))
    return {name: value for name, value in found.items() if name != "thinking" or not bare}


def _kept_message(message: JsonObject, keep: Keep) -> JsonObject | None:
    found = each_at(message, "content", lambda block: _kept_block(block, keep))
    return None if found is not message and not found["content"] else found


def _kept_block(block: JsonObject, keep: Keep) -> JsonObject | None:
    if block.get("type") in _THINKING:
        return kept_in(block, _SIGNED_FIELDS, keep)
    found = each_at(block, "citations", lambda source: kept_in(source, _CITED_IN, keep))
    return found if found is block or found["citations"] else {**found, "citations": None}


def wrap_signatures(answer: JsonObject, wrap: Wrap) -> JsonObject:
    """A message, or an event of one, with its signatures as `wrap` gives them."""
    answer = inside(answer, "content_block", lambda block: _wrapped_block(block, wrap))
    answer = inside(answer, "delta", lambda delta: _wrapped_delta(delta, wrap))
    return each_at(answer, "content", lambda block: _wrapped_block(block, wrap))


def _wrapped_block(block: JsonObject, wrap: Wrap) -> JsonObject:
    if block.get("type") in _THINKING:
        return wrapped_in(block, _SIGNED_FIELDS, wrap)
    return each_at(block, "citations", lambda source: wrapped_in(source, _CITED_IN, wrap))


def _wrapped_delta(delta: JsonObject, wrap: Wrap) -> JsonObject:
    if delta.get("type") == "signature_delta":
        return wrapped_in(delta, _SIGNED_FIELDS, wrap)
    return inside(delta, "citation", lambda source: wrapped_in(source, _CITED_IN, wrap))
