"""A prompt written as a request of the protocol, and such a request for another model."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from urllib.parse import quote

from protocols.base import Abilities
from protocols.model.call import Call, Destination, Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    effort_of,
)
from protocols.model.wirejson import JsonObject, given
from protocols.ollama_chat.error_words import LEVELS, PLAIN
from protocols.ollama_chat.losses import HAPPENS
from protocols.shared.arguments import object_of
from protocols.shared.losses import WRAPPED_ARGUMENTS

ABILITIES = Abilities(
    lacks={
        "parallel_tool_calls": "the model calls as many tools at once as it likes",
        "logprobs": "an answer's probabilities are not carried over from one protocol to another",
        "verbosity": "there is no such knob",
        "user": "there are no users",
        "metadata": "nothing is stored",
        "service_tier": "there are no tiers",
        "cache_key": "prefixes are cached by themselves",
    },
    media={MediaKind.IMAGE: frozenset({MediaForm.DATA})},
    whole_tool_calls=True,
    happens=HAPPENS,
    losses={
        "texts": "texts that stand together in a message become one, and its images stand behind them",
        "cache breakpoints": "are left out: prefixes are cached by themselves",
        "tool choice": "where only some tools may be called, or none, only these are sent; that one must be "
        "called cannot be said",
        "schemas": "strict, and an answer's name and description, are left out",
        "images": "how closely they are to be looked at, and what a client calls them, is left out",
        "tool arguments": WRAPPED_ARGUMENTS,
        "failed tools": "a tool's result has no mark that it failed; its text stays as it is",
        "media in tool results": "they go into a message of the user behind the results",
        "reasoning": "goes back to a provider without a signature; a seal has no place in an answer, so that "
        "a client's next turn is sent without the reasoning of this one",
        "thinking": "minimal is low, and anything above high is high; to a model that knows no levels it is "
        "turned on or off",
        "max_output": "never more than the model can give, where that is known",
        "refusals": "become text, and the end of an answer that was refused is stop",
        "endings": "a turn that is to be continued, and one that ends for a reason without a word here, end "
        "as stop; one that failed is told as an error",
        "sources": "are left out of an answer",
        "pictures of the model": "are left out of an answer: the Python client fails on them",
        "hosted tools": "what a provider's own tools did is left out of an answer",
        "usage": "of an answer's tokens, those of caches and of reasoning are not told apart",
    },
)

_GENERATION = "/api/chat"
_EMBED, _OLDER_EMBED = "/api/embed", "/api/embeddings"
_BETWEEN = "\n\n"
_ANY_OBJECT: JsonObject = {"type": "object", "properties": {}}


def render(prompt: Prompt, destination: Destination) -> Rendered:
    """Raises Untranslatable for a tool call without a name, and for media
    other than images in the request. `stream` is always said: left out, it is true."""
    tools = _offered(prompt)
    body = given(
        model=destination.model,
        messages=_messages(prompt),
        tools=[_tool(tool) for tool in tools] or None,
        stream=prompt.stream,
        format=_format(prompt.response_format),
        think=_think(prompt.thinking, destination),
        options=_options(prompt, destination) or None,
    )
    return Rendered(_path(destination, _GENERATION), body)


def retarget(call: Call, destination: Destination) -> Rendered:
    """A list of models is asked for without a body. Where the target has no path of its own, the call's
    stays."""
    body = {} if call.operation is Operation.MODELS else {**call.body, "model": destination.model}
    if own := "" if destination.path else call.target:
        return Rendered(own, body)
    asked = call.target.partition("?")[0]
    match call.operation:
        case Operation.MODELS:
            suffix = "/api/tags"
        case Operation.EMBEDDINGS:
            suffix = _OLDER_EMBED if asked.endswith(_OLDER_EMBED) else _EMBED
        case _:
            suffix = _GENERATION
    return Rendered(_path(destination, suffix), body)


def _path(destination: Destination, suffix: str) -> str:
    """The target's path, which is that of its generation, for another operation of the same place."""
    whole, mark, query = (destination.path or _GENERATION).partition("?")
    own = whole if suffix == _GENERATION else whole.removesuffix(_GENERATION) + suffix
    return (own + mark + query).replace("{model}", quote(destination.model))


def _options(prompt: Prompt, destination: Destination) -> JsonObject:
    limit = prompt.max_output
    if limit is not None and destination.max_output is not None:
        limit = min(limit, destination.max_output)
    return given(
        num_predict=limit,
        temperature=prompt.temperature,
        top_p=prompt.top_p,
        top_k=prompt.top_k,
        frequency_penalty=prompt.frequency_penalty,
        presence_penalty=prompt.presence_penalty,
        seed=prompt.seed,
        stop=list(prompt.stop) or None,
    )


def _format(form: ResponseFormat | None) -> object:
    return (form.schema or "json") if form else None


def _think(thinking: Thinking | None, destination: Destination) -> bool | str | None:
    """A model that cannot think refuses a request that turns it on; only some know levels."""
    if thinking is None or destination.thinking == "none":
        return None
    if thinking.off:
        return False
    effort = effort_of(thinking)
    if effort is not None and destination.thinking == "effort":
        return LEVELS[effort]
    return True if effort is not None or thinking.budget is not None else None


# -- tools ----------------------------------------------------------------------------------------------


def _offered(prompt: Prompt) -> tuple[Tool, ...]:
    choice = prompt.tool_choice
    if choice is None:
        return prompt.tools
    if choice.mode is ToolMode.NONE:
        return ()
    return tuple(tool for tool in prompt.tools if not choice.names or tool.name in choice.names)


def _tool(tool: Tool) -> JsonObject:
    described = given(name=tool.name, description=tool.description or None)
    return {"type": "function", "function": {**described, "parameters": tool.parameters or _ANY_OBJECT}}


# -- messages -------------------------------------------------------------------------------------------


def _messages(prompt: Prompt) -> list[JsonObject]:
    messages = [_system(prompt.system)] if prompt.system else []
    names = {call.id: call.name for call in _all(prompt.messages) if isinstance(call, ToolCall)}
    for role, run in groupby(prompt.messages, key=lambda message: message.role):
        messages += _run(role, list(run), names)
    return messages


def _all(messages: Iterable[Message]) -> Iterator[Content]:
    return chain.from_iterable(message.content for message in messages)


def _run(role: Role, messages: list[Message], names: Mapping[str, str]) -> Iterator[JsonObject]:
    """Messages of one role that stand together: results come first, right behind the calls, then what they
    hold besides text, then the rest."""
    match role:
        case Role.SYSTEM:
            yield from (_system(message.content) for message in messages)
        case Role.ASSISTANT:
            said = (_assistant(message.content) for message in messages)
            yield from (each for each in said if len(each) > 1)
        case Role.USER:
            results = [each for each in _all(messages) if isinstance(each, ToolResult)]
            yield from (_result(result, names) for result in results)
            yield from _media_of(results)
            yield from _users(messages)


def _system(content: Iterable[Content]) -> JsonObject:
    return {"role": "system", "content": _text(content)}


def _users(messages: Iterable[Message]) -> Iterator[JsonObject]:
    for message in messages:
        content = [each for each in message.content if isinstance(each, Text | Media)]
        if content:
            yield {"role": "user", "content": _text(content), **_images(content)}


def _text(content: Iterable[Content], between: str = _BETWEEN) -> str:
    return between.join(each.text for each in content if isinstance(each, Text | Refusal))


def _images(content: Iterable[Content]) -> JsonObject:
    images = [_image(each) for each in content if isinstance(each, Media)]
    return {"images": images} if images else {}


def _image(media: Media) -> str:
    if media.kind is not MediaKind.IMAGE or media.form is not MediaForm.DATA:
        raise Untranslatable(
            "messages", f"{media.kind} as {media.form}: only images in the request are taken"
        )
    return media.value


def _result(result: ToolResult, names: Mapping[str, str]) -> JsonObject:
    """By name for older servers, by id for newer ones."""
    name = result.name or names.get(result.id, "")
    text = _text(result.content)
    if not text and result.content:
        text = "See the next message of the user."
    said = {"role": "tool", "content": text}
    return {**said, **given(tool_name=name or None, tool_call_id=result.id or None)}


def _media_of(results: Iterable[ToolResult]) -> Iterator[JsonObject]:
    for result in results:
        if images := _images(result.content):
            told = f"From the result of the tool call {result.id}:"
            yield {"role": "user", "content": told, **images}


def _assistant(content: Iterable[Content]) -> JsonObject:
    """Texts that stand together were one, cut by citations. Thoughts go back that were told without a
    seal; a message of which nothing is left has its role alone."""
    content = list(content)
    thoughts = [each for each in content if isinstance(each, Thought) and each.seal]
    thinking = "".join(each.text for each in thoughts if each.seal and each.seal.form == PLAIN)
    text = _text(content, "")
    calls = [_call(each) for each in content if isinstance(each, ToolCall)]
    if not (text or thinking or calls):
        return {"role": "assistant"}
    more = given(thinking=thinking or None, tool_calls=calls or None)
    return {"role": "assistant", "content": text, **more}


def _call(call: ToolCall) -> JsonObject:
    if not call.name:
        raise Untranslatable("messages", "a tool call without a name")
    function = {"name": call.name, "arguments": object_of(call.arguments)}
    return {**given(id=call.id or None), "function": function}
