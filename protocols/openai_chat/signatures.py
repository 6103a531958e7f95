"""Signatures where they stand in the protocol's requests and answers."""

from protocols.base import Keep, Wrap
from protocols.model.wirejson import JsonObject, each_at, inside, object_at
from protocols.shared.signatures import kept_in, wrapped_in

_SIGNED_FIELDS = ("data", "signature")
_SIGNED_IN = ("thought_signature",)


def own_signatures(body: JsonObject, keep: Keep) -> JsonObject:
    """A request's body with the signatures, those among `reasoning_details` too, as `keep` gives them."""
    return each_at(body, "messages", lambda message: _kept_message(message, keep))


def _kept_message(message: JsonObject, keep: Keep) -> JsonObject:
    found = each_at(message, "reasoning_details", lambda item: kept_in(item, _SIGNED_FIELDS, keep))
    if found is not message and not found["reasoning_details"]:
        found = _replaced(found, "reasoning_details", None)
    found = _kept_signature(found, keep)
    return each_at(found, "tool_calls", lambda call: _kept_signature(call, keep))


def _kept_signature(holder: JsonObject, keep: Keep) -> JsonObject:
    extra = object_at(holder, "extra_content")
    google = object_at(extra, "google")
    kept = kept_in(google, _SIGNED_IN, keep)
    if kept is google:
        return holder
    if kept is None:
        kept = _replaced(google, "thought_signature", None)
    return _replaced(holder, "extra_content", _replaced(extra, "google", kept))


def _replaced(mapping: JsonObject, name: str, value: object) -> JsonObject:
    """`mapping` with another `value`, or without the field where that is empty."""
    rest = {key: each for key, each in mapping.items() if key != name or value}
    return {**rest, name: value} if value else rest


def wrap_signatures(answer: JsonObject, wrap: Wrap) -> JsonObject:
    """A completion, or one chunk of it, with its signatures as `wrap` gives them."""
    return each_at(answer, "choices", lambda choice: _wrapped_choice(choice, wrap))


def _wrapped_choice(choice: JsonObject, wrap: Wrap) -> JsonObject:
    for name in ("delta", "message"):
        choice = inside(choice, name, lambda said: _wrapped_message(said, wrap))
    return choice


def _wrapped_message(said: JsonObject, wrap: Wrap) -> JsonObject:
    said = each_at(said, "reasoning_details", lambda item: wrapped_in(item, _SIGNED_FIELDS, wrap))
    said = _wrapped_signature(said, wrap)
    return each_at(said, "tool_calls", lambda call: _wrapped_signature(call, wrap))


def _wrapped_signature(holder: JsonObject, wrap: Wrap) -> JsonObject:
    def of_google(google: JsonObject) -> JsonObject:
        return wrapped_in(google, _SIGNED_IN, wrap)

    return inside(holder, "extra_content", lambda extra: inside(extra, "google", of_google))
