"""Prompts to requests of the provider, and what of a prompt gets lost on the way."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from protocols.anthropic_messages.request_write_thinking import Plan, plan
from protocols.anthropic_messages.request_write_turns import (
    CACHE,
    closes_with_bare_call,
    split,
    texts,
    tool_names,
    turns,
)
from protocols.model.call import Destination, Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import Headers
from protocols.model.prompt import (
    Prompt,
    ResponseFormat,
    Text,
    Tool,
    ToolChoice,
    ToolMode,
)
from protocols.model.wirejson import JsonObject, given

VERSION: Headers = (("anthropic-version", "2023-06-01"),)
JSON_ONLY = "Answer with one JSON object and nothing else: no words around it, no code fence."
"""How JSON of any form is asked for: the provider has a word only for JSON of a schema."""

_PATHS = {Operation.GENERATE: "", Operation.COUNT_TOKENS: "/count_tokens"}
_PATH = "/v1/messages"
_MODELS = "/v1/models"
_SERVICE_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only"}
_SMALLEST_TOP_P = 0.95


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
    """See `protocols.base.Translator`; the losses are those of `losses.ABILITIES`.

    Raises Untranslatable for a conversation without messages, a tool call without a name, and a file that is
    neither PDF nor text.
    """
    opening, messages = split(prompt.messages)
    written = turns(messages)
    tools = _tools(prompt)
    may_think = destination.thinking == "effort" or not closes_with_bare_call(written)
    thinking = plan(prompt, destination, may_think=may_think)
    body = {
        "model": destination.model,
        "max_tokens": thinking.max_tokens,
        **given(system=_system(prompt, opening), tools=tools or None),
        **given(tool_choice=_tool_choice(prompt) if tools else None),
        "messages": written,
        **given(thinking=thinking.config, output_config=_output_config(prompt, thinking) or None),
        **_sampling(prompt, thinking),
        **_rest(prompt),
    }
    return Rendered(path(destination, Operation.GENERATE), body, VERSION, tuple(_left_out(prompt, body)))


def _left_out(prompt: Prompt, body: JsonObject) -> Iterator[tuple[str, str]]:
    """What depends on the rest of the request: what was asked for, and is not in `body` as it was asked."""
    for name in ("temperature", "top_p", "top_k"):
        asked, sent = getattr(prompt, name), body.get(name)
        if asked is not None and asked != sent:
            yield name, "left out beside the other settings" if sent is None else f"sent as {sent}"
    thinks = prompt.thinking is not None and not prompt.thinking.off
    if thinks and "thinking" not in body:
        yield "thinking", "left out beside the other settings"


def path(destination: Destination, operation: Operation) -> str:
    if operation not in _PATHS:
        return _MODELS
    own = destination.path.replace("{model}", quote(destination.model, safe="")) or _PATH
    return own + _PATHS[operation]


def _system(prompt: Prompt, opening: Sequence[Text]) -> object:
    """One string; blocks where a cache breakpoint stands between them."""
    wanted = prompt.response_format
    asked = [Text(JSON_ONLY)] if wanted and wanted.schema is None else []
    parts = [part for part in [*prompt.system, *opening, *asked] if part.text.strip()]
    if any(part.cache for part in parts):
        return list(texts(parts))
    return "\n\n".join(part.text for part in parts) or None


# -- tools ----------------------------------------------------------------------------------------------


def _tools(prompt: Prompt) -> list[JsonObject]:
    """Documented: a conversation with tool calls in it is refused where no tools are declared."""
    called_before = [Tool(name) for name in tool_names(prompt.messages)]
    return [_tool(tool) for tool in _allowed(prompt) or called_before]


def _allowed(prompt: Prompt) -> Sequence[Tool]:
    """One forced tool is named by the choice itself, and the others stay: the cache keeps its beginning."""
    match prompt.tool_choice:
        case ToolChoice(mode=ToolMode.REQUIRED, names=(_,)):
            return prompt.tools
        case ToolChoice(names=names) if names:
            return [tool for tool in prompt.tools if tool.name in names]
        case _:
            return prompt.tools


def _tool(tool: Tool) -> JsonObject:
    if not tool.name:
        raise Untranslatable("tools", "a tool needs a name")
    return given(
        name=tool.name,
        description=tool.description or None,
        input_schema={"type": "object", **(tool.parameters or {"properties": {}})},
        strict=tool.strict or None,
        cache_control=CACHE if tool.cache else None,
    )


def _tool_choice(prompt: Prompt) -> JsonObject | None:
    """What must not call in parallel needs a choice to say so; tools that nobody declared are not called."""
    if not _allowed(prompt):
        return {"type": "none"}
    single = True if prompt.parallel_tool_calls is False else None
    match prompt.tool_choice:
        case None:
            return {"type": "auto", "disable_parallel_tool_use": True} if single else None
        case ToolChoice(mode=ToolMode.NONE):
            return {"type": "none"}
        case ToolChoice(mode=ToolMode.REQUIRED, names=(name,)):
            return given(type="tool", name=name, disable_parallel_tool_use=single)
        case ToolChoice(mode=mode):
            kind = "any" if mode is ToolMode.REQUIRED else "auto"
            return given(type=kind, disable_parallel_tool_use=single)


# -- everything beside ----------------------------------------------------------------------------------


def _output_config(prompt: Prompt, thinking: Plan) -> JsonObject:
    wanted = prompt.response_format
    return given(effort=thinking.effort, format=_format(wanted) if wanted else None)


def _format(wanted: ResponseFormat) -> JsonObject | None:
    if wanted.schema is None:
        return None
    return {"type": "json_schema", "schema": _closed(wanted.schema)}


def _closed(schema: object) -> object:
    """Documented: every object of a schema must say that it takes no other fields."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: _closed(value) for name, value in schema.items()}
    is_object = schema.get("type") == "object" and "additionalProperties" not in schema
    return {**inner, "additionalProperties": False} if is_object else inner


def _sampling(prompt: Prompt, thinking: Plan) -> Mapping[str, object]:
    """Documented: newer models take temperature or top_p, not both; temperature is 1 at most."""
    temperature = None if prompt.temperature is None else min(prompt.temperature, 1)
    top_p = prompt.top_p if temperature is None else None
    if not thinking.on:
        return given(temperature=temperature, top_p=top_p, top_k=prompt.top_k)
    return given(
        temperature=temperature if temperature == 1 else None,
        top_p=top_p if top_p is not None and top_p >= _SMALLEST_TOP_P else None,
    )


def _rest(prompt: Prompt) -> Mapping[str, object]:
    stops = [each for each in prompt.stop if each.strip()]
    return given(
        stop_sequences=stops or None,
        metadata={"user_id": prompt.user} if prompt.user else None,
        service_tier=_SERVICE_TIERS.get(prompt.service_tier or ""),
        stream=prompt.stream or None,
    )
