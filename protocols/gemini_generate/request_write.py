"""A prompt as a request of the protocol.

Losses, besides those of `losses.ABILITIES`: an instruction in the middle of a conversation becomes a text of
the user; media that a tool gave back stand after the results, in the same turn; whether a tool's schema is
strict, the name and description of an answer's schema, how closely an image is to be looked at, and cache
breakpoints are left out; a level of thinking above "high" is "high", and one is never off.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote

from protocols.gemini_generate.answer_read import SIGNATURE
from protocols.gemini_generate.request_forms import SSE_QUERY, in_envelope
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
    Role,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    budget_of,
    effort_of,
)
from protocols.model.wirejson import JsonObject, given
from protocols.shared.arguments import object_of

UNSIGNED = "skip_thought_signature_validator"
"""What Google documents for a call whose signature is not there (made by another model); not measured."""

_PATH = "/v1beta/models/{model}:{method}"
_TYPES = {MediaKind.IMAGE: "image/png", MediaKind.AUDIO: "audio/wav", MediaKind.FILE: "application/pdf"}
_SUFFIXES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "txt": "text/plain",
}
_LEVELS = {
    Effort.NONE: "MINIMAL",
    Effort.MINIMAL: "MINIMAL",
    Effort.LOW: "LOW",
    Effort.MEDIUM: "MEDIUM",
    Effort.HIGH: "HIGH",
    Effort.XHIGH: "HIGH",
    Effort.MAX: "HIGH",
}
"""Measured: gemini-cli writes levels in capitals."""

_ENDS = ("-low", "-high")
_LITTLE = frozenset({Effort.NONE, Effort.MINIMAL, Effort.LOW})
"""Of what Antigravity has in its models' names, what other clients of it agree on; not measured."""

_CALL_NAMES = frozenset({"functionCall", "function_call"})
_BY_BUDGET = "2.5"
_THOUGHTLESS = ("gemini-1", "gemini-2.0", "gemma")


def write_request(prompt: Prompt, destination: Destination) -> Rendered:
    """`prompt` for the model of `destination`. Raises Untranslatable for a call or result without a name."""
    if prompt.thinking and destination.thinking == "suffix":
        destination = replace(destination, model=_suffixed(prompt.thinking, destination.model))
    method = "streamGenerateContent" if prompt.stream else "generateContent"
    path = path_of(destination, method, SSE_QUERY if prompt.stream else "")
    body = _request(prompt, destination)
    if in_envelope(path):
        return Rendered(path, {"model": destination.model, "request": body})
    return Rendered(path, body)


def path_of(destination: Destination, method: str, query: str) -> str:
    """The path to ask for `method` at `destination`, with its query."""
    model = quote(destination.model.removeprefix("models/"), safe="@:-._~/")
    path = (destination.path or _PATH).replace("{model}", model).replace("{method}", method)
    return path + ("&" if "?" in path else "?") + query if query else path


def _request(prompt: Prompt, destination: Destination) -> JsonObject:
    system = [{"text": one.text} for one in prompt.system]
    declared = [_declaration(tool) for tool in prompt.tools]
    return given(
        contents=_contents(prompt, destination),
        systemInstruction={"parts": system} if system else None,
        tools=[{"functionDeclarations": declared}] if declared else None,
        toolConfig=_tool_config(prompt.tool_choice) if prompt.tool_choice else None,
        generationConfig=_config(prompt, destination) or None,
    )


# -- what is said ---------------------------------------------------------------------------------------


def _contents(prompt: Prompt, destination: Destination) -> list[JsonObject]:
    """Neighbours of one role as one turn, results of tools first in theirs: all calls of a turn are to be
    answered in the next one."""
    turns: list[tuple[str, list[JsonObject]]] = []
    names = _names(prompt.messages)
    for number, message in enumerate(prompt.messages):
        role = "model" if message.role is Role.ASSISTANT else "user"
        parts = list(_parts(message, names, f"messages[{number}]"))
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    return [{"role": role, "parts": _arranged(role, parts, destination)} for role, parts in turns]


def _names(messages: Iterable[Message]) -> Mapping[str, str]:
    """The names of tools by the ids of their calls."""
    return {each.id: each.name for one in messages for each in one.content if isinstance(each, ToolCall)}


def _arranged(role: str, parts: list[JsonObject], destination: Destination) -> list[JsonObject]:
    if role == "user":
        return sorted(parts, key=lambda part: "functionResponse" not in part)
    return marked(parts) if _checks_signatures(destination) else parts


def marked(parts: list[JsonObject]) -> list[JsonObject]:
    """A turn of the model whose first call is not signed, with the mark that says so."""
    first = next((at for at, part in enumerate(parts) if _CALL_NAMES & part.keys()), None)
    if first is None or "thoughtSignature" in parts[first]:
        return parts
    return [*parts[:first], {**parts[first], "thoughtSignature": UNSIGNED}, *parts[first + 1 :]]


def _checks_signatures(destination: Destination) -> bool:
    """Documented: models that think by level refuse a turn whose first call is not signed."""
    return _thinks_by(destination) in ("effort", "suffix") and not destination.model.startswith(_THOUGHTLESS)


def _parts(message: Message, names: Mapping[str, str], where: str) -> Iterator[JsonObject]:
    """The parts of one message; a signature waits for the text or the call that it signs."""
    signature = ""
    for content in message.content:
        if isinstance(content, Thought):
            if own := _signature_of(content):
                yield from _bare(signature)
                signature = "" if content.text else own
                yield from _thought(content.text, own)
            continue
        for part in _part(content, names, where):
            signs = signature and ("functionCall" in part or "text" in part)
            yield {**part, "thoughtSignature": signature} if signs else part
            signature = "" if signs else signature
    yield from _bare(signature)


def _signature_of(thought: Thought) -> str:
    """Of the provider's own making; the thoughts of others it does not take."""
    return thought.signature.value if thought.signature and thought.signature.form == SIGNATURE else ""


def _bare(signature: str) -> Iterator[JsonObject]:
    if signature:
        yield {"text": "", "thoughtSignature": signature}


def _thought(text: str, signature: str) -> Iterator[JsonObject]:
    if text:
        yield {"text": text, "thought": True, "thoughtSignature": signature}


def _part(content: Content, names: Mapping[str, str], where: str) -> Iterator[JsonObject]:
    match content:
        case Text(text=text) | Refusal(text=text):
            if text:
                yield {"text": text}
        case Media():
            yield _media(content)
        case ToolCall():
            yield {"functionCall": _call(content, where)}
        case ToolResult():
            yield {"functionResponse": _result(content, names, where)}
            yield from (_media(each) for each in content.content if isinstance(each, Media))
        case Thought():
            pass


def _call(call: ToolCall, where: str) -> JsonObject:
    if not call.name:
        raise Untranslatable(where, f"the tool call {call.id!r} has no name")
    return given(id=call.id or None, name=call.name, args=object_of(call.arguments))


def _result(result: ToolResult, names: Mapping[str, str], where: str) -> JsonObject:
    name = names.get(result.id) or result.name
    if not name:
        raise Untranslatable(where, f"the result {result.id!r} is of no call of this conversation")
    text = "\n".join(each.text for each in result.content if isinstance(each, Text))
    response = {"error" if result.error else "output": text}
    return given(id=result.id or None, name=name, response=response)


def _media(media: Media) -> JsonObject:
    """The provider needs the type; where nothing says it, the commonest of its kind."""
    if media.form is MediaForm.DATA:
        kind = media.media_type or _TYPES[media.kind]
        return {"inlineData": {"mimeType": kind, "data": media.value}}
    suffix = media.value.partition("?")[0].rpartition(".")[2].lower()
    media_type = media.media_type or _SUFFIXES.get(suffix)
    return {"fileData": given(mimeType=media_type, fileUri=media.value)}


# -- tools ----------------------------------------------------------------------------------------------


def _declaration(tool: Tool) -> JsonObject:
    """JSON schema has a field of its own, so that nothing of it is to be cut away."""
    return given(
        name=tool.name, description=tool.description or None, parametersJsonSchema=tool.parameters or None
    )


def _tool_config(choice: ToolChoice) -> JsonObject:
    """Only these modes take names; of AUTO it is VALIDATED that does."""
    modes = {ToolMode.AUTO: "AUTO", ToolMode.NONE: "NONE", ToolMode.REQUIRED: "ANY"}
    mode = "VALIDATED" if choice.mode is ToolMode.AUTO and choice.names else modes[choice.mode]
    return {"functionCallingConfig": given(mode=mode, allowedFunctionNames=list(choice.names) or None)}


# -- knobs ----------------------------------------------------------------------------------------------


def _config(prompt: Prompt, destination: Destination) -> JsonObject:
    form = prompt.response_format
    return given(
        maxOutputTokens=prompt.max_output,
        temperature=prompt.temperature,
        topP=prompt.top_p,
        topK=prompt.top_k,
        frequencyPenalty=prompt.frequency_penalty,
        presencePenalty=prompt.presence_penalty,
        seed=prompt.seed,
        candidateCount=prompt.choices,
        stopSequences=list(prompt.stop) or None,
        responseLogprobs=None if prompt.logprobs is None else True,
        logprobs=prompt.logprobs or None,
        responseMimeType="application/json" if form else None,
        responseJsonSchema=form.schema if form else None,
        thinkingConfig=_thinking(prompt.thinking, destination) or None if prompt.thinking else None,
    )


def _thinking(thinking: Thinking, destination: Destination) -> JsonObject:
    by = _thinks_by(destination)
    if by == "none":
        return {}
    effort = effort_of(thinking)
    return given(
        thinkingBudget=_budget(thinking, destination.model) if by == "budget" else None,
        thinkingLevel=_LEVELS[effort] if by == "effort" and effort else None,
        includeThoughts=thinking.shown,
    )


def _suffixed(thinking: Thinking, model: str) -> str:
    """The name by which a model is asked to think so much, unless its client has chosen."""
    effort = effort_of(thinking)
    if effort is None or model.endswith(_ENDS):
        return model
    return model + _ENDS[effort not in _LITTLE]


def _thinks_by(destination: Destination) -> str:
    return destination.thinking or ("budget" if _BY_BUDGET in destination.model else "effort")


def _budget(thinking: Thinking, model: str) -> int | None:
    """Documented for 2.5: 128 to 32768 for pro, which always thinks; up to 24576 for the others."""
    budget = budget_of(thinking)
    if budget is None or budget < 0 or _BY_BUDGET not in model:
        return budget
    return min(max(budget, 128), 32_768) if "pro" in model else min(budget, 24_576)
