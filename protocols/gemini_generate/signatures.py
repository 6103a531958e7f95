"""Signatures where they stand in the protocol's requests and answers."""

from protocols.base import Keep, Wrap
from protocols.gemini_generate.request_write import marked
from protocols.model.wirejson import JsonObject, each_at, inside, objects_at, text_at
from protocols.shared.signatures import kept_in, wrapped_in

_SIGNATURES = ("thoughtSignature", "thought_signature")
_CONTENT = frozenset({"text", "thought"})


def own_signatures(body: JsonObject, keep: Keep) -> JsonObject:
    """`body` with its signatures as `keep` gives them, without parts that hold nothing but reasoning whose
    signature is not kept; the first call of such a turn is marked as made by another model."""
    body = inside(body, "request", lambda request: own_signatures(request, keep))
    return each_at(body, "contents", lambda content: _kept_content(content, keep))


def _kept_content(content: JsonObject, keep: Keep) -> JsonObject | None:
    found = each_at(content, "parts", lambda part: _kept_part(part, keep))
    if found is content:
        return content
    parts = objects_at(found, "parts")
    return {**found, "parts": marked(parts)} if parts else None


def _kept_part(part: JsonObject, keep: Keep) -> JsonObject | None:
    """What is left of a part."""
    kept = kept_in(part, _SIGNATURES, keep)
    if kept is not None:
        return kept
    rest = {name: value for name, value in part.items() if name not in _SIGNATURES}
    said = text_at(rest, "text") and rest.get("thought") is not True
    return rest if said or rest.keys() - _CONTENT else None


def wrap_signatures(answer: JsonObject, wrap: Wrap) -> JsonObject:
    """An answer, or one chunk of it, with its signatures as `wrap` gives them."""
    answer = inside(answer, "response", lambda response: wrap_signatures(response, wrap))
    return each_at(answer, "candidates", lambda candidate: _wrapped_candidate(candidate, wrap))


def _wrapped_candidate(candidate: JsonObject, wrap: Wrap) -> JsonObject:
    return inside(
        candidate,
        "content",
        lambda content: each_at(content, "parts", lambda part: wrapped_in(part, _SIGNATURES, wrap)),
    )
