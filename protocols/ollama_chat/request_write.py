"""A prompt written as a request of the protocol."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, groupby
from urllib.parse import quote

from protocols.model.call import Destination, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.prompt import (
    Content,
    Effort,
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
from protocols.shared.arguments import object_of
from protocols.shared.signatures import PLAIN

GENERATION = "/api/chat"
_LEVELS: Mapping[Effort, str] = {
    Effort.MINIMAL: "low",
    Effort.LOW: "low",
    Effort.MEDIUM: "medium",
    Effort.HIGH: "high",
    Effort.XHIGH: "high",
    Effort.MAX: "high",
}
"""Loss: three levels are all there are."""

_BETWEEN = "\n\n"
_ANY_OBJECT: JsonObject = {"type": "object", "properties": {}}


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
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
    return Rendered(path(destination), body)


def path(destination: Destination, suffix: str = GENERATION) -> str:
    """The target's path, which is that of its generation, for another operation of the same place."""
    whole, mark, query = (destination.path or GENERATION).partition("?")
    own = whole if suffix == GENERATION else whole.removesuffix(GENERATION) + suffix
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
        return _LEVELS[effort]
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
    """Messages of one role that stand together: results come first, right after the calls, then what they
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
            opening = f"From the result of the tool call {result.id}:"
            yield {"role": "user", "content": opening, **images}


def _assistant(content: Iterable[Content]) -> JsonObject:
    """Texts that stand together were one, cut by citations. Thoughts go back that came without a
    signature; a message of which nothing is left has its role alone."""
    content = list(content)
    thoughts = [each for each in content if isinstance(each, Thought) and each.signature]
    thinking = "".join(each.text for each in thoughts if each.signature and each.signature.form == PLAIN)
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
