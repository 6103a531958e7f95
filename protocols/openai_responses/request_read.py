"""A request of Responses to the unified prompt."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile

from protocols.model.call import Call
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
    Thinking,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import (
    JsonObject,
    beside,
    count_at,
    flag_at,
    number_at,
    object_at,
    objects_at,
    text_at,
)
from protocols.openai_responses.reasoning import reasoning_text, signature_of
from protocols.openai_responses.tools import ADDITIONAL, read_choice, read_tools
from protocols.shared.arguments import text_of
from protocols.shared.media import from_data_url

_KEPT_BY_PROVIDER: Mapping[str, str] = {
    "previous_response_id": "the provider keeps that response",
    "conversation": "the provider keeps that conversation",
    "background": "only the provider runs it in the background",
    "prompt": "the provider keeps that template",
}
_KNOWN = frozenset(
    """model input instructions tools tool_choice parallel_tool_calls stream stream_options max_output_tokens
    temperature top_p top_logprobs text reasoning user safety_identifier metadata service_tier
    prompt_cache_key frequency_penalty presence_penalty""".split()
) | set(_KEPT_BY_PROVIDER)
_ROLES: Mapping[str, Role] = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
DROPPED = frozenset(
    """web_search_call file_search_call code_interpreter_call image_generation_call mcp_list_tools mcp_call
    program program_output""".split()
)
"""What tools of the provider did earlier; the text that it led to stays."""

_TEXTS = frozenset({"input_text", "output_text", "text"})
_SHOWN = frozenset({"auto", "concise", "detailed"})

type _Spoken = tuple[Role, tuple[Content, ...], bool]
"""Whose it is, what it says, and whether it may join what stands before it."""


def read_request(call: Call) -> Prompt:
    """See `protocols.base.Translator`."""
    body = call.body
    for field, why in _KEPT_BY_PROVIDER.items():
        if body.get(field):
            raise Untranslatable(field, why)
    system, messages = _conversation(body)
    text = object_at(body, "text")
    return Prompt(
        model=text_at(body, "model"),
        messages=messages,
        system=system,
        tools=read_tools(body),
        tool_choice=read_choice(body.get("tool_choice")),
        parallel_tool_calls=flag_at(body, "parallel_tool_calls"),
        stream=call.stream,
        max_output=count_at(body, "max_output_tokens"),
        temperature=number_at(body, "temperature"),
        top_p=number_at(body, "top_p"),
        frequency_penalty=number_at(body, "frequency_penalty"),
        presence_penalty=number_at(body, "presence_penalty"),
        logprobs=count_at(body, "top_logprobs"),
        response_format=_response_format(object_at(text, "format")),
        thinking=thinking_of(object_at(body, "reasoning")),
        verbosity=text_at(text, "verbosity") or None,
        user=text_at(body, "user") or text_at(body, "safety_identifier") or None,
        metadata=object_at(body, "metadata") or None,
        service_tier=text_at(body, "service_tier") or None,
        cache_key=text_at(body, "prompt_cache_key") or None,
        extensions=beside(body, _KNOWN),
    )


def _response_format(form: JsonObject) -> ResponseFormat | None:
    match text_at(form, "type"):
        case "json_schema":
            name, description = text_at(form, "name"), text_at(form, "description")
            return ResponseFormat(object_at(form, "schema"), name, description, flag_at(form, "strict"))
        case "json_object":
            return ResponseFormat()
        case _:
            return None


def thinking_of(reasoning: JsonObject) -> Thinking | None:
    word = text_at(reasoning, "effort")
    effort = Effort(word) if word in set(Effort) else None
    shown = True if text_at(reasoning, "summary") in _SHOWN else None
    return Thinking(effort, shown=shown) if effort or shown else None


# -- the conversation -------------------------------------------------------------------------------------


def _conversation(body: JsonObject) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """What opens it as system text, and the messages after that."""
    instructions = text_at(body, "instructions")
    opening = [Text(instructions)] if instructions else []
    spoken = list(_spoken(body))
    heads = list(takewhile(lambda one: one[0] is Role.SYSTEM, spoken))
    texts = (content for _, contents, _ in heads for content in contents)
    system = (*opening, *(text for text in texts if isinstance(text, Text)))
    return system, tuple(_messages(spoken[len(heads) :]))


def _messages(spoken: list[_Spoken]) -> Iterator[Message]:
    """What a model said between two of the client's turns is one message, and so are parallel results."""
    role, contents = Role.USER, list[Content]()
    open_ = False
    for role_, said, joins in spoken:
        if contents and not (open_ and joins and role is role_):
            yield Message(role, tuple(contents))
            contents = []
        role, open_ = role_, joins
        contents += said
    if contents:
        yield Message(role, tuple(contents))


def _spoken(body: JsonObject) -> Iterator[_Spoken]:
    said = body.get("input")
    if isinstance(said, str):
        yield Role.USER, (Text(said),), False
    for index, item in enumerate(objects_at(body, "input")):
        yield from _item(item, f"input[{index}]")


def _item(item: JsonObject, place: str) -> Iterator[_Spoken]:
    kind = text_at(item, "type") or ("message" if "role" in item else "item_reference")
    match kind:
        case "message":
            yield _message(item, place)
        case "reasoning":
            yield Role.ASSISTANT, (Thought(reasoning_text(item), signature_of(item)),), True
        case "function_call" | "custom_tool_call":
            yield Role.ASSISTANT, (_tool_call(item, place),), True
        case "function_call_output" | "custom_tool_call_output":
            yield Role.USER, (_tool_result(item, place),), True
        case _ if kind == ADDITIONAL or kind in DROPPED:
            pass
        case _:
            raise Untranslatable(f"{place}.type", f"only the provider understands {kind!r}")


def _message(item: JsonObject, place: str) -> _Spoken:
    role = _ROLES.get(text_at(item, "role"))
    if role is None:
        raise Untranslatable(f"{place}.role", "nobody's")
    return role, _contents(item, "content", place), role is Role.ASSISTANT


def _tool_call(item: JsonObject, place: str) -> ToolCall:
    name, custom = text_at(item, "name"), text_at(item, "type") == "custom_tool_call"
    if not name:
        raise Untranslatable(f"{place}.name", "a tool call has a name")
    return ToolCall(
        text_at(item, "call_id"),
        name,
        text_at(item, "input") if custom else text_of(item.get("arguments")),
        ToolKind.CUSTOM if custom else ToolKind.FUNCTION,
        text_at(item, "namespace"),
    )


def _tool_result(item: JsonObject, place: str) -> ToolResult:
    custom = text_at(item, "type") == "custom_tool_call_output"
    contents = _contents(item, "output", place)
    return ToolResult(
        text_at(item, "call_id"),
        tuple(each for each in contents if isinstance(each, Text | Media)),
        text_at(item, "name"),
        kind=ToolKind.CUSTOM if custom else ToolKind.FUNCTION,
    )


# -- content ----------------------------------------------------------------------------------------------


def _contents(item: JsonObject, field: str, place: str) -> tuple[Text | Media | Refusal, ...]:
    value = item.get(field)
    if isinstance(value, str):
        return (Text(value),)
    parts = enumerate(objects_at(item, field))
    return tuple(_content(part, f"{place}.{field}[{index}]") for index, part in parts)


def _content(part: JsonObject, place: str) -> Text | Media | Refusal:
    match text_at(part, "type"):
        case kind if kind in _TEXTS:
            return Text(text_at(part, "text"), cache="prompt_cache_breakpoint" in part)
        case "refusal":
            return Refusal(text_at(part, "refusal"))
        case "input_image":
            return replace(_image(part), at=place)
        case "input_file":
            return replace(_file(part), at=place)
        case "input_audio":
            audio = object_at(part, "input_audio")
            media_type = f"audio/{text_at(audio, 'format')}"
            return Media(MediaKind.AUDIO, MediaForm.DATA, text_at(audio, "data"), media_type, at=place)
        case kind:
            raise Untranslatable(f"{place}.type", f"{kind!r} is not known")


def _image(part: JsonObject) -> Media:
    detail, url = text_at(part, "detail"), text_at(part, "image_url")
    if upload := text_at(part, "file_id"):
        return Media(MediaKind.IMAGE, MediaForm.FILE_ID, upload, detail=detail)
    inline = from_data_url(url)
    if inline is None:
        return Media(MediaKind.IMAGE, MediaForm.URL, url, detail=detail)
    return Media(MediaKind.IMAGE, MediaForm.DATA, inline[1], inline[0], detail=detail)


def _file(part: JsonObject) -> Media:
    name, data = text_at(part, "filename"), text_at(part, "file_data")
    if upload := text_at(part, "file_id"):
        return Media(MediaKind.FILE, MediaForm.FILE_ID, upload, name=name)
    if url := text_at(part, "file_url"):
        return Media(MediaKind.FILE, MediaForm.URL, url, name=name)
    media_type, value = from_data_url(data) or ("", data)
    return Media(MediaKind.FILE, MediaForm.DATA, value, media_type, name=name)
