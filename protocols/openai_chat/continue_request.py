"""A request that asks to continue an answer of which a part was said."""

from protocols.model.wirejson import JsonObject, extended, object_at, text_at

_DEMANDED = "required"


def continue_request(body: JsonObject, said: str, ask: str) -> JsonObject:
    """See `protocols.base.Editor`."""
    prompt = {"role": "user", "content": ask}
    if not said.strip():
        return extended(body, "messages", prompt)
    turns = ({"role": "assistant", "content": said}, prompt)
    return {**extended(body, "messages", *turns), **_left_to_the_model(body)}


def _left_to_the_model(body: JsonObject) -> JsonObject:
    """The choices that demand a call, as they are when they do not; the older one demands by a name."""
    freed: dict[str, object] = {}
    choice = body.get("tool_choice")
    if choice == _DEMANDED or text_at(object_at(body, "tool_choice"), "type") in ("function", "custom"):
        freed["tool_choice"] = "auto"
    allowed = object_at(object_at(body, "tool_choice"), "allowed_tools")
    if text_at(allowed, "mode") == _DEMANDED:
        freed["tool_choice"] = {
            **object_at(body, "tool_choice"),
            "allowed_tools": {**allowed, "mode": "auto"},
        }
    if object_at(body, "function_call"):
        freed["function_call"] = "auto"
    return freed
