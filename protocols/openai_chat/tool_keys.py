"""Which tool call a fragment of an answer belongs to, and of what kind it is."""

from dataclasses import dataclass, field

from protocols.model.parts import ToolKind
from protocols.model.wirejson import JsonObject, text_at


@dataclass(slots=True)
class ToolKeys:
    """Which call of a choice a fragment belongs to, as (index, id): measured, compatible providers omit the
    index or send 0 for every call."""

    _known: dict[object, tuple[object, str]] = field(default_factory=dict)
    """By index, the key that it had last."""
    _last: tuple[object, str] | None = None
    """The key of the last fragment."""

    def of(self, tool: JsonObject) -> tuple[object, str]:
        index, tool_id = _index(tool), text_at(tool, "id")
        known = self._last if index is None and not tool_id else self._known.get(index)
        if known is None or (tool_id and known[1] and tool_id != known[1]):
            known = self._known[index] = (index, tool_id)
        self._last = known
        return known


def tool_kind(tool: JsonObject) -> ToolKind:
    """Measured: fragments may lack the type; Snowflake's calls have an empty `custom` beside `function`."""
    custom = text_at(tool, "type") == "custom" or ("function" not in tool and "custom" in tool)
    return ToolKind.CUSTOM if custom else ToolKind.FUNCTION


def _index(tool: JsonObject) -> int | str | None:
    index = tool.get("index")
    return index if isinstance(index, int | str) else None
