"""A request of the protocol read as a prompt."""

from collections.abc import Iterator, Mapping

from protocols.model.call import Call, Operation
from protocols.model.errors import Untranslatable
from protocols.model.prompt import (
    Content,
    Effort,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import (
    JsonObject,
    beside,
    count_at,
    number_at,
    object_at,
    objects_at,
    text_at,
    texts_at,
)
from protocols.shared.arguments import NONE_GIVEN, text_of_value
from protocols.shared.media import image_type
from protocols.shared.signatures import UNSIGNED

_KNOWN = frozenset("model messages tools stream format options think logprobs top_logprobs".split())
_OPTIONS = frozenset(
    "num_predict temperature top_p top_k frequency_penalty presence_penalty seed stop".split()
)
_EFFORTS = frozenset(Effort)


def streams(body: JsonObject) -> bool:
    """Measured: an answer is streamed unless the request says that it is not."""
    return body.get("stream") is not False


def read_request(call: Call) -> Prompt:
    """The prompt of a call that generates.

    `keep_alive` and the options of the machine (`num_ctx`, `mirostat`, ...) are extensions, the latter by the
    name `options.num_ctx`. Lost: `num_predict` below 0, which is no limit, and messages without content.
    Raises Untranslatable for a role, a tool or a format that is none, and any operation besides generation.
    """
    if call.operation is not Operation.GENERATE:
        raise Untranslatable("operation", f"{call.operation.value} is passed on within its protocol only")
    body = call.body
    options = object_at(body, "options")
    limit = count_at(options, "num_predict")
    system, messages = _messages(body)
    return Prompt(
        model=text_at(body, "model"),
        messages=messages,
        system=system,
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(objects_at(body, "tools"))),
        stream=streams(body),
        max_output=limit if limit is not None and limit >= 0 else None,
        temperature=number_at(options, "temperature"),
        top_p=number_at(options, "top_p"),
        top_k=count_at(options, "top_k"),
        frequency_penalty=number_at(options, "frequency_penalty"),
        presence_penalty=number_at(options, "presence_penalty"),
        seed=count_at(options, "seed"),
        logprobs=(count_at(body, "top_logprobs") or 0) if body.get("logprobs") is True else None,
        stop=texts_at(options, "stop"),
        response_format=_format(body),
        thinking=thinking_of(body.get("think")),
        extensions={**beside(body, _KNOWN), **_of_the_machine(options)},
    )


def _of_the_machine(options: JsonObject) -> Mapping[str, object]:
    return {f"options.{name}": value for name, value in beside(options, _OPTIONS).items()}


def _tool(tool: JsonObject, field: str) -> Tool:
    kind = text_at(tool, "type") or "function"
    if kind != "function":
        raise Untranslatable(f"{field}.type", f"a tool of type {kind!r}")
    function = object_at(tool, "function")
    name = _named(function, f"{field}.function")
    return Tool(name, text_at(function, "description"), object_at(function, "parameters") or None)


def _named(function: JsonObject, field: str) -> str:
    if name := text_at(function, "name"):
        return name
    raise Untranslatable(f"{field}.name", "a tool without a name")


def _format(body: JsonObject) -> ResponseFormat | None:
    """`json`, or a schema itself. Measured: clients send an empty text for none."""
    match body.get("format"):
        case None | "":
            return None
        case "json":
            return ResponseFormat()
        case dict() as schema:
            return ResponseFormat(schema)
        case other:
            raise Untranslatable("format", f"no such form: {other!r}")


def thinking_of(think: object) -> Thinking | None:
    """A client that turns it on is shown the thoughts."""
    match think:
        case False:
            return Thinking(Effort.NONE)
        case True:
            return Thinking(budget=-1, shown=True)
        case str() if think in _EFFORTS:
            return Thinking(Effort(think), shown=True)
        case _:
            return None


# -- messages -------------------------------------------------------------------------------------------


def _messages(body: JsonObject) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
    """What opens the request as system texts, and the messages after it."""
    reader = MessagesReader()
    found = [reader.read(each, f"messages[{at}]") for at, each in enumerate(objects_at(body, "messages"))]
    opening = next((at for at, each in enumerate(found) if each.role is not Role.SYSTEM), len(found))
    system = [each for message in found[:opening] for each in message.content if isinstance(each, Text)]
    return tuple(system), tuple(message for message in found[opening:] if message.content)


class MessagesReader:
    """Messages one after another. Older servers give calls no ids, and most clients send none back: calls
    are numbered, and a result is that of the first open call of its tool's name, or of the first."""

    def __init__(self) -> None:
        self._calls = 0
        self._open: list[ToolCall] = []

    def read(self, message: JsonObject, field: str) -> Message:
        match text_at(message, "role"):
            case "system":
                return Message(Role.SYSTEM, tuple(_content(message, field)))
            case "user":
                return Message(Role.USER, tuple(_content(message, field)))
            case "assistant":
                return Message(Role.ASSISTANT, tuple(self._assistant(message, field)))
            case "tool":
                return Message(Role.USER, (self._result(message, field),))
            case role:
                raise Untranslatable(f"{field}.role", f"no such role: {role!r}")

    def _assistant(self, message: JsonObject, field: str) -> Iterator[Content]:
        if thinking := text_at(message, "thinking"):
            yield Thought(thinking, UNSIGNED)
        yield from _content(message, field)
        for at, call in enumerate(objects_at(message, "tool_calls")):
            yield self._call(call, f"{field}.tool_calls[{at}]")

    def _call(self, call: JsonObject, field: str) -> ToolCall:
        function = object_at(call, "function")
        name = _named(function, f"{field}.function")
        self._calls += 1
        arguments = text_of_value(function.get("arguments")) or NONE_GIVEN
        made = ToolCall(text_at(call, "id") or f"call_{self._calls}", name, arguments)
        self._open.append(made)
        return made

    def _result(self, message: JsonObject, field: str) -> ToolResult:
        call = self._answered(message)
        if call is None:
            raise Untranslatable(field, "a tool's result without a call before it")
        self._open.remove(call)
        content = tuple(each for each in _content(message, field) if isinstance(each, Text | Media))
        return ToolResult(call.id, content, call.name)

    def _answered(self, message: JsonObject) -> ToolCall | None:
        """`name` is what the field `tool_name` was called first."""
        call_id, name = text_at(message, "tool_call_id"), text_at(message, "tool_name")
        name = name or text_at(message, "name")
        by_id = (call for call in self._open if call.id == call_id)
        by_name = (call for call in self._open if call.name == name)
        return next(by_id, None) or next(by_name, None) or next(iter(self._open), None)


def _content(message: JsonObject, field: str) -> Iterator[Content]:
    if text := text_at(message, "content"):
        yield Text(text)
    for at, data in enumerate(texts_at(message, "images")):
        yield Media(MediaKind.IMAGE, MediaForm.DATA, data, image_type(data), at=f"{field}.images[{at}]")
