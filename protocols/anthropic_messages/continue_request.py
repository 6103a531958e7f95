"""A request that asks to continue an answer of which a part was said."""

from protocols.model.wirejson import JsonObject, extended, object_at, text_at

_DEMANDING = frozenset({"any", "tool"})


def continue_request(body: JsonObject, said: str, ask: str) -> JsonObject:
    """See `protocols.base.Editor`."""
    if not said.strip():
        return extended(body, "messages", _turn("user", ask))
    turns = (_turn("assistant", said), _turn("user", ask))
    return {**extended(body, "messages", *turns), **_left_to_the_model(body)}


def _turn(role: str, text: str) -> JsonObject:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _left_to_the_model(body: JsonObject) -> JsonObject:
    choice = object_at(body, "tool_choice")
    if text_at(choice, "type") not in _DEMANDING:
        return {}
    kept = {name: value for name, value in choice.items() if name != "name"}
    return {"tool_choice": {**kept, "type": "auto"}}
