"""Tools in a request: which there are, who runs them, how they read and how they are written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from protocols.model.errors import Untranslatable
from protocols.model.parts import ToolKind
from protocols.model.prompt import Prompt, Tool, ToolChoice, ToolMode
from protocols.model.wirejson import JsonObject, flag_at, given, object_at, objects_at, text_at

ADDITIONAL = "additional_tools"
"""The input item by which a client adds tools to a running conversation."""

_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}
_TRANSLATED = frozenset({"function", "custom"})
_RUN_BY_CLIENT = frozenset({"function", "custom", "local_shell", "apply_patch"})
_COMPUTER = "computer"
_ACTING = ("mcp", "code", "shell", "programmatic")


def declared(body: JsonObject) -> list[tuple[str, str, JsonObject]]:
    """Each tool of a request with its place (dotted) and namespace: those of its own field first, then
    those that input items add."""
    found = list(_flat(objects_at(body, "tools"), "tools", ""))
    for index, item in enumerate(objects_at(body, "input")):
        if text_at(item, "type") == ADDITIONAL:
            found += _flat(objects_at(item, "tools"), f"input[{index}].tools", "")
    return found


def _flat(tools: Iterable[JsonObject], place: str, space: str) -> Iterator[tuple[str, str, JsonObject]]:
    for index, tool in enumerate(tools):
        here = f"{place}[{index}]"
        if text_at(tool, "type") == "namespace":
            yield from _flat(objects_at(tool, "tools"), f"{here}.tools", text_at(tool, "name"))
        else:
            yield here, space, tool


def is_hosted(tool: JsonObject) -> bool:
    """Whether the provider runs it: all but those known to be the client's."""
    kind = text_at(tool, "type")
    if kind == "shell":
        return text_at(object_at(tool, "environment"), "type") not in ("", "local")
    if kind == "tool_search":
        return tool.get("execution") != "client"
    return bool(kind) and kind not in _RUN_BY_CLIENT and not kind.startswith(_COMPUTER)


def is_acting(tool: JsonObject) -> bool:
    return is_hosted(tool) and text_at(tool, "type").startswith(_ACTING)


# -- reading ----------------------------------------------------------------------------------------------


def read_tools(body: JsonObject) -> tuple[Tool, ...]:
    """Raises Untranslatable for any tool that is neither a function nor custom."""
    return tuple(_tool(tool, space, place) for place, space, tool in declared(body))


def _tool(tool: JsonObject, space: str, place: str) -> Tool:
    kind = text_at(tool, "type")
    if kind not in _TRANSLATED:
        raise Untranslatable(f"{place}.type", f"no other provider has the tool {kind!r}")
    name, description = text_at(tool, "name"), text_at(tool, "description")
    if kind == "custom":
        form = object_at(tool, "format")
        grammar = form if text_at(form, "type") not in ("", "text") else None
        return Tool(name, description, kind=ToolKind.CUSTOM, namespace=space, grammar=grammar)
    parameters = object_at(tool, "parameters") or None
    return Tool(name, description, parameters, flag_at(tool, "strict"), namespace=space)


def read_choice(choice: object) -> ToolChoice | None:
    """Raises Untranslatable where a hosted tool is forced."""
    if isinstance(choice, str):
        return ToolChoice(ToolMode(choice)) if choice in set(ToolMode) else None
    if not isinstance(choice, dict):
        return None
    kind = text_at(choice, "type")
    if kind in _TRANSLATED:
        return ToolChoice(ToolMode.REQUIRED, (text_at(choice, "name"),))
    if kind != "allowed_tools":
        raise Untranslatable("tool_choice.type", f"no other provider has the tool {kind!r}")
    mode = ToolMode.REQUIRED if choice.get("mode") == ToolMode.REQUIRED else ToolMode.AUTO
    return ToolChoice(mode, tuple(text_at(tool, "name") for tool in objects_at(choice, "tools")))


# -- writing ----------------------------------------------------------------------------------------------


def written_tools(tools: Sequence[Tool]) -> list[JsonObject] | None:
    """Tools of one namespace that stand together become one, without the description that it had."""
    found: list[JsonObject] = []
    for space, group in groupby(tools, key=lambda tool: tool.namespace):
        written = [_written(tool) for tool in group]
        nested = {"type": "namespace", "name": space, "description": "", "tools": written}
        found += [nested] if space else written
    return found or None


def _written(tool: Tool) -> JsonObject:
    """A function is strict here unless the request says that it is not, elsewhere the other way round."""
    if tool.kind is ToolKind.CUSTOM:
        form = tool.grammar or {"type": "text"}
        return {"type": "custom", "name": tool.name, "description": tool.description, "format": form}
    return {
        "type": "function",
        "name": tool.name,
        **given(description=tool.description or None),
        "parameters": tool.parameters or _NO_PARAMETERS,
        "strict": bool(tool.strict),
    }


def written_choice(prompt: Prompt) -> object:
    choice = prompt.tool_choice
    if choice is None or not choice.names:
        return choice.mode.value if choice else None
    kinds = {tool.name: tool.kind.value for tool in prompt.tools}
    named = [{"type": kinds.get(name, "function"), "name": name} for name in choice.names]
    if choice.mode is ToolMode.REQUIRED and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode.value, "tools": named}
