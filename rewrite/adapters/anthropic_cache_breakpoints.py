"""anthropic_cache_breakpoints: prompt caching for clients of anthropic_messages that never ask for it.

Marks `"cache_control": {"type": "ephemeral"}` on the last tool, on the last block of `system`, and on the
last block of each of the last two messages of the user: four, as many as the provider takes, and two in
the conversation so that the next turn finds what this one wrote. A request that has one mark already is
left alone: its client knows what it does. A text becomes a block of text to bear its mark. Passed over is
what the provider refuses to mark: an empty text, and a tool whose loading is deferred.

Loses nothing of what is said; writing to the cache costs more than plain input, reading from it less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from protocols.model.wirejson import JsonObject, objects_at
from rewrite.adapters.base import Context, Factory, Options, Unchanged

MARK: JsonObject = {"type": "ephemeral"}
_LAST_MESSAGES = 2


@dataclass(frozen=True, slots=True)
class AnthropicCacheBreakpoints(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "anthropic_cache_breakpoints"

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        if context.protocol != "anthropic_messages" or any(map(_has_mark, _markable(body))):
            return body
        marked = {
            "tools": _marked_tools(body.get("tools")),
            "system": _marked_content(body.get("system")),
            "messages": _marked_messages(body.get("messages")),
        }
        new = {field: value for field, value in marked.items() if value is not body.get(field)}
        return {**body, **new} if new else body


def _has_mark(value: JsonObject) -> bool:
    return value.get("cache_control") is not None


def _markable(body: JsonObject) -> Iterator[JsonObject]:
    """Every object that may bear a mark: the request itself, too."""
    yield body
    yield from objects_at(body, "tools")
    yield from objects_at(body, "system")
    for message in objects_at(body, "messages"):
        for block in objects_at(message, "content"):
            yield block
            yield from objects_at(block, "content")


def _marked_tools(tools: object) -> object:
    if not isinstance(tools, list):
        return tools
    places = [at for at, tool in enumerate(tools) if isinstance(tool, dict) and not tool.get("defer_loading")]
    return _replaced(tools, places[-1], _marked(tools[places[-1]])) if places else tools


def _marked_content(content: object) -> object:
    """A text or a list of blocks with its last block marked."""
    if isinstance(content, str) and content:
        return [_marked({"type": "text", "text": content})]
    if isinstance(content, list) and content and _takes_mark(content[-1]):
        return _replaced(content, len(content) - 1, _marked(content[-1]))
    return content


def _takes_mark(block: object) -> bool:
    return isinstance(block, dict) and (block.get("type") != "text" or bool(block.get("text")))


def _marked_messages(messages: object) -> object:
    if not isinstance(messages, list):
        return messages
    asked = [at for at, one in enumerate(messages) if isinstance(one, dict) and one.get("role") == "user"]
    new = messages
    for at in asked[-_LAST_MESSAGES:]:
        content = messages[at].get("content")
        marked = _marked_content(content)
        if marked is not content:
            new = _replaced(new, at, {**messages[at], "content": marked})
    return new


def _marked(value: JsonObject) -> JsonObject:
    return {**value, "cache_control": MARK}


def _replaced(values: list[object], at: int, value: object) -> list[object]:
    return [*values[:at], value, *values[at + 1 :]]


def _make(_: Options) -> AnthropicCacheBreakpoints:
    return AnthropicCacheBreakpoints()


ADAPTER = Factory(AnthropicCacheBreakpoints.name, _make)
