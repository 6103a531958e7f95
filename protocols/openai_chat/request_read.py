"""A Chat request read as a prompt: its options, then its messages with roles, content and tool calls."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from protocols.model.call import Call, Operation
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
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
    texts_at,
)
from protocols.openai_chat.reasoning import call_signatures, own_signature, signature_of, signed_thoughts
from protocols.shared.arguments import text_of
from protocols.shared.media import from_data_url
from protocols.shared.signatures import UNSIGNED

_KNOWN = frozenset(
    """
    model messages stream stream_options
    tools functions tool_choice function_call parallel_tool_calls
    max_tokens max_completion_tokens temperature top_p top_k frequency_penalty presence_penalty
    seed random_seed n logprobs top_logprobs stop
    response_format reasoning_effort reasoning thinking verbosity
    user safety_identifier metadata service_tier prompt_cache_key
    """.split()
)
_WITHOUT_NAMES = ("tool", "function")
AUDIO_TYPES: Mapping[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""The two formats of `input_audio` that OpenAI names; others are taken for the rest of a media type."""


def read_request(call: Call) -> Prompt:
    """The prompt of a call that generates.

    `prediction`, `logit_bias`, `store` and what else only Chat knows are extensions; `random_seed` is
    Mistral's. Raises Untranslatable for hosted tools, spoken answers, and operations besides generation.
    """
    if call.operation is not Operation.GENERATE:
        raise Untranslatable("operation", f"{call.operation.value} is passed on within its protocol only")
    body = call.body
    _refuse(body)
    system, messages = read_messages(body)
    return Prompt(
        model=text_at(body, "model"),
        messages=messages,
        system=system,
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=False if older_form(body) else flag_at(body, "parallel_tool_calls"),
        stream=body.get("stream") is True,
        usage_in_stream=flag_at(object_at(body, "stream_options"), "include_usage") is True,
        max_output=_either(count_at(body, "max_completion_tokens"), count_at(body, "max_tokens")),
        temperature=number_at(body, "temperature"),
        top_p=number_at(body, "top_p"),
        top_k=count_at(body, "top_k"),
        frequency_penalty=number_at(body, "frequency_penalty"),
        presence_penalty=number_at(body, "presence_penalty"),
        seed=_either(count_at(body, "seed"), count_at(body, "random_seed")),
        choices=count_at(body, "n"),
        logprobs=(count_at(body, "top_logprobs") or 0) if body.get("logprobs") is True else None,
        stop=texts_at(body, "stop"),
        response_format=_response_format(body),
        thinking=thinking_of(body),
        verbosity=text_at(body, "verbosity") or None,
        user=text_at(body, "safety_identifier") or text_at(body, "user") or None,
        metadata=object_at(body, "metadata") or None,
        service_tier=text_at(body, "service_tier") or None,
        cache_key=text_at(body, "prompt_cache_key") or None,
        extensions=beside(body, _KNOWN),
    )


def _refuse(body: JsonObject) -> None:
    if body.get("web_search_options") is not None:
        raise Untranslatable("web_search_options", "a search that the provider runs")
    if "audio" in texts_at(body, "modalities"):
        raise Untranslatable("modalities", "a spoken answer")


def _either(first: int | None, second: int | None) -> int | None:
    return second if first is None else first


# -- tools ----------------------------------------------------------------------------------------------


def older_form(body: JsonObject) -> bool:
    """Whether the client knows functions, of which a message calls one at most, and not yet tools."""
    return bool(body.get("functions")) and not body.get("tools")


def _tools(body: JsonObject) -> tuple[Tool, ...]:
    """`functions` is the older form of `tools`."""
    tools = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(objects_at(body, "tools"))]
    older = [_function(each, f"functions[{at}]") for at, each in enumerate(objects_at(body, "functions"))]
    return (*tools, *older)


def _tool(tool: JsonObject, field: str) -> Tool:
    match text_at(tool, "type") or "function":
        case "function":
            cache = bool(tool.get("cache_control"))
            return _function(object_at(tool, "function"), f"{field}.function", cache=cache)
        case "custom":
            return _custom(object_at(tool, "custom"), f"{field}.custom")
        case kind:
            raise Untranslatable(f"{field}.type", f"a tool of type {kind!r}, which the provider runs")


def _function(function: JsonObject, field: str, *, cache: bool = False) -> Tool:
    return Tool(
        _name(function, field),
        text_at(function, "description"),
        object_at(function, "parameters") or None,
        flag_at(function, "strict"),
        cache=cache,
    )


def _custom(custom: JsonObject, field: str) -> Tool:
    """A grammar is kept as Responses states it, flat; Chat has it one level deeper."""
    form = object_at(custom, "format")
    grammar = (
        {"type": "grammar", **object_at(form, "grammar")} if text_at(form, "type") == "grammar" else None
    )
    return Tool(_name(custom, field), text_at(custom, "description"), kind=ToolKind.CUSTOM, grammar=grammar)


def _name(tool: JsonObject, field: str) -> str:
    if name := text_at(tool, "name"):
        return name
    raise Untranslatable(f"{field}.name", "a tool without a name")


def _tool_choice(body: JsonObject) -> ToolChoice | None:
    """`any` is Mistral's word for `required`."""
    name = "tool_choice" if body.get("tool_choice") is not None else "function_call"
    choice = body.get(name)
    match choice:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(ToolMode(choice))
        case "any":
            return ToolChoice(ToolMode.REQUIRED)
        case dict():
            return _chosen(choice, name)
        case _:
            raise Untranslatable(name, f"no such choice: {choice!r}")


def _chosen(choice: JsonObject, field: str) -> ToolChoice:
    kind = text_at(choice, "type")
    if kind == "allowed_tools":
        return _allowed(object_at(choice, "allowed_tools"), f"{field}.allowed_tools")
    if kind not in ("function", "custom", ""):
        raise Untranslatable(f"{field}.type", f"a tool of type {kind!r}, which the provider runs")
    return ToolChoice(ToolMode.REQUIRED, (_name(object_at(choice, kind) or choice, field),))


def _allowed(allowed: JsonObject, field: str) -> ToolChoice:
    mode = ToolMode.REQUIRED if text_at(allowed, "mode") == "required" else ToolMode.AUTO
    tools = [(at, tool, text_at(tool, "type")) for at, tool in enumerate(objects_at(allowed, "tools"))]
    return ToolChoice(
        mode, tuple(_name(object_at(tool, kind) or tool, f"{field}.tools[{at}]") for at, tool, kind in tools)
    )


# -- what the answer is to be like ----------------------------------------------------------------------


def _response_format(body: JsonObject) -> ResponseFormat | None:
    form = object_at(body, "response_format")
    match text_at(form, "type"):
        case "json_object":
            return ResponseFormat()
        case "json_schema":
            stated = object_at(form, "json_schema")
            return ResponseFormat(
                object_at(stated, "schema"),
                text_at(stated, "name"),
                text_at(stated, "description"),
                flag_at(stated, "strict"),
            )
        case "" | "text":
            return None
        case kind:
            raise Untranslatable("response_format.type", f"an answer in the form {kind!r}")


def thinking_of(body: JsonObject) -> Thinking | None:
    """`reasoning_effort` is OpenAI's, `reasoning` OpenRouter's, `thinking` DeepSeek's and z.ai's. The first
    that says something counts; whether thoughts are shown, only the second says."""
    nested = object_at(body, "reasoning")
    excluded = flag_at(nested, "exclude")
    shown = None if excluded is None else not excluded
    for read in _THINKING:
        if (found := read(body)) is not None:
            return Thinking(found.effort, found.budget, shown)
    return None if shown is None else Thinking(shown=shown)


def _by_effort(body: JsonObject) -> Thinking | None:
    return _effort(text_at(body, "reasoning_effort"))


def _by_reasoning(body: JsonObject) -> Thinking | None:
    nested = object_at(body, "reasoning")
    if nested.get("enabled") is False:
        return Thinking(Effort.NONE)
    budget = count_at(nested, "max_tokens")
    said = _effort(text_at(nested, "effort")) or (None if budget is None else Thinking(budget=budget))
    return said or (Thinking(budget=-1) if nested.get("enabled") is True else None)


def _by_thinking(body: JsonObject) -> Thinking | None:
    nested = object_at(body, "thinking")
    match text_at(nested, "type"):
        case "":
            return None
        case "disabled":
            return Thinking(Effort.NONE)
        case _:
            return Thinking(budget=_either(count_at(nested, "budget_tokens"), -1))


def _effort(word: str) -> Thinking | None:
    """A word that is none of the field's (`default`, Groq's) leaves it to the model."""
    return Thinking(Effort(word)) if word in _EFFORTS else None


_EFFORTS = frozenset(Effort)
_THINKING: tuple[Callable[[Mapping[str, object]], Thinking | None], ...] = (
    _by_effort,
    _by_reasoning,
    _by_thinking,
)


# -- messages --------------------------------------------------------------------------------------------


def read_messages(body: JsonObject) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """What opens the request as system texts, and the messages after it.

    Lost: whether the opening was a `system` or a `developer` message (newer models of OpenAI take them for
    the same), the `name` of a participant, and messages without any content.

    Raises Untranslatable for content that is not text, media, reasoning, refusal or a call.
    """
    reader = MessagesReader()
    messages = [
        reader.read(message, f"messages[{at}]") for at, message in enumerate(objects_at(body, "messages"))
    ]
    opening = next(
        (at for at, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages)
    )
    system = [each for message in messages[:opening] for each in message.content if isinstance(each, Text)]
    return tuple(system), tuple(message for message in messages[opening:] if message.content)


def participants(call: Call) -> bool:
    """Whether its messages say who speaks in a way that a prompt does not."""
    said = [
        message for message in objects_at(call.body, "messages") if message.get("role") not in _WITHOUT_NAMES
    ]
    return any(message.get("role") == "developer" or text_at(message, "name") for message in said)


class MessagesReader:
    """Messages one after another: whose result a message is, is known from the call before it."""

    def __init__(self) -> None:
        self._kinds: dict[str, ToolKind] = {}
        self._function = ""
        self._functions = 0

    def read(self, message: JsonObject, field: str) -> Message:
        match text_at(message, "role"):
            case "system" | "developer":
                return Message(Role.SYSTEM, tuple(read_content(message, field)))
            case "user":
                return Message(Role.USER, tuple(read_content(message, field)))
            case "assistant":
                return Message(Role.ASSISTANT, tuple(self._assistant(message, field)))
            case "tool":
                return Message(Role.USER, (self._result(message, text_at(message, "tool_call_id"), field),))
            case "function":
                return Message(Role.USER, (self._result(message, self._function, field),))
            case role:
                raise Untranslatable(f"{field}.role", f"no such role: {role!r}")

    def _result(self, message: JsonObject, call_id: str, field: str) -> ToolResult:
        content = tuple(each for each in read_content(message, field) if isinstance(each, Text | Media))
        kind = self._kinds.get(call_id, ToolKind.FUNCTION)
        return ToolResult(call_id, content, text_at(message, "name"), kind=kind)

    def _assistant(self, message: JsonObject, field: str) -> Iterator[Content]:
        if object_at(message, "audio"):
            raise Untranslatable(f"{field}.audio", "speech that the provider keeps")
        if signature := signature_of(message):
            yield Thought("", own_signature(signature))
        yield from signed_thoughts(message)
        yield from read_content(message, field)
        if refusal := text_at(message, "refusal"):
            yield Refusal(refusal)
        yield from self._calls(message, field)

    def _calls(self, message: JsonObject, field: str) -> Iterator[Content]:
        signatures = call_signatures(message)
        for at, call in enumerate(objects_at(message, "tool_calls")):
            read = _tool_call(call, f"{field}.tool_calls[{at}]")
            self._kinds[read.id] = read.kind
            if signature := signature_of(call):
                yield Thought("", own_signature(signature))
            elif read.id in signatures:
                yield Thought("", signatures[read.id])
            yield read
        if function := object_at(message, "function_call"):
            yield self._function_call(function, f"{field}.function_call")

    def _function_call(self, function: JsonObject, field: str) -> ToolCall:
        """The older form has no ids: a call's number is its, and the next result belongs to it."""
        self._functions += 1
        self._function = f"call_{self._functions}"
        return _called_function(function, self._function, field)


def _tool_call(call: JsonObject, field: str) -> ToolCall:
    kind = text_at(call, "type") or "function"
    if kind == "function":
        return _called_function(object_at(call, "function"), text_at(call, "id"), f"{field}.function")
    if kind != "custom":
        raise Untranslatable(f"{field}.type", f"a call of a tool of type {kind!r}")
    custom = object_at(call, "custom")
    name = _named(custom, f"{field}.custom")
    return ToolCall(text_at(call, "id"), name, text_at(custom, "input"), ToolKind.CUSTOM)


def _called_function(function: JsonObject, call_id: str, field: str) -> ToolCall:
    return ToolCall(call_id, _named(function, field), text_of(function.get("arguments")))


def _named(tool: JsonObject, field: str) -> str:
    if name := text_at(tool, "name"):
        return name
    raise Untranslatable(f"{field}.name", "a tool call without a name")


# -- content parts --------------------------------------------------------------------------------------


def read_content(message: JsonObject, field: str) -> Iterator[Content]:
    """A text or a list of parts; empty texts say nothing, and some protocols refuse them."""
    content = message.get("content")
    if isinstance(content, str) and content:
        yield Text(content)
    elif isinstance(content, list):
        for at, part in enumerate(content):
            yield from _read_part(part, f"{field}.content[{at}]")


def _read_part(part: object, field: str) -> Iterator[Content]:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise Untranslatable(field, "no content part")
    read = _PARTS.get(text_at(part, "type"))
    if read is None:
        raise Untranslatable(f"{field}.type", f"content of type {text_at(part, 'type')!r}")
    for each in read(part):
        yield replace(each, at=field) if isinstance(each, Media) else each


def _text(part: JsonObject) -> Iterator[Content]:
    """`cache_control` is Anthropic's, which OpenRouter takes on a part."""
    if text := text_at(part, "text"):
        yield Text(text, cache=bool(part.get("cache_control")))


def _refusal(part: JsonObject) -> Iterator[Content]:
    yield Refusal(text_at(part, "refusal"))


def _thinking(part: JsonObject) -> Iterator[Content]:
    """Mistral's."""
    yield Thought("".join(text_at(piece, "text") for piece in objects_at(part, "thinking")), UNSIGNED)


def _image(part: JsonObject) -> Iterator[Content]:
    """The bare address in place of the object is taken too."""
    image = object_at(part, "image_url")
    detail = text_at(image, "detail")
    yield _addressed(MediaKind.IMAGE, text_at(image, "url") or text_at(part, "image_url"), detail=detail)


def _audio(part: JsonObject) -> Iterator[Content]:
    audio = object_at(part, "input_audio")
    form = text_at(audio, "format")
    media_type = AUDIO_TYPES.get(form, f"audio/{form}" if form else "")
    yield Media(MediaKind.AUDIO, MediaForm.DATA, text_at(audio, "data"), media_type)


def _file(part: JsonObject) -> Iterator[Content]:
    """`file_data` is a data: address; OpenRouter takes any other address there too."""
    file = object_at(part, "file")
    name, data = text_at(file, "filename"), text_at(file, "file_data")
    if data:
        yield _addressed(MediaKind.FILE, data, name=name)
    else:
        yield Media(MediaKind.FILE, MediaForm.FILE_ID, text_at(file, "file_id"), name=name)


def _addressed(kind: MediaKind, address: str, *, name: str = "", detail: str = "") -> Media:
    """Data without an address around it is base64, as some send files."""
    if held := from_data_url(address):
        return Media(kind, MediaForm.DATA, held[1], held[0], name, detail)
    form = MediaForm.URL if "://" in address else MediaForm.DATA
    return Media(kind, form, address, "", name, detail)


_PARTS: Mapping[str, Callable[[JsonObject], Iterator[Content]]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": _refusal,
    "thinking": _thinking,
}
