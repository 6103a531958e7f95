"""A request that asks to continue an answer of which a part was said."""

from protocols.gemini_generate.request_forms import spelled
from protocols.model.wirejson import JsonObject, extended, object_at

_NAMES = frozenset({"allowedFunctionNames", "allowed_function_names"})


def continue_request(body: JsonObject, said: str, ask: str) -> JsonObject:
    """See `protocols.base.Editor`; also in the envelope of Code Assist."""
    if "contents" not in body and (request := object_at(body, "request")):
        return {**body, "request": continue_request(request, said, ask)}
    if not said.strip():
        return extended(body, "contents", _turn("user", ask))
    turns = (_turn("model", said), _turn("user", ask))
    return {**extended(body, "contents", *turns), **_left_to_the_model(body)}


def _turn(role: str, text: str) -> JsonObject:
    return {"role": role, "parts": [{"text": text}]}


def _left_to_the_model(body: JsonObject) -> JsonObject:
    """In the spelling that the client chose. Names are taken beside a mode that demands a call alone."""
    freed: dict[str, object] = {}
    for name in ("toolConfig", "tool_config"):
        config = object_at(body, name)
        for inner in ("functionCallingConfig", "function_calling_config"):
            calling = object_at(config, inner)
            if spelled(calling).get("mode") in ("ANY", "any"):
                kept = {key: value for key, value in calling.items() if key not in _NAMES}
                freed[name] = {**config, inner: {**kept, "mode": "AUTO"}}
    return freed
