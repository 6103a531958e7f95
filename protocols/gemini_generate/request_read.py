"""A request of the protocol as a prompt.

Both spellings of every field are read (`systemInstruction`, `system_instruction`), as REST and SDKs take
them. Losses: `safetySettings` and other knobs without a counterpart go to the prompt's extensions by their
names; the schema of a function's answer, and per-part settings (`videoMetadata`, `mediaResolution`), are
left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from protocols.gemini_generate.answer_read import SIGNATURE
from protocols.gemini_generate.request_forms import asked, spelled
from protocols.gemini_generate.request_read_schema import from_dialect, json_schema
from protocols.model.call import Call
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
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
    ToolChoice,
    ToolMode,
    ToolResult,
)
from protocols.model.wirejson import (
    JsonObject,
    beside,
    count_at,
    dump,
    flag_at,
    number_at,
    object_at,
    objects,
    objects_at,
    text_at,
    texts_at,
)
from protocols.shared.arguments import NONE_GIVEN, text_of_value
from protocols.shared.signatures import ENVELOPE, is_envelope

_KNOWN = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent")
_TRANSPORT = ("model", "sessionId")
_CONFIG = (
    *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed"),
    *("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType"),
    *("responseSchema", "responseJsonSchema", "responseModalities", "thinkingConfig"),
)
_PART_EXTRAS = frozenset({"thoughtSignature", "thought", "videoMetadata", "mediaResolution", "partMetadata"})
_ROLES = {"model": Role.ASSISTANT, "system": Role.SYSTEM}
_MODES = {
    "AUTO": ToolMode.AUTO,
    "VALIDATED": ToolMode.AUTO,
    "ANY": ToolMode.REQUIRED,
    "NONE": ToolMode.NONE,
}
_EFFORTS = {effort.value: effort for effort in Effort}
_UPLOAD = re.compile(r"(?:https://[^/]+/v\d\w*/)?(files/[^/]+)")


def read_request(call: Call) -> Prompt:
    """The prompt of a generation call. Raises Untranslatable for what only the provider itself can do."""
    body = asked(call)
    if body.get("cachedContent"):
        raise Untranslatable("cachedContent", "the cached content lies with the provider that made it")
    config = spelled(object_at(body, "generationConfig"))
    _check_modalities(config)
    return Prompt(
        model=call.model or "",
        messages=tuple(_messages(body)),
        system=tuple(_system(body)),
        tools=tuple(_tools(body)),
        tool_choice=_tool_choice(body),
        stream=call.stream,
        max_output=count_at(config, "maxOutputTokens"),
        temperature=number_at(config, "temperature"),
        top_p=number_at(config, "topP"),
        top_k=_whole_number(config, "topK"),
        frequency_penalty=number_at(config, "frequencyPenalty"),
        presence_penalty=number_at(config, "presencePenalty"),
        seed=count_at(config, "seed"),
        choices=count_at(config, "candidateCount"),
        logprobs=(count_at(config, "logprobs") or 0) if config.get("responseLogprobs") is True else None,
        stop=texts_at(config, "stopSequences"),
        response_format=_response_format(config),
        thinking=thinking_of(config),
        extensions=_extensions(body, config),
    )


def _extensions(body: JsonObject, config: JsonObject) -> dict[str, object]:
    knobs = {f"generationConfig.{name}": value for name, value in beside(config, _CONFIG).items()}
    tool_config = spelled(object_at(body, "toolConfig"))
    others = {f"toolConfig.{n}": v for n, v in beside(tool_config, ("functionCallingConfig",)).items()}
    return {**beside(body, (*_KNOWN, *_TRANSPORT)), **others, **knobs}


def _check_modalities(config: JsonObject) -> None:
    if wanted := [each for each in texts_at(config, "responseModalities") if each.upper() != "TEXT"]:
        raise Untranslatable(
            "generationConfig.responseModalities", f"{wanted[0]} cannot be asked for elsewhere"
        )


def _whole_number(config: JsonObject, name: str) -> int | None:
    """SDKs write some counts as floating point."""
    number = number_at(config, name)
    return None if number is None else int(number)


# -- what is said ---------------------------------------------------------------------------------------


def _system(body: JsonObject) -> Iterator[Text]:
    value = body.get("systemInstruction")
    if isinstance(value, str):
        yield Text(value)
        return
    for number, part in enumerate(objects_at(object_at(body, "systemInstruction"), "parts")):
        if not isinstance(part.get("text"), str):
            raise Untranslatable(f"systemInstruction.parts[{number}]", "instructions are text")
        yield Text(text_at(part, "text"))


@dataclass(slots=True)
class _Pairs:
    """Ids of calls, which need have none: the n-th call without one is `gemini_<n>`, and an answer without
    one belongs to the first call of its name that the last turn made and that has no answer yet."""

    made: int = 0
    waiting: list[ToolCall] = field(default_factory=list)
    answered: bool = False

    def call(self, function: JsonObject, where: str) -> ToolCall:
        name = text_at(function, "name")
        if not name:
            raise Untranslatable(where, "a function call without a name")
        if self.answered:
            self.waiting, self.answered = [], False
        arguments = text_of_value(function.get("args")) or NONE_GIVEN
        call = ToolCall(text_at(function, "id") or self._next(), name, arguments)
        self.waiting.append(call)
        return call

    def answer(self, name: str, tool_id: str) -> str:
        """The id of the call that is answered."""
        self.answered = True
        found = next((c for c in self.waiting if (c.id == tool_id if tool_id else c.name == name)), None)
        if found:
            self.waiting.remove(found)
        return tool_id or (found.id if found else self._next())

    def _next(self) -> str:
        self.made += 1
        return f"gemini_{self.made}"


def _messages(body: JsonObject) -> Iterator[Message]:
    pairs = _Pairs()
    for number, content in enumerate(objects_at(body, "contents")):
        role = _ROLES.get(text_at(content, "role"), Role.USER)
        parts = [spelled(part) for part in objects_at(content, "parts")]
        said: list[Content] = []
        for at, part in enumerate(parts):
            _sign(said, text_at(part, "thoughtSignature"), thought=part.get("thought") is True)
            said += _part(part, pairs, f"contents[{number}].parts[{at}]")
        if said:
            yield Message(role, tuple(said))


def _sign(said: list[Content], value: str, *, thought: bool) -> None:
    """A signature before what it signs. One of ours belongs to the thought before it: clients keep it on
    what followed, where their own protocol puts it."""
    if not value or thought:
        return
    signature = _signature(value)
    last = said[-1] if said else None
    if signature.form == ENVELOPE and isinstance(last, Thought) and last.signature is None:
        said[-1] = Thought(last.text, signature)
    else:
        said.append(Thought("", signature))


def _signature(value: str) -> Signature:
    return Signature(ENVELOPE if is_envelope(value) else SIGNATURE, value)


def _part(part: JsonObject, pairs: _Pairs, where: str) -> Iterator[Content]:
    if isinstance(part.get("functionCall"), dict):
        yield pairs.call(spelled(object_at(part, "functionCall")), where)
    elif isinstance(part.get("functionResponse"), dict):
        yield _result(spelled(object_at(part, "functionResponse")), pairs, where)
    elif isinstance(part.get("text"), str):
        yield from _text(part)
    elif isinstance(part.get("inlineData"), dict) or isinstance(part.get("fileData"), dict):
        yield _media(part, where)
    elif others := sorted(part.keys() - _PART_EXTRAS):
        raise Untranslatable(f"{where}.{others[0]}", "is a part that no other provider knows")


def _text(part: JsonObject) -> Iterator[Content]:
    text, signature = text_at(part, "text"), text_at(part, "thoughtSignature")
    if part.get("thought") is True:
        yield Thought(text, _signature(signature) if signature else None)
    elif text or not signature:
        yield Text(text)


def _result(response: JsonObject, pairs: _Pairs, where: str) -> ToolResult:
    """`output` and `error` are the documented fields of an answer; any other object is the answer itself."""
    name = text_at(response, "name")
    if not name:
        raise Untranslatable(where, "a function response without a name")
    answer = object_at(response, "response")
    said = next((answer[key] for key in ("output", "error") if answer.keys() == {key}), answer)
    text = said if isinstance(said, str) else dump(said).decode()
    inner = enumerate(spelled(part) for part in objects_at(response, "parts"))
    held = ((at, part) for at, part in inner if "inlineData" in part or "fileData" in part)
    media = (_media(part, f"{where}.functionResponse.parts[{at}]") for at, part in held)
    tool_id = pairs.answer(name, text_at(response, "id"))
    return ToolResult(tool_id, (Text(text), *media), name, error=answer.keys() == {"error"})


def _media(part: JsonObject, where: str) -> Media:
    """An address of the provider's own files is an upload to the client's account."""
    data = spelled(object_at(part, "inlineData") or object_at(part, "fileData"))
    media_type, name = text_at(data, "mimeType"), text_at(data, "displayName")
    kind = _kind(media_type)
    if "fileUri" not in data:
        return Media(kind, MediaForm.DATA, text_at(data, "data"), media_type, name, at=where)
    address = text_at(data, "fileUri")
    upload = _UPLOAD.fullmatch(address)
    form = MediaForm.FILE_ID if upload else MediaForm.URL
    return Media(kind, form, upload[1] if upload else address, media_type, name, at=where)


def _kind(media_type: str) -> MediaKind:
    kinds = {"image": MediaKind.IMAGE, "audio": MediaKind.AUDIO}
    return kinds.get(media_type.partition("/")[0], MediaKind.FILE)


# -- tools ----------------------------------------------------------------------------------------------


def _tools(body: JsonObject) -> Iterator[Tool]:
    value = body.get("tools")
    for number, tool in enumerate(objects(value) if isinstance(value, list) else []):
        named = spelled(tool)
        if others := sorted(named.keys() - {"functionDeclarations"}):
            raise Untranslatable(f"tools[{number}].{others[0]}", "is a tool of the provider's own")
        for declaration in objects_at(named, "functionDeclarations"):
            yield _tool(spelled(declaration))


def _tool(declaration: JsonObject) -> Tool:
    schema = _schema(declaration, "parametersJsonSchema", "parameters")
    return Tool(text_at(declaration, "name"), text_at(declaration, "description"), schema)


def _schema(holder: JsonObject, plain: str, dialect: str) -> JsonObject | None:
    if isinstance(holder.get(plain), dict):
        return json_schema(object_at(holder, plain))
    return from_dialect(object_at(holder, dialect)) if isinstance(holder.get(dialect), dict) else None


def _tool_choice(body: JsonObject) -> ToolChoice | None:
    config = spelled(object_at(spelled(object_at(body, "toolConfig")), "functionCallingConfig"))
    mode = _MODES.get(text_at(config, "mode"))
    return ToolChoice(mode, texts_at(config, "allowedFunctionNames")) if mode else None


# -- knobs ----------------------------------------------------------------------------------------------


def _response_format(config: JsonObject) -> ResponseFormat | None:
    kind, schema = (
        text_at(config, "responseMimeType"),
        _schema(config, "responseJsonSchema", "responseSchema"),
    )
    if kind == "text/x.enum":
        raise Untranslatable("generationConfig.responseMimeType", "one of a list cannot be asked for as text")
    return ResponseFormat(schema) if schema is not None or kind == "application/json" else None


def thinking_of(config: JsonObject) -> Thinking | None:
    if not isinstance(config.get("thinkingConfig"), dict):
        return None
    thinking = spelled(object_at(config, "thinkingConfig"))
    return Thinking(
        effort=_EFFORTS.get(text_at(thinking, "thinkingLevel").lower()),
        budget=count_at(thinking, "thinkingBudget"),
        shown=flag_at(thinking, "includeThoughts"),
    )
