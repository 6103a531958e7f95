"""A request of the protocol for another model, and without the seals of other providers."""

from collections.abc import Iterator, Mapping

from protocols.gemini_generate.render import marked
from protocols.gemini_generate.shapes import SSE_QUERY
from protocols.seals import is_carrier
from protocols.wirejson import JsonObject, object_at, objects_at, text_at

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


def unsealed(body: Mapping[str, object]) -> Mapping[str, object]:
    """`body` without parts that hold nothing but another provider's reasoning; the first call of such a turn
    is marked as made by another model. The same object if there is none."""
    if isinstance(body.get("request"), dict):
        request = object_at(body, "request")
        inner = unsealed(request)
        return body if inner is request else {**body, "request": inner}
    contents = objects_at(body, "contents")
    if not any(_carried(part) for content in contents for part in objects_at(content, "parts")):
        return body
    return {**body, "contents": list(_contents(contents))}


def _contents(contents: list[JsonObject]) -> Iterator[JsonObject]:
    for content in contents:
        parts = objects_at(content, "parts")
        kept = [new for part in parts if (new := _part(part)) is not None]
        if kept or not parts:
            yield content if kept == parts else {**content, "parts": marked(kept)}


def _carried(part: JsonObject) -> bool:
    return any(is_carrier(text_at(part, name)) for name in _SIGNATURES)


def _part(part: JsonObject) -> JsonObject | None:
    """What is left of a part."""
    if not _carried(part):
        return part
    rest = {name: value for name, value in part.items() if name not in _SIGNATURES}
    said = text_at(rest, "text") and rest.get("thought") is not True
    return rest if said or rest.keys() - _CONTENT else None
