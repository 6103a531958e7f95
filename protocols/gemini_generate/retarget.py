"""A request of the protocol for another model, and the seals in requests and answers."""

from collections.abc import Mapping

from protocols.base import Carry, Keep
from protocols.gemini_generate.request_write import marked
from protocols.gemini_generate.shapes import SSE_QUERY
from protocols.model.wirejson import JsonObject, each_at, inside, object_at, objects_at, text_at
from protocols.shared.signatures import carried_in, kept_in

_SIGNATURES = ("thoughtSignature", "thought_signature")
_INNER = ("request", "generateContentRequest")
_WHOLE, _STREAM = ":generateContent", ":streamGenerateContent"
_CONTENT = frozenset({"text", "thought"})


def turned(target: str, *, stream: bool) -> str:
    """Path and query that ask for the answer as a stream of events, or whole; the rest of the query stays."""
    path, _, query = target.partition("?")
    before, after = (_WHOLE, _STREAM) if stream else (_STREAM, _WHOLE)
    if not path.endswith(before):
        return target
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("alt=")]
    pairs = "&".join([*kept, SSE_QUERY] if stream else kept)
    return path.removesuffix(before) + after + ("?" if pairs else "") + pairs


def renamed(body: JsonObject, model: str) -> JsonObject:
    """`body` with every mention of its model changed: Code Assist names it beside the request, counts and
    embeddings as `models/...` inside. The same object where there is none."""
    new: dict[str, object] = {}
    if "model" in body:
        new["model"] = _named(text_at(body, "model"), model)
    for name in _INNER:
        inner = object_at(body, name)
        if inner and (renewed := renamed(inner, model)) is not inner:
            new[name] = renewed
    if "requests" in body:
        new["requests"] = [renamed(each, model) for each in objects_at(body, "requests")]
    return {**body, **new} if new else body


def _named(before: str, model: str) -> str:
    return "models/" + model.removeprefix("models/") if before.startswith("models/") else model


def unsealed(body: Mapping[str, object], keep: Keep) -> Mapping[str, object]:
    """`body` with its signatures as `keep` gives them, without parts that hold nothing but reasoning whose
    signature is not kept; the first call of such a turn is marked as made by another model."""
    body = inside(body, "request", lambda request: unsealed(request, keep))
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


def sealed(answer: JsonObject, carry: Carry) -> JsonObject:
    """An answer, or one chunk of it, with its signatures as `carry` gives them."""
    answer = inside(answer, "response", lambda response: sealed(response, carry))
    return each_at(answer, "candidates", lambda candidate: _carried_candidate(candidate, carry))


def _carried_candidate(candidate: JsonObject, carry: Carry) -> JsonObject:
    return inside(
        candidate,
        "content",
        lambda content: each_at(content, "parts", lambda part: carried_in(part, _SIGNATURES, carry)),
    )
