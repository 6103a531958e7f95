"""Prompts to requests of the provider, and what of a prompt gets lost on the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

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
    BUDGETS,
    Effort,
    Prompt,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    budget_of,
    effort_of,
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
_MAX_TOKENS = 4_096
"""What an answer gets where neither the client nor the model's facts say more: `max_tokens` is mandatory."""

_SMALLEST_BUDGET = 1_024
_EFFORTS = {Effort.MINIMAL: Effort.LOW}
"""The least that there is."""


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
    """See `protocols.base.Translator`; the losses are those of `losses.ABILITIES`.

    Raises Untranslatable for a conversation without messages, a tool call without a name, and a file that is
    neither PDF nor text.
    """
    opening, messages = split(prompt.messages)
    written = turns(messages)
    tools = _tools(prompt)
    may_think = destination.thinking == "effort" or not closes_with_bare_call(written)
    thinking = _thinking(prompt, destination, may_think=may_think)
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


# -- thinking -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Thinking:
    """`max_tokens`; `config` is the `thinking` field, None to leave it out; `effort` goes beside it."""

    max_tokens: int
    config: JsonObject | None = None
    effort: str | None = None
    on: bool = False


def _thinking(prompt: Prompt, destination: Destination, *, may_think: bool) -> _Thinking:
    """What the prompt says of thinking, for a target that takes a budget, an effort, or neither: two models
    of one maker want it differently.

    Documented: a budget is at least 1024 tokens and below `max_tokens`; with thinking on, no tool can be
    forced, `temperature` and `top_k` are left alone, and `top_p` is 0.95 at least.

    `may_think`: the conversation allows it. Where a target's way is unknown it is given a budget: the older
    models and those of other makers that speak the protocol take no other. Lossy: a forced tool wins over
    thinking.
    """
    room = _Thinking(prompt.max_output or destination.max_output or _MAX_TOKENS)
    thinking = prompt.thinking
    if thinking is None or destination.thinking == "none":
        return room
    if thinking.off:
        return _Thinking(room.max_tokens, {"type": "disabled"})
    may_think = may_think and not (prompt.tool_choice and prompt.tool_choice.mode is ToolMode.REQUIRED)
    if destination.thinking == "effort":
        return _by_effort(room.max_tokens, thinking, may_think=may_think)
    return _by_budget(prompt, destination, thinking) if may_think else room


def _by_effort(max_tokens: int, thinking: Thinking, *, may_think: bool) -> _Thinking:
    effort = effort_of(thinking)
    named = _EFFORTS.get(effort, effort).value if effort else None
    if not may_think:
        return _Thinking(max_tokens, None, named)
    return _Thinking(max_tokens, given(type="adaptive", display=_display(thinking)), named, on=True)


def _display(thinking: Thinking) -> str | None:
    if thinking.shown is None:
        return None
    return "summarized" if thinking.shown else "omitted"


def _by_budget(prompt: Prompt, destination: Destination, thinking: Thinking) -> _Thinking:
    """A limit that the client did not set grows by the budget; else the budget gives way, and leaves a
    quarter of the limit to the answer. Where that is too little to think at all, thinking is left out."""
    wanted = max(_tokens(thinking), _SMALLEST_BUDGET)
    most = prompt.max_output or destination.max_output or wanted + _MAX_TOKENS
    budget = wanted if wanted < most else most * 3 // 4
    if budget < _SMALLEST_BUDGET:
        return _Thinking(most)
    config = given(
        type="enabled", budget_tokens=budget, display="omitted" if thinking.shown is False else None
    )
    return _Thinking(most, config, on=True)


def _tokens(thinking: Thinking) -> int:
    """As the model likes is a word that this way of thinking lacks: a middling budget."""
    budget = budget_of(thinking)
    return BUDGETS[Effort.MEDIUM] if budget is None or budget < 0 else budget


# -- everything beside ----------------------------------------------------------------------------------


def _output_config(prompt: Prompt, thinking: _Thinking) -> JsonObject:
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


def _sampling(prompt: Prompt, thinking: _Thinking) -> Mapping[str, object]:
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
