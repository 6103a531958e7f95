"""Messages of a Chat request read: roles, content parts, tool calls and their results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from protocols.model.errors import Untranslatable
from protocols.model.parts import ToolKind
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import JsonObject, object_at, objects_at, text_at
from protocols.openai_chat.reasoning import call_signatures, own_signature, signature_of, signed_thoughts
from protocols.shared.arguments import text_of
from protocols.shared.media import from_data_url
from protocols.shared.signatures import UNSIGNED

AUDIO_TYPES: Mapping[str, str] = {"wav": "audio/wav", "mp3": "audio/mpeg"}
"""The two formats of `input_audio` that OpenAI names; others are taken for the rest of a media type."""


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
        return _function(function, self._function, field)


def _tool_call(call: JsonObject, field: str) -> ToolCall:
    kind = text_at(call, "type") or "function"
    if kind == "function":
        return _function(object_at(call, "function"), text_at(call, "id"), f"{field}.function")
    if kind != "custom":
        raise Untranslatable(f"{field}.type", f"a call of a tool of type {kind!r}")
    custom = object_at(call, "custom")
    name = _named(custom, f"{field}.custom")
    return ToolCall(text_at(call, "id"), name, text_at(custom, "input"), ToolKind.CUSTOM)


def _function(function: JsonObject, call_id: str, field: str) -> ToolCall:
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
