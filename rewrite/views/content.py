"""What a message of a call says, as plain data for a reader: of all protocols alike, by the fields that they
have. What is not known is shown as it is, without the bytes of media and signatures.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from protocols.model.wirejson import JsonObject, encoded, load_value, object_at, objects, text_at

TEXT_TYPES = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_OPAQUE = frozenset(
    {"signature", "thoughtSignature", "thought_signature", "encrypted_content", "thinking_signature"}
)
"""Fields whose values nobody can read."""
_LONGEST_LIST = 200
"""Elements of a list that are shown."""
_LONGEST_DATA = 512
"""Characters of a text without a blank that are shown: more is base64."""
_DEEPEST = 12


def piece(part: object) -> object:
    """One part of a message's content: a text, or what it is with what it holds."""
    if isinstance(part, str):
        return readable(part)
    if not isinstance(part, Mapping):
        return readable(part)
    kind = text_at(part, "type")
    if kind in TEXT_TYPES or (not kind and isinstance(part.get("text"), str)):
        return {"reasoning": text_at(part, "text")} if part.get("thought") is True else text_at(part, "text")
    if kind in ("refusal", "thinking"):
        return {"reasoning" if kind == "thinking" else kind: text_at(part, kind)}
    return _tool(part, kind) or _media(part, kind) or readable(part)


def _tool(part: JsonObject, kind: str) -> object | None:
    """A call of a tool, or what one gave back."""
    if kind in ("tool_use", "server_tool_use"):
        return call(text_at(part, "name"), text_at(part, "id"), part.get("input"))
    if kind in ("function_call", "custom_tool_call"):
        given = part.get("arguments", part.get("input"))
        return call(text_at(part, "name"), text_at(part, "call_id"), given)
    if kind.endswith("tool_result"):
        failed = " failed" if part.get("is_error") is True else ""
        return result(text_at(part, "tool_use_id") + failed, part.get("content"))
    if kind.endswith("call_output"):
        return result(text_at(part, "call_id"), part.get("output"))
    if kind == "reasoning":
        texts = [piece(each) for name in ("summary", "content") for each in pieces_at(part, name)]
        return {"reasoning": joined(texts) if texts else "[encrypted]"}
    if asked := object_at(part, "functionCall"):
        return call(text_at(asked, "name"), text_at(asked, "id"), asked.get("args"))
    if said := object_at(part, "functionResponse"):
        return result(text_at(said, "id") or text_at(said, "name"), said.get("response"))
    return None


def call(name: str, tool_id: str, arguments: object) -> dict[str, object]:
    """`arguments`: an object, or the text of one."""
    known = load_value(encoded(arguments)) if isinstance(arguments, str) else arguments
    shown = known if isinstance(known, Mapping) else arguments
    return {f"call {name}{f' ({tool_id})' if tool_id else ''}": readable(shown if shown is not None else {})}


def result(of: str, content: object) -> dict[str, object]:
    texts = [piece(each) for each in content] if isinstance(content, list) else [readable(content)]
    return {f"result {of}".strip(): joined(texts)}


def _media(part: JsonObject, kind: str) -> str | None:
    """A placeholder for what is no text."""
    inline = object_at(part, "inlineData") or object_at(part, "inline_data")
    source = object_at(part, "source") or inline or object_at(part, "fileData")
    if source:
        media_type = next((text_at(source, name) for name in _TYPES if text_at(source, name)), kind)
        return _placeholder(media_type, _first(source, ("data", "url", "fileUri", "file_id")))
    if kind in ("image_url", "input_image"):
        held = part.get("image_url")
        return _placeholder("image", text_at(held, "url") if isinstance(held, Mapping) else held)
    if not kind and "media_type" in part:
        return _placeholder(text_at(part, "media_type") or "media", _first(part, ("data", "url")))
    if kind in ("input_audio", "file", "input_file"):
        held = object_at(part, kind) or part
        name = text_at(held, "filename")
        return _placeholder(
            f"file {name}".strip(), _first(held, ("data", "file_data", "file_url", "file_id"))
        )
    return None


_TYPES = ("media_type", "mimeType", "mime_type")


def _first(mapping: JsonObject, names: Sequence[str]) -> object:
    return next((mapping[name] for name in names if mapping.get(name)), "")


def _placeholder(kind: str, value: object) -> str:
    """`value`: base64, an address or an id."""
    text = value if isinstance(value, str) else ""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        kind = head[5:].partition(";")[0] or kind
    elif len(text) < _LONGEST_DATA and ":" in text:
        return f"[{kind}: {text}]"
    return f"[{kind}, {_size(len(text) * 3 // 4)}]"


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1000:,.0f} kB"


def pieces_at(mapping: JsonObject, name: str) -> Sequence[object]:
    """The parts of a content, be it a text alone."""
    held = mapping.get(name)
    if isinstance(held, list):
        return held
    return [] if held is None or held == "" else [held]


def joined(texts: Sequence[object]) -> object:
    """Texts that follow one another as one; one thing alone as itself."""
    found: list[object] = []
    for each in texts:
        if isinstance(each, str) and found and isinstance(found[-1], str):
            found[-1] = f"{found[-1]}\n{each}"
        else:
            found.append(each)
    return found[0] if len(found) == 1 else found


# -- anything ----------------------------------------------------------------------------------------------


def readable(value: object, levels: int = _DEEPEST) -> object:
    """`value` of JSON without what nobody reads: media, signatures, lists of numbers."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {name: _field(name, each, levels) for name, each in value.items()} if levels else "[...]"
    if isinstance(value, list):
        return list(_elements(value, levels)) if levels else "[...]"
    return value


def _field(name: str, value: object, levels: int) -> object:
    if name in _OPAQUE and isinstance(value, str) and value:
        return f"[{name}, {len(value)} characters]"
    return readable(value, levels - 1)


def _elements(value: list[Any], levels: int) -> Iterator[object]:
    if len(value) > 20 and all(isinstance(each, int | float) for each in value):
        yield f"[{len(value)} numbers]"
        return
    yield from (readable(each, levels - 1) for each in value[:_LONGEST_LIST])
    if len(value) > _LONGEST_LIST:
        yield f"[... {len(value) - _LONGEST_LIST} more]"


def _text(text: str) -> str:
    if len(text) <= _LONGEST_DATA:
        return text
    if text.startswith("data:") and ";base64," in text[:100]:
        return _placeholder("data", text)
    has_blank = " " in text[:_LONGEST_DATA] or "\n" in text[:_LONGEST_DATA]
    return text if has_blank or not text.isascii() else f"[{len(text):,} characters without a blank]"


def tools_of(body: JsonObject) -> dict[str, object]:
    """Each tool with its parameters as a signature, and what it says of itself in a line."""
    found: dict[str, object] = {}
    for tool in objects([*pieces_at(body, "tools"), *pieces_at(body, "functions")]):
        inner = [*objects(pieces_at(tool, "functionDeclarations")), *objects(pieces_at(tool, "tools"))]
        for each in inner or [object_at(tool, "function") or object_at(tool, "custom") or tool]:
            found[_signature(each)] = _line(text_at(each, "description"))
    return found


def _signature(tool: JsonObject) -> str:
    name = text_at(tool, "name") or text_at(tool, "type") or ", ".join(tool)
    schemas = (object_at(tool, each) for each in ("parameters", "input_schema", "parametersJsonSchema"))
    schema = next(filter(None, schemas), {})
    required = schema.get("required")
    needed = required if isinstance(required, list) else ()
    names = [each if each in needed else f"{each}?" for each in object_at(schema, "properties")]
    return f"{name}({', '.join(names)})" if schema else name


def _line(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= 160 else f"{first[:157]}..."
