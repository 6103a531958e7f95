"""Whether a request begins a turn of its user. One that ends with what tools gave goes on with the turn."""

from collections.abc import Mapping

from protocols.model.prompt import Message, Prompt, Role, ToolResult
from rewrite.fields.paths import MISSING, Steps, at_step, found_at, is_object, parse_path

_LAST: Mapping[str, tuple[Steps, Steps]] = {
    "openai_chat": (parse_path("messages[-1]"), parse_path("content.*")),
    "ollama_chat": (parse_path("messages[-1]"), parse_path("content.*")),
    "openai_responses": (parse_path("input[-1]"), parse_path("content.*")),
    "anthropic_messages": (parse_path("messages[-1]"), parse_path("content.*")),
    "gemini_generate": (parse_path("contents[-1]"), parse_path("parts.*")),
}
"""Where the last message of a request is, by protocol, and from there on the pieces that it has."""


def begins_turn(request: object, protocol: str) -> bool:
    """Whether the last that a request says is its user's own, and not what a tool gave."""
    if isinstance(request, Prompt):
        return bool(request.messages) and _is_users_own(request.messages[-1])
    if protocol not in _LAST:
        return True
    last, pieces = _LAST[protocol]
    message = next(found_at(request, last), MISSING)
    if not is_object(message):
        return True  # a bare text
    if at_step(message, "role") not in ("user", MISSING) or "output" in str(at_step(message, "type")):
        return False
    said = list(found_at(message, pieces))
    return not said or not any(_is_result(piece) for piece in said)


def _is_users_own(message: Message) -> bool:
    given = any(isinstance(each, ToolResult) for each in message.content)
    return message.role is Role.USER and not given


def _is_result(piece: object) -> bool:
    return at_step(piece, "type") == "tool_result" or at_step(piece, "functionResponse") is not MISSING
