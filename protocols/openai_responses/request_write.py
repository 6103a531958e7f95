"""The unified prompt to a request of Responses. Nothing is kept at the provider: `store` is false, and
reasoning is asked for in its encrypted form, so that it can be sent back."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import assert_never
from urllib.parse import quote

from protocols.model.call import Destination, Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.parts import ToolKind
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
    Thought,
    ToolCall,
    ToolResult,
    effort_of,
)
from protocols.model.wirejson import JsonObject, encoded, given, load_object
from protocols.openai_responses.reasoning import BLANK_LINE, ENCRYPTED
from protocols.openai_responses.tools import written_choice, written_tools
from protocols.shared.arguments import kept
from protocols.shared.media import data_url

LEAST_OUTPUT = 16
"""Tokens below which the provider refuses a limit."""

_NEVER_THINKS = "none"
_FILE_NAME = "file"
_SCHEMA_NAME = "response"
_MEDIA_FIELDS: Mapping[tuple[MediaKind, MediaForm], str] = {
    (MediaKind.IMAGE, MediaForm.DATA): "image_url",
    (MediaKind.IMAGE, MediaForm.URL): "image_url",
    (MediaKind.IMAGE, MediaForm.FILE_ID): "file_id",
    (MediaKind.FILE, MediaForm.DATA): "file_data",
    (MediaKind.FILE, MediaForm.URL): "file_url",
    (MediaKind.FILE, MediaForm.FILE_ID): "file_id",
}


_PREFIX = "/v1"
_GENERATION = "/responses"
_SUFFIXES: Mapping[Operation, str] = {
    Operation.COUNT_TOKENS: "/responses/input_tokens",
    Operation.MODELS: "/models",
}


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
    """Raises Untranslatable for a tool call without a name, and for media that have no place."""
    limit = None if prompt.max_output is None else max(LEAST_OUTPUT, prompt.max_output)
    fields = given(
        instructions=BLANK_LINE.join(text.text for text in prompt.system) or None,
        tools=written_tools(prompt.tools),
        tool_choice=written_choice(prompt),
        parallel_tool_calls=prompt.parallel_tool_calls,
        max_output_tokens=limit,
        temperature=prompt.temperature,
        top_p=prompt.top_p,
        top_logprobs=prompt.logprobs,
        text=_text(prompt),
        reasoning=_reasoning(prompt, destination),
        include=_include(prompt, destination),
        user=prompt.user,
        metadata=prompt.metadata,
        service_tier=prompt.service_tier,
        prompt_cache_key=prompt.cache_key,
        stream=prompt.stream or None,
    )
    body = {"model": destination.model, "input": list(_input(prompt)), **fields, "store": False}
    return Rendered(path(destination, Operation.GENERATE), body)


def path(destination: Destination, operation: Operation) -> str:
    """The target's path, which is that of its generation, or another operation's beside it."""
    whole, mark, query = (destination.path or _PREFIX + _GENERATION).partition("?")
    beside = whole.removesuffix(_GENERATION) + _SUFFIXES.get(operation, "")
    own = whole if operation is Operation.GENERATE else beside
    return (own + mark + query).replace("{model}", quote(destination.model, safe=""))


def _text(prompt: Prompt) -> JsonObject | None:
    form = _format(prompt.response_format) if prompt.response_format else None
    return given(format=form, verbosity=prompt.verbosity) or None


def _format(form: ResponseFormat) -> JsonObject:
    if form.schema is None:
        return {"type": "json_object"}
    said = given(description=form.description or None, strict=form.strict)
    return {"type": "json_schema", "name": form.name or _SCHEMA_NAME, "schema": form.schema, **said}


def _reasoning(prompt: Prompt, destination: Destination) -> JsonObject | None:
    if prompt.thinking is None or destination.thinking == _NEVER_THINKS:
        return None
    effort = effort_of(prompt.thinking)
    shown = "auto" if prompt.thinking.shown and effort is not Effort.NONE else None
    return given(effort=effort.value if effort else None, summary=shown) or None


def _include(prompt: Prompt, destination: Destination) -> list[str] | None:
    """A model that does not reason refuses to be asked for encrypted reasoning."""
    off = destination.thinking == _NEVER_THINKS or (prompt.thinking is not None and prompt.thinking.off)
    reasoning = [] if off else ["reasoning.encrypted_content"]
    return reasoning + (["message.output_text.logprobs"] if prompt.logprobs else []) or None


# -- input ------------------------------------------------------------------------------------------------


def _input(prompt: Prompt) -> Iterator[JsonObject]:
    for index, message in enumerate(prompt.messages):
        yield from _items(message, f"messages[{index}]")


def _items(message: Message, place: str) -> Iterator[JsonObject]:
    """Runs of text and media are messages; all else is an item of its own."""
    for spoken, group in groupby(message.content, key=_is_spoken):
        if spoken:
            yield from _messages(message.role, list(group))
        else:
            for content in group:
                yield from _item(content, place)


def _is_spoken(content: Content) -> bool:
    return isinstance(content, Text | Media | Refusal)


def _messages(role: Role, contents: list[Content]) -> Iterator[JsonObject]:
    """An assistant's media have no place in its message; they follow as the user's."""
    if role is not Role.ASSISTANT:
        name = "developer" if role is Role.SYSTEM else "user"
        yield _message(name, (_said(content) for content in contents))
        return
    if said := [_answered(content) for content in contents if isinstance(content, Text | Refusal)]:
        yield _message("assistant", said)
    if media := [_media(content) for content in contents if isinstance(content, Media)]:
        yield _message("user", media)


def _message(role: str, content: Iterable[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": list(content)}


def _item(content: Content, place: str) -> Iterator[JsonObject]:
    match content:
        case ToolCall():
            yield _call(content, place)
        case ToolResult():
            yield _result(content)
        case Thought():
            yield from _thought(content)
        case Text() | Media() | Refusal():
            yield _message("user", [_said(content)])
        case _:
            assert_never(content)


def _thought(thought: Thought) -> Iterator[JsonObject]:
    """Reasoning is taken back as it was given, or not at all."""
    if thought.signature is None or thought.signature.form != ENCRYPTED:
        return
    item = load_object(encoded(thought.signature.value))
    if item is not None:
        yield {"type": "reasoning", "summary": [], **item}


def _call(call: ToolCall, place: str) -> JsonObject:
    if not call.name:
        raise Untranslatable(place, "a tool call has a name")
    said = {"call_id": call.id, "name": call.name, **given(namespace=call.namespace or None)}
    if call.kind is ToolKind.CUSTOM:
        return {"type": "custom_tool_call", **said, "input": call.arguments}
    return {"type": "function_call", **said, "arguments": kept(call.arguments)}


def _result(result: ToolResult) -> JsonObject:
    custom = result.kind is ToolKind.CUSTOM
    return {
        "type": "custom_tool_call_output" if custom else "function_call_output",
        "call_id": result.id,
        "output": _output(result),
    }


def _output(result: ToolResult) -> object:
    """One text, or nothing, as a text; several, or media, as a list."""
    match result.content:
        case ():
            return ""
        case (Text(text=text),):
            return text
        case contents:
            return [_said(content) for content in contents]


# -- content ----------------------------------------------------------------------------------------------


def _answered(content: Text | Refusal) -> JsonObject:
    if isinstance(content, Refusal):
        return {"type": "refusal", "refusal": content.text}
    return {"type": "output_text", "text": content.text}


def _said(content: Content) -> JsonObject:
    match content:
        case Media():
            return _media(content)
        case Text(text=text) | Refusal(text=text) | Thought(text=text):
            return {"type": "input_text", "text": text}
        case ToolCall() | ToolResult():
            raise Untranslatable("messages", "a tool call stands by itself")
        case _:
            assert_never(content)


def _media(media: Media) -> JsonObject:
    field = _MEDIA_FIELDS.get((media.kind, media.form))
    if field is None:
        raise Untranslatable("messages", f"{media.kind} as {media.form} has no place")
    value = data_url(media.media_type, media.value) if media.form is MediaForm.DATA else media.value
    if media.kind is MediaKind.IMAGE:
        return {"type": "input_image", field: value, **given(detail=media.detail or None)}
    named = media.form is MediaForm.DATA or bool(media.name)
    name = (media.name or _FILE_NAME) if named and media.form is not MediaForm.FILE_ID else None
    return {"type": "input_file", field: value, **given(filename=name)}
