"""Requests of clients to prompts: messages and their blocks. `knobs` reads what stands beside them."""

from collections.abc import Iterator, Sequence

from protocols.anthropic_messages.request_read_options import knobs
from protocols.model.call import Call
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import JsonObject, flag_at, object_at, objects, objects_at, text_at
from protocols.shared.arguments import NONE_GIVEN, text_of_value
from protocols.shared.signatures import ENVELOPE, is_envelope

_PDF = "application/pdf"
_SOURCE_FORMS = {
    "base64": (MediaForm.DATA, "data"),
    "url": (MediaForm.URL, "url"),
    "file": (MediaForm.FILE_ID, "file_id"),
}
OF_THE_PROVIDER = ("_tool_use", "_tool_result")


def read_request(call: Call) -> Prompt:
    """See `protocols.base.Translator`.

    Lossy: what a message of the system says of effort, citations in earlier answers, and what tools of the
    provider did in earlier turns (nobody else can read their results; the words that the model drew from
    them stay). A cache breakpoint on a tool's result moves to the last text in it, one on media is lost.
    """
    body = call.body
    return Prompt(
        model=call.model or "",
        messages=tuple(_messages(body)),
        system=_system(body.get("system"), "system"),
        stream=call.stream,
        **knobs(body),
    )


def _messages(body: JsonObject) -> Iterator[Message]:
    """Messages without content are left out."""
    for number, message in enumerate(objects_at(body, "messages")):
        where = f"messages[{number}]"
        role = text_at(message, "role")
        if role not in tuple(Role):
            raise Untranslatable(f"{where}.role", f"no such role: {role!r}")
        content = _system if role == Role.SYSTEM else _content
        if found := content(message.get("content"), f"{where}.content"):
            yield Message(Role(role), found)


def _system(value: object, where: str) -> tuple[Text, ...]:
    if isinstance(value, str):
        return (Text(value),) if value else ()
    return tuple(part for part in _content(value, where) if isinstance(part, Text))


def _content(value: object, where: str) -> tuple[Content, ...]:
    """A string or a list of blocks."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    blocks = objects(value) if isinstance(value, list) else []
    return tuple(part for at, block in enumerate(blocks) for part in _block(block, f"{where}[{at}]"))


def _block(block: JsonObject, where: str) -> Sequence[Content]:
    match kind := text_at(block, "type"):
        case "text" | "image" | "document" | "search_result":
            return _shown(block, where)
        case "tool_use":
            return (_tool_call(block, where),)
        case "tool_result":
            return (_tool_result(block, where),)
        case "thinking":
            return (
                Thought(text_at(block, "thinking"), _signature("signature", text_at(block, "signature"))),
            )
        case "redacted_thinking":
            return (Thought("", _signature("redacted", text_at(block, "data"))),)
        case "compaction":
            return _texts(text_at(block, "content"))
        case "fallback":
            return ()
        case _ if kind.endswith(OF_THE_PROVIDER):
            return ()
        case _:
            raise Untranslatable(f"{where}.type", f"{kind or 'a block without a type'} is known here alone")


def _signature(form: str, value: str) -> Signature | None:
    if not value:
        return None
    return Signature(ENVELOPE if is_envelope(value) else form, value)


def _tool_call(block: JsonObject, where: str) -> ToolCall:
    name = text_at(block, "name")
    if not name:
        raise Untranslatable(f"{where}.name", "a tool call needs a name")
    return ToolCall(text_at(block, "id"), name, text_of_value(block.get("input")) or NONE_GIVEN)


def _tool_result(block: JsonObject, where: str) -> ToolResult:
    content = block.get("content")
    if isinstance(content, str):
        found: list[Text | Media] = [*_texts(content)]
    else:
        inner = objects(content) if isinstance(content, list) else []
        found = [part for at, each in enumerate(inner) for part in _shown(each, f"{where}.content[{at}]")]
    if found and _cached(block) and isinstance(found[-1], Text):
        found[-1] = Text(found[-1].text, cache=True)
    return ToolResult(text_at(block, "tool_use_id"), tuple(found), error=flag_at(block, "is_error") is True)


def _shown(block: JsonObject, where: str) -> Sequence[Text | Media]:
    """Text and media, of the user, of an earlier answer or in a tool's result."""
    match kind := text_at(block, "type"):
        case "text":
            return _texts(text_at(block, "text"), cache=_cached(block))
        case "image":
            return (_media(MediaKind.IMAGE, block, where),)
        case "document":
            return _document(block, where)
        case "search_result":
            texts = [text_at(each, "text") for each in objects_at(block, "content")]
            return _texts(_joined(text_at(block, "title"), text_at(block, "source"), *texts), _cached(block))
        case "tool_reference":
            return _texts(text_at(block, "tool_name"))
        case _:
            raise Untranslatable(f"{where}.type", f"{kind or 'a block without a type'} is known here alone")


def _document(block: JsonObject, where: str) -> Sequence[Text | Media]:
    """Lossy: whether it may be cited. A text says its title and context before it, a file the context."""
    source, title, context = object_at(block, "source"), text_at(block, "title"), text_at(block, "context")
    cache = _cached(block)
    match text_at(source, "type"):
        case "text":
            return _texts(_joined(title, context, text_at(source, "data")), cache)
        case "content" if isinstance(source.get("content"), str):
            return _texts(_joined(title, context, text_at(source, "content")), cache)
        case "content":
            inner = enumerate(objects_at(source, "content"))
            parts = [part for at, each in inner for part in _shown(each, f"{where}.source.content[{at}]")]
            return [*_texts(_joined(title, context)), *parts]
        case _:
            return [*_texts(context), _media(MediaKind.FILE, block, where)]


def _media(kind: MediaKind, block: JsonObject, where: str) -> Media:
    source = object_at(block, "source")
    known = _SOURCE_FORMS.get(text_at(source, "type"))
    if known is None:
        raise Untranslatable(f"{where}.source.type", f"no such source: {text_at(source, 'type')!r}")
    form, field = known
    media_type = text_at(source, "media_type") or (_PDF if kind is MediaKind.FILE else "")
    return Media(kind, form, text_at(source, field), media_type, text_at(block, "title"), at=where)


def _texts(text: str, cache: bool = False) -> Sequence[Text]:
    return (Text(text, cache),) if text else ()


def _joined(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _cached(block: JsonObject) -> bool:
    return bool(block.get("cache_control"))
