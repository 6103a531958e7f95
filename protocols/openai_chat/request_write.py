"""A prompt written as a Chat request."""

from collections.abc import Mapping
from urllib.parse import quote

from protocols.model.call import Destination, Operation, Rendered
from protocols.model.parts import ToolKind
from protocols.model.prompt import (
    Effort,
    Prompt,
    ResponseFormat,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
    effort_of,
)
from protocols.model.wirejson import JsonObject, given
from protocols.openai_chat.request_write_messages import render_messages

_GENERATION = "/chat/completions"
_PATH = "/v1" + _GENERATION
_SUFFIXES: Mapping[Operation, str] = {
    Operation.GENERATE: _GENERATION,
    Operation.EMBEDDINGS: "/embeddings",
    Operation.MODELS: "/models",
}
_TIERS: Mapping[str, str] = {
    **{tier: tier for tier in ("auto", "default", "flex", "priority", "scale", "on_demand")},
    "standard_only": "default",
}
"""The words that providers of Chat know, and Anthropic's for the ordinary tier."""


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
    """Raises Untranslatable for a tool call without a name, and for the id of an upload."""
    tools = _offered(prompt)
    body = given(
        model=destination.model,
        messages=render_messages(prompt),
        tools=[_tool(tool) for tool in tools] or None,
        tool_choice=_tool_choice(prompt.tool_choice) if tools else None,
        parallel_tool_calls=prompt.parallel_tool_calls if tools else None,
        stream=prompt.stream or None,
        stream_options={"include_usage": True} if prompt.stream else None,
        temperature=prompt.temperature,
        top_p=prompt.top_p,
        frequency_penalty=prompt.frequency_penalty,
        presence_penalty=prompt.presence_penalty,
        seed=prompt.seed,
        n=prompt.choices,
        stop=list(prompt.stop) or None,
        response_format=_response_format(prompt.response_format),
        reasoning_effort=_effort(prompt.thinking, destination),
        verbosity=prompt.verbosity,
        user=prompt.user,
        service_tier=_TIERS.get(prompt.service_tier or ""),
        prompt_cache_key=prompt.cache_key,
    )
    return Rendered(path(destination), {**body, **_limit(prompt, destination)})


def path(destination: Destination, operation: Operation = Operation.GENERATE) -> str:
    """The target's path, which is that of its generation, for another operation of the same place."""
    whole, mark, query = (destination.path or _PATH).partition("?")
    place = whole.removesuffix(_GENERATION)
    suffix = _SUFFIXES.get(operation, "")
    own = whole if operation is Operation.GENERATE else place + suffix
    return (own + mark + query).replace("{model}", quote(destination.model))


def _limit(prompt: Prompt, destination: Destination) -> JsonObject:
    """Never more than the model can give, where that is known: a larger number may be refused."""
    asked, most = prompt.max_output, destination.max_output
    if asked is None:
        return {}
    return {destination.max_tokens_field: asked if most is None else min(asked, most)}


# -- tools ----------------------------------------------------------------------------------------------


def _offered(prompt: Prompt) -> tuple[Tool, ...]:
    """`allowed_tools` is OpenAI's alone; to offer only these means the same everywhere."""
    names = prompt.tool_choice.names if prompt.tool_choice else ()
    if len(names) == 1 and prompt.tool_choice and prompt.tool_choice.mode is ToolMode.REQUIRED:
        return prompt.tools
    return tuple(tool for tool in prompt.tools if not names or tool.name in names)


def _tool(tool: Tool) -> JsonObject:
    described = given(name=tool.name, description=tool.description or None)
    if tool.kind is ToolKind.CUSTOM:
        return {"type": "custom", "custom": {**described, **given(format=_grammar(tool.grammar))}}
    function = given(parameters=tool.parameters, strict=tool.strict)
    return {"type": "function", "function": {**described, **function}}


def _grammar(grammar: Mapping[str, object] | None) -> JsonObject | None:
    if grammar is None:
        return None
    inner = {name: value for name, value in grammar.items() if name != "type"}
    return {"type": "grammar", "grammar": inner}


def _tool_choice(choice: ToolChoice | None) -> object:
    if choice is None:
        return None
    if choice.mode is ToolMode.REQUIRED and len(choice.names) == 1:
        return {"type": "function", "function": {"name": choice.names[0]}}
    return choice.mode.value


# -- what the answer is to be like ----------------------------------------------------------------------


def _response_format(form: ResponseFormat | None) -> JsonObject | None:
    """OpenAI wants a name with a schema."""
    if form is None or form.schema is None:
        return None if form is None else {"type": "json_object"}
    stated = given(
        name=form.name or "answer",
        description=form.description or None,
        schema=form.schema,
        strict=form.strict,
    )
    return {"type": "json_schema", "json_schema": stated}


def _effort(thinking: Thinking | None, destination: Destination) -> str | None:
    """`none` is said only to models that are known to be asked by effort: others refuse the word, and many
    that do not reason refuse the field."""
    if (
        thinking is None
        or destination.thinking == "none"
        or (thinking.off and destination.thinking != "effort")
    ):
        return None
    effort = effort_of(thinking)
    return None if effort is None else (Effort.XHIGH if effort is Effort.MAX else effort).value
