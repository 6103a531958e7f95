"""A request of the protocol for another model, or asked for the other way: streamed or whole."""

import re
from collections.abc import Callable
from dataclasses import replace

from protocols.gemini_generate.request_forms import SSE_QUERY, in_envelope, spelled
from protocols.gemini_generate.request_write import path_of
from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.wirejson import JsonObject, object_at, objects_at, text_at

NAMED = re.compile(r"/(?P<kind>models|tunedModels|endpoints)/(?P<model>[^/:]+):(?P<method>\w+)$")
"""The end of a path that names its model."""

_IN_ENVELOPE = frozenset({Operation.GENERATE, Operation.COUNT_TOKENS})
_INNER = ("request", "generateContentRequest")
_CONFIGS = ("generationConfig", "generation_config")
_WHOLE, _STREAM = ":generateContent", ":streamGenerateContent"


def retarget(call: Call, destination: Destination) -> Rendered:
    path, body = _retargeted(call, destination), _renamed(call.body, destination.model)
    return Rendered(path, _wrapped(call, body, destination.model) if _is_wrapped(call, path) else body)


def unwrap(call: Call, path: str) -> Callable[[JsonObject], JsonObject] | None:
    """See `protocols.base.Editor`. Counts have no envelope, and neither has an error."""
    return _bare if _is_wrapped(call, path) else None


def _is_wrapped(call: Call, path: str) -> bool:
    return in_envelope(path) and not in_envelope(call.target)


def _bare(answer: JsonObject) -> JsonObject:
    return object_at(answer, "response") or answer


def _wrapped(call: Call, body: JsonObject, model: str) -> JsonObject:
    """Code Assist counts contents alone: what a client wants to have counted besides is left out."""
    if call.operation is Operation.GENERATE:
        return {"model": model, "request": {name: body[name] for name in body if name != "model"}}
    counted = object_at(body, "generateContentRequest") or body
    named = "models/" + model.removeprefix("models/")
    return {"request": {"model": named, "contents": objects_at(counted, "contents")}}


def with_stream(call: Call, stream: bool) -> Call:
    """The path says it; the body is the same."""
    target = _turned(call.target, stream=stream)
    return call if target == call.target else replace(call, target=target, stream=stream)


def _retargeted(call: Call, destination: Destination) -> str:
    """The call's own version and method, and of its query how the stream is framed: the rest is for the
    provider that was called. A tuned model is asked for in a place of its own.

    Raises Untranslatable for what is in the envelope of Code Assist and is to leave it, and for what that
    does not do.
    """
    path, _, asked = call.target.partition("?")
    query = "&".join(pair for pair in asked.split("&") if pair.startswith("alt="))
    mark = "?" if query else ""
    found = NAMED.search(path)
    if destination.path and in_envelope(path) and not in_envelope(destination.path):
        raise Untranslatable("request", "the envelope of Code Assist is not taken elsewhere")
    if in_envelope(destination.path) and call.operation not in _IN_ENVELOPE:
        raise Untranslatable("operation", f"Code Assist has no {call.operation}")
    if destination.path and call.operation is not Operation.MODELS:
        return path_of(destination, path.rpartition(":")[2], query)
    if found is None:
        return path + mark + query
    holder = "/publishers/google" if found["kind"] == "endpoints" else ""
    named = path_of(replace(destination, path=holder + "/models/{model}:{method}"), found["method"], "")
    return path[: found.start()] + named + mark + query


def _turned(target: str, *, stream: bool) -> str:
    """Path and query that ask for the answer as a stream of events, or whole; the rest of the query stays."""
    path, _, query = target.partition("?")
    before, after = (_WHOLE, _STREAM) if stream else (_STREAM, _WHOLE)
    if not path.endswith(before):
        return target
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("alt=")]
    pairs = "&".join([*kept, SSE_QUERY] if stream else kept)
    return path.removesuffix(before) + after + ("?" if pairs else "") + pairs


def _renamed(body: JsonObject, model: str) -> JsonObject:
    """`body` with every mention of its model changed: Code Assist names it beside the request, counts and
    embeddings as `models/...` inside. The same object where there is none."""
    new: dict[str, object] = {}
    if "model" in body:
        new["model"] = _named(text_at(body, "model"), model)
    for name in _INNER:
        inner = object_at(body, name)
        if inner and (renewed := _renamed(inner, model)) is not inner:
            new[name] = renewed
    if "requests" in body:
        new["requests"] = [_renamed(each, model) for each in objects_at(body, "requests")]
    return {**body, **new} if new else body


def _named(before: str, model: str) -> str:
    return "models/" + model.removeprefix("models/") if before.startswith("models/") else model


def with_limit(call: Call, limit: int, _: str) -> JsonObject:
    if not in_envelope(call.target):
        return _limited(call.body, limit)
    inner = object_at(call.body, "request")
    limited = _limited(inner, limit)
    return call.body if limited is inner else {**call.body, "request": limited}


def _limited(body: JsonObject, limit: int) -> JsonObject:
    name = next((each for each in _CONFIGS if each in body), _CONFIGS[0])
    config = object_at(body, name)
    stated = spelled(config).get("maxOutputTokens") is not None
    return body if stated else {**body, name: {**config, "maxOutputTokens": limit}}
