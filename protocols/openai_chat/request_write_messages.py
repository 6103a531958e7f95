"""A prompt's messages in Chat's form."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby, pairwise

from protocols.model.errors import Untranslatable
from protocols.model.parts import ToolKind
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Refusal,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from protocols.model.wirejson import JsonObject, given
from protocols.openai_chat.reasoning import DETAILS, SIGNATURE, details_of, signed
from protocols.openai_chat.request_read import AUDIO_TYPES
from protocols.shared.arguments import kept
from protocols.shared.media import data_url
from protocols.shared.signatures import PLAIN

_FORMATS: Mapping[str, str] = {
    **{media_type: form for form, media_type in AUDIO_TYPES.items()},
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
}
_BETWEEN = "\n\n"


def render_messages(prompt: Prompt) -> list[JsonObject]:
    """Texts without media go as one string, the one form that every compatible provider takes.

    Lost: the bounds of texts that stand together, cache breakpoints, whether a tool failed (its words say
    it), pictures among what the model said, and thoughts that no provider of Chat signed.
    Raises Untranslatable for a tool call without a name.
    """
    messages = [_system(prompt.system)] if prompt.system else []
    for role, run in groupby(prompt.messages, key=lambda message: message.role):
        messages += _run(role, list(run))
    return messages


def _run(role: Role, messages: Sequence[Message]) -> Iterator[JsonObject]:
    """Messages of one role that stand together.

    A result must follow the call, and nothing may come between two results of one turn, so the results of a
    run come first, then their media, then the rest; calls of one turn must be in one message.
    """
    match role:
        case Role.SYSTEM:
            yield from (_system(_only_texts(message.content)) for message in messages)
        case Role.ASSISTANT:
            yield from _assistant_run(messages)
        case Role.USER:
            results = [each for each in _all(messages) if isinstance(each, ToolResult)]
            yield from (_result(result) for result in results)
            if media := list(_media_of(results)):
                yield {"role": "user", "content": media}
            yield from _user_run(messages)


def _all(messages: Iterable[Message]) -> Iterator[Content]:
    return chain.from_iterable(message.content for message in messages)


def _only_texts(contents: Iterable[Content]) -> tuple[Text, ...]:
    return tuple(each for each in contents if isinstance(each, Text))


def _joined(texts: Iterable[Text], between: str = _BETWEEN) -> str:
    return between.join(each.text for each in texts)


def _system(texts: Iterable[Text]) -> JsonObject:
    """The role that every compatible provider knows; OpenAI takes it for `developer` where it matters."""
    return {"role": "system", "content": _joined(texts)}


# -- users and tools ------------------------------------------------------------------------------------


def _user_run(messages: Iterable[Message]) -> Iterator[JsonObject]:
    for message in messages:
        parts = [each for each in message.content if isinstance(each, Text | Media)]
        if parts:
            yield {"role": "user", "content": _content(parts)}


def _content(parts: Sequence[Text | Media]) -> object:
    if any(isinstance(part, Media) for part in parts):
        return [_part(part) for part in parts]
    return _joined(_only_texts(parts))


def _result(result: ToolResult) -> JsonObject:
    """The text alone: a result takes nothing else, nor a sign that the tool failed."""
    text = _joined(_only_texts(result.content))
    if not text and result.content:
        text = "See the next message of the user."
    return {"role": "tool", "tool_call_id": result.id, "content": text}


def _media_of(results: Iterable[ToolResult]) -> Iterator[JsonObject]:
    """What results hold besides text, each after a line that says whose it is."""
    for result in results:
        media = [each for each in result.content if isinstance(each, Media)]
        if media:
            yield {"type": "text", "text": f"From the result of the tool call {result.id}:"}
        yield from map(_part, media)


def _part(part: Text | Media) -> JsonObject:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    match part.kind:
        case MediaKind.IMAGE:
            url = given(url=_address(part, "image/png"), detail=part.detail or None)
            return {"type": "image_url", "image_url": url}
        case MediaKind.AUDIO:
            return {"type": "input_audio", "input_audio": {"data": part.value, "format": _format(part)}}
        case MediaKind.FILE:
            return {"type": "file", "file": _file(part)}


def _address(media: Media, otherwise: str) -> str:
    match media.form:
        case MediaForm.DATA:
            return data_url(media.media_type or otherwise, media.value)
        case MediaForm.URL:
            return media.value
        case MediaForm.FILE_ID:
            raise Untranslatable("messages", f"{media.kind} of an upload to another account")


def _format(media: Media) -> str:
    """Besides OpenAI's two, by the name in the media type, for gateways that take more."""
    return _FORMATS.get(media.media_type, media.media_type.partition("/")[2] or "wav")


def _file(media: Media) -> JsonObject:
    """OpenAI wants a name with the data."""
    if media.form is MediaForm.FILE_ID:
        return {"file_id": media.value}
    name = media.name or "document." + (media.media_type.partition("/")[2] or "pdf")
    return {"filename": name, "file_data": _address(media, "application/pdf")}


# -- what the model said --------------------------------------------------------------------------------


def _assistant_run(messages: Sequence[Message]) -> Iterator[JsonObject]:
    """One message where there are calls in it: all of a turn's results must follow its calls."""
    if any(isinstance(each, ToolCall) for each in _all(messages)):
        messages = [Message(Role.ASSISTANT, tuple(_all(messages)))]
    for message in messages:
        if rendered := _assistant(message.content):
            yield {"role": "assistant", **rendered}


def _assistant(contents: Sequence[Content]) -> JsonObject:
    """Empty where nothing is left to say; texts that stand together were one, cut by citations."""
    thoughts = [each for each in contents if isinstance(each, Thought) and each.signature]
    text = _joined(_only_texts(contents), "")
    refusal = "".join(each.text for each in contents if isinstance(each, Refusal))
    fields = given(
        refusal=refusal or None,
        reasoning_content=_reasoning(thoughts) or None,
        reasoning_details=_details(thoughts) or None,
        extra_content=_signature(contents),
        tool_calls=list(_calls(contents)) or None,
    )
    if not (text or refusal or "tool_calls" in fields):
        return {"content": "", **fields} if fields else {}
    return {"content": text or None, **fields}


def _reasoning(thoughts: Iterable[Thought]) -> str:
    return "".join(
        each.text for each in thoughts if each.signature and each.signature.form in (DETAILS, PLAIN)
    )


def _details(thoughts: Iterable[Thought]) -> list[JsonObject]:
    signed = [each.signature for each in thoughts if each.signature and each.signature.form == DETAILS]
    return [item for signature in signed for item in details_of(signature)]


def _signature(contents: Sequence[Content]) -> JsonObject | None:
    """Google's, of a text: the last one, where it stands before anything but a call."""
    signatures = [
        signature
        for thought, signed in pairwise([*contents, None])
        if (signature := _signing(thought)) and not isinstance(signed, ToolCall)
    ]
    return signed(signatures[-1]) if signatures else None


def _signing(content: Content | None) -> str:
    """What a thought without text signs the next content with."""
    if not isinstance(content, Thought) or content.text or not content.signature:
        return ""
    return content.signature.value if content.signature.form == SIGNATURE else ""


def _calls(contents: Sequence[Content]) -> Iterator[JsonObject]:
    for before, call in pairwise([None, *contents]):
        if isinstance(call, ToolCall):
            signature = _signing(before)
            yield {**_call(call), **({"extra_content": signed(signature)} if signature else {})}


def _call(call: ToolCall) -> JsonObject:
    if not call.name:
        raise Untranslatable("messages", "a tool call without a name")
    if call.kind is ToolKind.CUSTOM:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": kept(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}
