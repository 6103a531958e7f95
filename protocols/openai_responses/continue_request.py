"""A request that asks to continue an answer of which a part was said."""

from protocols.model.wirejson import JsonObject, extended, object_at, text_at

_DEMANDED = "required"
_ALLOWED = "allowed_tools"


def continue_request(body: JsonObject, said: str, ask: str) -> JsonObject:
    """See `protocols.base.Editor`. An input that is a bare text is the user's."""
    first = body.get("input")
    listed = {**body, "input": [_turn("user", "input_text", first)]} if isinstance(first, str) else body
    prompt = _turn("user", "input_text", ask)
    if not said.strip():
        return extended(listed, "input", prompt)
    turns = (_turn("assistant", "output_text", said), prompt)
    return {**extended(listed, "input", *turns), **_left_to_the_model(body)}


def _turn(role: str, kind: str, text: str) -> JsonObject:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _left_to_the_model(body: JsonObject) -> JsonObject:
    """A choice that is an object names the tool to call, or those that may be."""
    choice = object_at(body, "tool_choice")
    if text_at(choice, "type") == _ALLOWED:
        demanded = choice.get("mode") == _DEMANDED
        return {"tool_choice": {**choice, "mode": "auto"}} if demanded else {}
    return {"tool_choice": "auto"} if choice or body.get("tool_choice") == _DEMANDED else {}
