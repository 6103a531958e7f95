"""What a request of a client says beside its messages: tools, thinking, limits, sampling."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from protocols.model.errors import Untranslatable
from protocols.model.prompt import Effort, ResponseFormat, Thinking, Tool, ToolChoice, ToolMode
from protocols.model.wirejson import (
    JsonObject,
    beside,
    count_at,
    flag_at,
    number_at,
    object_at,
    objects_at,
    text_at,
    texts_at,
)

_READ = frozenset(
    """
    model messages system stream tools tool_choice max_tokens temperature top_p top_k stop_sequences
    thinking output_config output_format metadata service_tier mcp_servers container
    """.split()
)
_CHOICES: Mapping[str, ToolMode] = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.REQUIRED,
    "none": ToolMode.NONE,
}
_SERVICE_TIERS: Mapping[str, str] = {"standard_only": "default"}
"""Where the word differs from the field's."""

_AS_IT_LIKES = -1


class Knobs(TypedDict):
    """Fields of `Prompt`."""

    tools: tuple[Tool, ...]
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    max_output: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    stop: tuple[str, ...]
    response_format: ResponseFormat | None
    thinking: Thinking | None
    user: str | None
    metadata: Mapping[str, object] | None
    service_tier: str | None
    extensions: Mapping[str, object]


def knobs(body: JsonObject) -> Knobs:
    """Raises Untranslatable for tools and places that only the provider has."""
    for field in ("mcp_servers", "container"):
        if body.get(field):
            raise Untranslatable(field, "only the provider that the client meant has such a thing")
    choice, metadata = object_at(body, "tool_choice"), object_at(body, "metadata")
    tier = text_at(body, "service_tier")
    return Knobs(
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(objects_at(body, "tools"))),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if flag_at(choice, "disable_parallel_tool_use") else None,
        max_output=count_at(body, "max_tokens"),
        temperature=number_at(body, "temperature"),
        top_p=number_at(body, "top_p"),
        top_k=count_at(body, "top_k"),
        stop=texts_at(body, "stop_sequences"),
        response_format=_response_format(body),
        thinking=thinking_of(body),
        user=text_at(metadata, "user_id") or None,
        metadata=beside(metadata, ["user_id"]) or None,
        service_tier=_SERVICE_TIERS.get(tier, tier) or None,
        extensions=_extensions(body),
    )


def _tool(tool: JsonObject, where: str) -> Tool:
    """Lossy: who may call it, whether it is loaded late or streamed early, and examples of its input.

    A tool with another type is the provider's own. It runs some of them; of others (bash, text editor,
    computer, memory) only its models know the schema.
    """
    kind = text_at(tool, "type")
    if kind not in ("", "custom"):
        raise Untranslatable(f"{where}.type", f"{kind} is a tool that only its own provider knows")
    if not text_at(tool, "name"):
        raise Untranslatable(f"{where}.name", "a tool needs a name")
    schema = tool.get("input_schema")
    return Tool(
        text_at(tool, "name"),
        text_at(tool, "description"),
        schema if isinstance(schema, dict) else None,
        flag_at(tool, "strict"),
        cache=bool(tool.get("cache_control")),
    )


def _tool_choice(choice: JsonObject) -> ToolChoice | None:
    if not choice:
        return None
    mode = _CHOICES.get(text_at(choice, "type"))
    if mode is None:
        raise Untranslatable("tool_choice.type", f"no such choice: {text_at(choice, 'type')!r}")
    return ToolChoice(mode, texts_at(choice, "name"))


def _response_format(body: JsonObject) -> ResponseFormat | None:
    """`output_format` is what `output_config.format` was called before."""
    config = object_at(body, "output_config")
    named = {
        "output_config.format": object_at(config, "format"),
        "output_format": object_at(body, "output_format"),
    }
    for field, wanted in named.items():
        if wanted and text_at(wanted, "type") != "json_schema":
            raise Untranslatable(f"{field}.type", f"no such format: {text_at(wanted, 'type')!r}")
        if wanted:
            return ResponseFormat(object_at(wanted, "schema"))
    return None


def thinking_of(body: JsonObject) -> Thinking | None:
    """Effort counts where it is said, also without thinking: that is how it is said to the newest models.

    A budget stands before it; "adaptive" without effort is a budget as the model likes.
    """
    thinking = object_at(body, "thinking")
    effort, shown = _effort(body), _shown(thinking)
    match text_at(thinking, "type"):
        case "":
            return Thinking(effort) if effort else None
        case "disabled":
            return Thinking(Effort.NONE)
        case "enabled":
            return Thinking(budget=count_at(thinking, "budget_tokens"), shown=shown is not False)
        case _:
            return Thinking(effort, None if effort else _AS_IT_LIKES, shown)


def _effort(body: JsonObject) -> Effort | None:
    effort = text_at(object_at(body, "output_config"), "effort")
    return Effort(effort) if effort in tuple(Effort) else None


def _shown(thinking: JsonObject) -> bool | None:
    display = text_at(thinking, "display")
    return display != "omitted" if display else None


def _extensions(body: JsonObject) -> Mapping[str, object]:
    """What is read nowhere, also of the output's configuration."""
    understood: Sequence[str] = ("format", "effort") if _effort(body) else ("format",)
    config = beside(object_at(body, "output_config"), understood)
    return beside(body, _READ) | ({"output_config": config} if config else {})
