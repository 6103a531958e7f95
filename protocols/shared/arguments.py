"""What a tool call asks for: one rule for streams, whole answers, histories and aggregation.

An object is serialised. Nothing (no field, null, an empty text or list) is an empty object. Any other value
stays as it is within its protocol; another protocol gets `{"value": ...}`, since clients and providers there
take objects alone. Measured: TGI and llama.cpp send an object where a text is due, Groq the texts "null", ""
and "[]" for a tool without parameters.
"""

from protocols.model.wirejson import NOT_JSON, JsonObject, dump, encoded, is_writable, load_object, load_value

NONE_GIVEN = "{}"
_NOTHING: tuple[object, ...] = (None, "", [], {})


def text_of(value: object) -> str:
    """The JSON text of arguments, or a piece of it, from a field that holds text (Chat, Responses)."""
    if isinstance(value, str):
        return value
    return "" if value is None else dump(value).decode()


def text_of_value(value: object) -> str:
    """The same from a field that holds the value itself (Messages, Gemini, Ollama). Measured: some servers
    send the text of an object there; any other text is a value."""
    if isinstance(value, str) and not _is_object_or_nothing(value_of(value)):
        return dump(value).decode()
    return text_of(value)


def _is_object_or_nothing(value: object) -> bool:
    return isinstance(value, dict) or value in _NOTHING


def as_object(text: str) -> str | None:
    """JSON text of an object for another protocol; None where `text` is no JSON: half of a call, or with a
    number (NaN, 1e999) that no JSON can be written with."""
    value = value_of(text)
    if value is NOT_JSON or not is_writable(value):
        return None
    if isinstance(value, dict):
        return text
    return NONE_GIVEN if value in _NOTHING else dump({"value": value}).decode()


def kept(text: str) -> str:
    """The same of a call in a history, which cannot be refused any more: half of a call is wrapped too."""
    return as_object(text) or dump({"value": text}).decode()


def within(text: str) -> str:
    """`text` within its protocol: nothing is an empty object, anything else stays."""
    return NONE_GIVEN if value_of(text) is None else text


def value_of(text: str) -> object:
    """The value, None where nothing is said, `NOT_JSON` where it is half of one."""
    return load_value(encoded(text)) if text.strip() else None


def is_complete(text: str, *, done: bool) -> bool:
    """Whether nothing is missing. A number may continue, so that of a scalar the end (`done`) alone says, as
    of no arguments at all."""
    value = value_of(text)
    return isinstance(value, dict | list) or (done and value is not NOT_JSON)


def object_of(text: str) -> JsonObject:
    """The object of a call in a history."""
    return load_object(encoded(kept(text))) or {}
