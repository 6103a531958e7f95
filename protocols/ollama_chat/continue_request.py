"""A request that asks to continue an answer of which a part was said."""

from protocols.model.wirejson import JsonObject, extended


def continue_request(body: JsonObject, said: str, ask: str) -> JsonObject:
    """See `protocols.base.Editor`. The protocol knows of no choice of tools."""
    turns = [{"role": "assistant", "content": said}] if said.strip() else []
    return extended(body, "messages", *turns, {"role": "user", "content": ask})
