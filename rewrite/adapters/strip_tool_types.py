"""strip_tool_types: a plain client tool of anthropic_messages without its shorthand `"type": "custom"`.

Providers that know the older form only answer 400 to the shorthand. A tool with another type
(`web_search_20250305`, `bash_20250124`) or without a name and an input schema of its own is left alone, and
so are other protocols, where `custom` means a tool that takes free text.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Factory, Options, Unchanged
from rewrite.fields.paths import changed_at, without


@dataclass(frozen=True, slots=True)
class StripToolTypes(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "strip_tool_types"

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        return changed_at(body, ("tools",), _stripped) if context.protocol == "anthropic_messages" else body


def _stripped(tool: JsonObject) -> JsonObject:
    plain = "name" in tool and isinstance(tool.get("input_schema"), dict) and "custom" not in tool
    return without(tool, ("type",)) if plain and tool.get("type") == "custom" else tool


def _make(_: Options) -> StripToolTypes:
    return StripToolTypes()


ADAPTER = Factory(StripToolTypes.name, _make)
