"""Reading JSON that a provider or a client wrote: anything may be missing or of another type."""

import json
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import cast

import msgspec
from pydantic_core import from_json, to_json

from protocols.model.call import Call, Operation
from protocols.model.errors import Fault, MalformedRequest
from protocols.model.http import Headers, WireRequest, WireResponse
from protocols.model.parts import StreamError

type JsonObject = Mapping[str, object]

_LONG, _NEAR = 1000, 128
"""Bytes of base64 in a row from which on they are no text, and bytes among which text has another one."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_OTHERS = bytes(byte not in _BASE64 for byte in range(256))
"""A table for `translate`, by which those that are no base64 become 1."""

MOST_TEXT = 1_200_000
"""Bytes of text up to which a request is waited for longer the more it has."""

NOT_JSON = object()
"""What `load_value` gives for bytes that are no JSON."""


MOST_VALUES = 1 << 21
"""What a request may hold of commas, colons and brackets. Measured: 20 MB of `{},` took seconds and 1.4 GB,
1.9 million keys 1.6 s, 20 MB of text next to nothing; agents send some ten thousand."""


_PIECE = 1 << 16
"""Bytes that are counted at once. A copy of so many is made in the cache."""


def is_crowded(body: bytes) -> bool:
    """Whether a request holds more values than it takes to be parsed beside other calls. It is read until the
    remainder cannot change that."""
    found = at = 0
    while found <= MOST_VALUES < found + len(body) - at:
        piece = body[at : at + _PIECE]
        found += len(piece) - len(piece.translate(None, b",:[{"))
        at += _PIECE
    return found > MOST_VALUES


_NUMBER, _NAMED = 8, 64
"""Bytes that a number takes at least, once it is parsed, and an object, a list or a key; times follow:
measured, 20 MB of `{},` take 1.2 s, and two million keys 4 s."""

_UNMARKED = bytes(set(range(256)) - set(b"{[:,"))
"""All but what stands before a value or after its name."""


def parsed_size(data: bytes) -> int:
    """What a piece of JSON comes to when it is parsed: its bytes, or more where they are mostly values."""
    marks = data.translate(None, _UNMARKED)
    numbers = marks.count(b",")
    return max(len(data), _NUMBER * numbers + _NAMED * (len(marks) - numbers))


def load_object(data: bytes) -> JsonObject | None:
    """The JSON object that `data` (UTF-8) holds, or None if it holds anything else."""
    value = load_value(data)
    return cast(JsonObject, value) if isinstance(value, dict) else None


def load_lazily(data: bytes) -> JsonObject | None:
    """As `load_object`: an object is the same, but each of its fields is parsed when it is asked for first.

    A request is passed on by what few short fields of it say. One that the two parsers of `load_value` may
    read in another way than the one that looks for fields is parsed at once.
    """
    if not (data.isascii() or _is_utf8(data)) or _has_long_number(data):
        return load_object(data)
    try:
        return LazyObject(data, _FIELDS.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return load_object(data)


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])

_LONGEST_NUMBER = 4300
"""Digits that Python reads of a whole number."""

_DIGITS = b"0123456789"


def _is_utf8(data: bytes) -> bool:
    """In pieces: a text of all takes four times its bytes."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(data), _PIECE):
            decoder.decode(data[at : at + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _has_long_number(data: bytes) -> bool:
    """Whether a number may have more digits than are read: these fill a piece of half as many, its last byte
    too."""
    half = _LONGEST_NUMBER // 2
    lasts = data[half - 1 :: half]
    return any(
        data[at * half : at * half + half].isdigit() for at, last in enumerate(lasts) if last in _DIGITS
    )


_TOO_DEEP = "a request is nested too deeply"


class LazyObject(Mapping[str, object]):
    """The object that `data` holds, of which each field is parsed once, when it is asked for.

    Raises RecursionError for a field that is nested deeper than can be read.
    """

    __slots__ = ("_data", "_raw", "_read")

    def __init__(self, data: bytes, raw: Mapping[str, msgspec.Raw]) -> None:
        self._data, self._raw = data, raw
        self._read: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        if name in self._read:
            return self._read[name]
        value = load_value(bytes(self._raw[name]))
        if value is NOT_JSON:
            raise RecursionError(_TOO_DEEP)
        self._read[name] = value
        return value

    def pieces(self, name: str) -> list[object] | None:
        """The elements of the list `name` as they stand in the data, each a `msgspec.Raw`. None: it is no
        list, or was parsed already."""
        if name in self._read:
            return None
        try:
            return [*_ELEMENTS.decode(self._raw[name])]
        except (msgspec.DecodeError, RecursionError):
            return None

    def parsed(self) -> JsonObject:
        """All of it at once, as a dict."""
        parsed = load_object(self._data)
        if parsed is None:
            raise RecursionError(_TOO_DEEP)
        return parsed

    def get(self, name: str, default: object = None) -> object:
        return self[name] if name in self._raw else default

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


def whole(mapping: JsonObject) -> JsonObject:
    """All of an object as a dict, for what looks for one."""
    return mapping.parsed() if isinstance(mapping, LazyObject) else mapping


def copied(value: JsonObject) -> dict[str, object]:
    """All of an object in dicts and lists of its own, which others may edit. Raises RecursionError."""
    return {name: _copied(inner) for name, inner in whole(value).items()}


def _copied(value: object) -> object:
    if isinstance(value, Mapping):
        return copied(value)
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


type Load = Callable[[bytes], JsonObject | None]
"""How a body is parsed: None for what is no JSON object."""


def json_call(
    protocol: str, call_id: str, operation: Operation, request: WireRequest, load: Load = load_lazily
) -> Call:
    """A call whose body names `model` and, to generate, `stream`; a list of models has no body.

    `load`: `load_object` where the protocol looks through most of a body, whatever becomes of the call.
    Raises MalformedRequest if the body is not a JSON object.
    """
    if operation is Operation.MODELS:
        return Call(call_id, protocol, operation, None, False, request.headers, target=request.target)
    body = load(request.body)
    if body is None:
        raise MalformedRequest("the body is not a JSON object")
    stream = operation is Operation.GENERATE and body.get("stream") is True
    return Call(
        call_id,
        protocol,
        operation,
        text_at(body, "model") or None,
        stream,
        request.headers,
        body,
        text_bytes=text_size(request.body),
        target=request.target,
    )


def load_first(data: bytes) -> JsonObject | None:
    """The JSON object that `data` holds, alone or as the first of an array; None if there is none."""
    value = load_value(data)
    first = value[0] if isinstance(value, list) and value else value
    return cast(JsonObject, first) if isinstance(first, dict) else None


def encoded(text: str) -> bytes:
    """`text` in UTF-8; a lone surrogate, which JSON can hold, as bytes that no parser takes."""
    return text.encode("utf-8", "surrogatepass")


_LONGEST_FORM = 4096
"""Bytes: fewer than the digits of a number that no parser takes."""
_ANY_FORM = msgspec.json.Decoder(msgspec.Raw)


def in_form[T](decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """What `decoder` makes of `data`: one object of a fixed form, in a third of the time of one of all in it.

    None: it is of another form, or no JSON, or legal and rare. Of anything else `load_value` makes something
    too: a decoder passes over what nobody asks for without a look at its UTF-8, so that comes first, and at
    the digits of a number, of which there cannot be too many.
    """
    if len(data) > _LONGEST_FORM:
        return None
    try:
        if not data.isascii():
            data.decode()
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def in_forms[T](decoder: msgspec.json.Decoder[list[T]], pieces: Sequence[bytes]) -> Sequence[T] | None:
    """What `in_form` makes of each of `pieces`, each of which is JSON by itself, in one call. None: one of
    them is of another form."""
    if max(map(len, pieces)) > _LONGEST_FORM:
        return None
    joined = b"[%b]" % b",".join(pieces)
    try:
        if not joined.isascii():
            joined.decode()
        return decoder.decode(joined)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def are_json(pieces: Sequence[bytes]) -> bool:
    """Whether each is JSON, as `is_json` says, mostly without a call for each."""
    decode = _ANY_FORM.decode
    try:
        for piece in pieces:
            if len(piece) > _LONGEST_FORM or not piece.isascii():
                if not is_json(piece):
                    return False
            else:
                decode(piece)
    except (msgspec.DecodeError, RecursionError):
        return all(map(is_json, pieces))
    return True


def is_json(data: bytes) -> bool:
    return in_form(_ANY_FORM, data) is not None or load_value(data) is not NOT_JSON


def load_value(data: bytes) -> object:
    """The value that `data` (UTF-8) holds, `NOT_JSON` if none. The fast parser first; the other takes what is
    legal and rare: lone surrogates, a BOM, deep nesting."""
    try:
        return from_json(data)
    except ValueError:
        pass
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return NOT_JSON


def dump(value: object) -> bytes:
    """Compact JSON in UTF-8; with escapes where a text holds lone surrogates."""
    plain = whole(value) if isinstance(value, LazyObject) else value
    try:
        return to_json(plain)
    except ValueError:
        return json.dumps(plain, separators=(",", ":")).encode()


def is_writable(value: object) -> bool:
    """Whether JSON can be written of a value that was read. Parsers take numbers that are none; those of
    JavaScript do not."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def text_size(body: bytes) -> int:
    """The bytes of a request without what is base64 in it, MOST_TEXT where they are more: images and files
    are not read like text.

    A run that is long enough fills a window. The next window begins after a byte of this one that is no
    base64, one near its end, so that few bytes are in more than two.
    """
    at = skipped = 0
    usual, unusual = b" ", b"\\"  # words have the one, lines of base64 the other; to find it takes no time
    while (end := at + _LONG) <= len(body) and at - skipped < MOST_TEXT:
        near = body.rfind(usual, end - _NEAR, end)
        if near < 0:
            usual, unusual = unusual, usual
            near = _last_other(body, at, end, usual)
        start = near + 1
        if start == at:
            other = _end_of_base64(body, end)
            skipped += other - at
            start = other + 1
        at = start
    return min(len(body) - skipped, MOST_TEXT)


def _last_other(body: bytes, at: int, end: int, usual: bytes) -> int:
    """The place of a byte that is no base64, `usual` if it is near the end; before `at` where there is none
    from there to `end`."""
    near = body.rfind(usual, end - _NEAR, end)
    return near if near >= 0 else at + body[at:end].translate(_OTHERS).rfind(1)


def _end_of_base64(body: bytes, at: int) -> int:
    """The end of the run that holds what stands before `at`. It is looked for in pieces that double: images
    are long, and short runs many."""
    piece = _LONG
    while at < len(body):
        other = body[at : at + piece].translate(_OTHERS).find(1)
        if other >= 0:
            return at + other
        at, piece = at + piece, min(2 * piece, _PIECE)
    return len(body)


def object_at(mapping: JsonObject, key: str) -> JsonObject:
    value = mapping.get(key)
    return cast(JsonObject, value) if isinstance(value, dict) else {}


def objects_at(mapping: JsonObject, key: str) -> list[JsonObject]:
    value = mapping.get(key)
    return objects(value) if isinstance(value, list) else []


def objects(values: Iterable[object]) -> list[JsonObject]:
    return [value for value in values if isinstance(value, dict)]


def text_at(mapping: JsonObject, key: str) -> str:
    value = mapping.get(key)
    return value if isinstance(value, str) else ""


def count_at(mapping: JsonObject, key: str) -> int | None:
    """A whole number, be it written as `12.0`, which some gateways do."""
    value = mapping.get(key)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


MOST_COUNTED = 1 << 40
"""More than any provider counts for a call. Sums of so many fit into a database, and into a line."""

MOST_COST = 1e6
"""US dollars for one answer. Who states more is wrong, and would make every sum worthless."""


def used_at(mapping: JsonObject, key: str) -> int | None:
    """What a provider counted: as `count_at`, and None for what nobody can count, such as -1 or 1e308."""
    count = count_at(mapping, key)
    return count if count is not None and 0 <= count <= MOST_COUNTED else None


_LARGEST = 1e300


def number_at(mapping: JsonObject, key: str) -> float | None:
    """A number of either kind; an int stays one. None for NaN, and for what is infinite or near it."""
    value = mapping.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_LARGEST <= value <= _LARGEST else None


def flag_at(mapping: JsonObject, key: str) -> bool | None:
    value = mapping.get(key)
    return value if isinstance(value, bool) else None


def texts_at(mapping: JsonObject, key: str) -> tuple[str, ...]:
    """The texts of a list, or a bare text as the only one."""
    value = mapping.get(key)
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def given(**fields: object) -> dict[str, object]:
    """The fields that are not None: an absent knob stays absent."""
    return {name: value for name, value in fields.items() if value is not None}


def extended(mapping: JsonObject, name: str, *more: JsonObject) -> dict[str, object]:
    """`mapping` with `more` after what its list `name` holds; the list is a new one."""
    value = mapping.get(name)
    return {**mapping, name: [*(value if isinstance(value, list) else ()), *more]}


def beside(mapping: JsonObject, known: Iterable[str] = ()) -> dict[str, object]:
    """What `mapping` holds besides the `known` fields, without nulls."""
    names = frozenset(known)
    return {name: value for name, value in mapping.items() if name not in names and value is not None}


def each_at(mapping: JsonObject, key: str, change: Callable[[JsonObject], JsonObject | None]) -> JsonObject:
    """`mapping` with every object of its list at `key` as `change` gives it, and without those of which it
    gives None; the same object where nothing changes."""
    values = mapping.get(key)
    if not isinstance(values, list):
        return mapping
    changed = [change(value) if isinstance(value, dict) else value for value in values]
    if all(new is old for new, old in zip(changed, values, strict=True)):
        return mapping
    return {**mapping, key: [value for value in changed if value is not None]}


def inside(mapping: JsonObject, key: str, change: Callable[[JsonObject], JsonObject]) -> JsonObject:
    """`mapping` with the object at `key` as `change` gives it; the same object where nothing changes."""
    value = mapping.get(key)
    if not isinstance(value, dict) or (changed := change(value)) is value:
        return mapping
    return {**mapping, key: changed}


def grown(old: JsonObject, new: JsonObject) -> dict[str, object]:
    """`new` over `old`, where lists grow and anything else is replaced, by no null."""
    both = {**old, **beside(new)}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, list) and isinstance(value, list):
            both[name] = [*before, *value]
    return both


def stream_error(error: object, *, native: bool = True) -> StreamError:
    """An error value as providers write it: an object, or a bare string.

    Measured: OpenRouter's `code` is the HTTP status as a number; Groq has `status_code`.
    """
    if not isinstance(error, dict):
        return StreamError(type="", message=str(error), native=native)
    code = error.get("code")
    number = next((v for v in (code, error.get("status_code")) if isinstance(v, int)), None)
    return StreamError(
        type=text_at(error, "type") or text_at(error, "status"),
        message=text_at(error, "message"),
        code=code if isinstance(code, str) else None,
        status=number,
        native=native,
        said=error,
    )


def error_answer(fault: Fault, body: object) -> WireResponse:
    """`body` as a JSON answer with the headers by which SDKs decide whether to ask again."""
    headers: Headers = (("content-type", "application/json"),)
    if fault.retry_after is not None:
        headers += (("retry-after", str(max(1, ceil(fault.retry_after)))),)
    if not fault.should_retry:
        headers += (("x-should-retry", "false"),)
    return WireResponse(fault.status, headers, dump(body))
