"""What a trace says of one call, without secrets: the one place through which all of it goes.

A secret is known by its value: those of the pool, of logins and of the client, in all forms of `all_forms`,
and whatever looks like a key. It is known by the name of its field, header or parameter, too. Signatures and
opaque reasoning are shortened to a hash. In bytes that are written as they came, fields are known in JSON,
and in strings of JSON that are JSON; not in the arguments of a tool that come in pieces, in several events.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import sha256
from math import isfinite
from typing import Any

from msgspec import Struct, structs
from pydantic import SecretStr

from addons.secrets.fields import Fields
from addons.secrets.names import Kind, is_secret_header, kind
from addons.secrets.redaction import LONGEST_NAME, REDACTED, SHORTEST_SECRET, shortened
from addons.secrets.searching import Search, Secrets, Stream, without_lookalikes
from protocols.model.parts import Signature
from protocols.model.wirejson import NOT_JSON, load_value
from protocols.shared.signatures import MARK

LARGEST = 1 << 20
"""Characters of the data of one entry; what is beyond is left out."""

DEEPEST = 100
"""Levels of it that are looked into."""

TOO_DEEP, CUT = "[nested too deeply]", "[cut]"

_LONGEST_SECRET = 8192
"""Characters past a cut in which the end of a secret is looked for."""
_SHORTEST_TEXT = 6
"""Characters of a text that may hold a secret."""
_MOST_NAMES = 1000
_SHORT_DATA = 64
"""Bytes of a field `data` that are not opaque."""
_OPAQUE_TYPES = frozenset({"redacted_thinking", "reasoning.encrypted"})
"""Of objects whose `data` is opaque reasoning: of Messages, and of OpenRouter's reasoning details."""


class Cleaning:
    """Of one call, whose client's own secrets are `own`."""

    def __init__(self, secrets: Secrets, own: Iterable[SecretStr], *, signatures: bool) -> None:
        self._signatures = signatures
        self._search = Search(secrets, own)
        self._names: dict[str, str] = {}
        self._left = 0

    def data(self, value: object) -> object:
        """Values for JSON: of JSON, of bytes (what they come to, if that is JSON), of dataclasses of ours."""
        self._left = LARGEST
        try:
            return self._walked(value, Kind.PLAIN, DEEPEST)
        except RecursionError:  # of a field that is parsed only now
            return TOO_DEEP

    def stream(self) -> "Stream":
        """For bytes that are written as they came."""
        return Stream(self._shown, self._search)

    def text(self, value: str) -> str:
        """`value` without secrets, fit for UTF-8."""
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode()
        if len(value) < _SHORTEST_TEXT:
            return value
        if value.startswith(MARK) and not self._signatures:
            return self._label(value)
        if len(value) >= SHORTEST_SECRET:
            value = self._search.without_secrets(value, lambda _: REDACTED)
        if '"' in value:
            value = Fields(self._shown).whole(value.encode()).decode()
        return without_lookalikes(value)

    def name(self, name: str) -> str:
        """As `text`, of what comes again and again, and not too long."""
        found = self._names.get(name)
        if found is None:
            found = shortened(self.text(name), LONGEST_NAME)
            if len(self._names) < _MOST_NAMES:
                self._names[name] = found
        return found

    # -- by name --------------------------------------------------------------------------------------

    def _shown(self, known: Kind, value: bytes, is_string: bool) -> bytes | None:
        """See `addons.secrets.fields.Show`."""
        match known:
            case Kind.SECRET:
                return REDACTED.encode() if value else None
            case Kind.TOKEN | Kind.MAYBE:
                hides = is_string and len(value) >= (SHORTEST_SECRET if known is Kind.MAYBE else 1)
                return REDACTED.encode() if hides else None
            case Kind.SIGNATURE:
                return self._label_of(value) if is_string and not self._signatures else None
            case Kind.DATA:
                hides = is_string and len(value) > _SHORT_DATA and not self._signatures
                return self._label_of(value) if hides else None
            case Kind.PLAIN:
                return None

    def _label_of(self, value: bytes) -> bytes:
        text = value.decode("utf-8", "replace")
        if "\\" in text:
            read = load_value(b'"' + value + b'"')
            text = read if isinstance(read, str) else text
        return self._label(text).encode()

    def _label(self, text: str) -> str:
        if not text:
            return text
        hashed = sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        return f"[signature sha256:{hashed}, {len(text)} characters]"

    # -- values ---------------------------------------------------------------------------------------

    def _walked(self, value: object, known: Kind, levels: int) -> object:
        """`known`: what the name of `value` says of it."""
        if self._left <= 0:
            return CUT
        self._left -= 8
        match value:
            case str():
                return self._string(str(value), known)
            case bool() | None:
                return value
            case float() if not isfinite(value):  # which parsers take, and JSON has not
                return str(value)
            case int() | float():
                return REDACTED if known is Kind.SECRET else value
            case _ if levels == 0:
                return TOO_DEEP
            case bytes() | bytearray() | memoryview():
                return self._bytes(bytes(value), known, levels)
            case _:
                return self._container(value, known, levels - 1)

    def _string(self, value: str, known: Kind) -> str:
        if known is Kind.SIGNATURE and not self._signatures:
            return self._label(value)
        if known is not Kind.PLAIN and self._shown(known, value.encode("utf-8", "replace"), True):
            return REDACTED
        text = self.text(value[: self._left + _LONGEST_SECRET])
        left, self._left = self._left, self._left - len(text)
        return text if len(text) <= left and len(value) <= left else f"{text[:left]}{CUT}"

    def _bytes(self, value: bytes, known: Kind, levels: int) -> object:
        """What is no text may be compressed, and cannot be searched."""
        read = load_value(value) if len(value) <= LARGEST else NOT_JSON
        if read is not NOT_JSON:
            return self._walked(read, known, levels)
        try:
            text = value[: LARGEST + _LONGEST_SECRET].decode()
        except UnicodeDecodeError as error:
            if error.start < LARGEST:
                return f"[{len(value)} bytes that are no text]"
            text = value[: error.start].decode()
        return self._string(text, known)

    def _container(self, value: object, known: Kind, levels: int) -> object:
        match value:
            case Enum():
                return self._walked(value.value, known, levels)
            case SecretStr():
                return REDACTED
            case Signature():
                return {"form": self.text(value.form), "value": self._string(value.value, Kind.SIGNATURE)}
            case Mapping():
                return dict(self._fields(value, known, levels))
            case list() | tuple() | set() | frozenset():
                return list(self._items(value, known, levels))
            case Struct():
                found = structs.asdict(value)
                return {"class": type(value).__name__, **dict(self._fields(found, known, levels))}
            case _ if is_dataclass(value):
                found = {each.name: getattr(value, each.name) for each in fields(value)}
                return {"class": type(value).__name__, **dict(self._fields(found, known, levels))}
            case _:
                return f"[{type(value).__name__}]"

    def _items(self, value: Iterable[object], known: Kind, levels: int) -> Iterator[object]:
        for each in value:
            if self._left <= 0:
                yield CUT
                return
            yield self._walked(each, known, levels)

    def _fields(self, value: Mapping[Any, object], known: Kind, levels: int) -> Iterator[tuple[str, object]]:
        """Of what is secret, all is."""
        type_of = value.get("type")
        for key, each in value.items():
            if self._left <= 0:
                yield CUT, True
                return
            name = str(key)
            named = known if known is Kind.SECRET else _kind_of(name, each, type_of)
            yield self.name(name), self._field(name, each, named, levels)

    def _field(self, name: str, value: object, known: Kind, levels: int) -> object:
        last = "" if known is Kind.SECRET else name.lower().rpartition("_")[2]
        if last in ("headers", "trailers"):
            return self._headers(value, levels)
        if last == "properties" and isinstance(value, Mapping):
            return {
                self.name(str(key)): self._property(str(key), each, levels) for key, each in value.items()
            }
        return self._walked(value, known, levels)

    def _property(self, name: str, value: object, levels: int) -> object:
        """In a JSON schema the name is that of a parameter, and the value says of which type it is."""
        known = Kind.PLAIN if isinstance(value, Mapping) else kind(name)
        return self._walked(value, known, levels)

    def _headers(self, value: object, levels: int) -> object:
        """Of a mapping, or of pairs of name and value."""
        if isinstance(value, Mapping):
            return {
                self.name(str(name)): self._header(str(name), each, levels) for name, each in value.items()
            }
        if isinstance(value, list | tuple):
            pairs = [each for each in value if isinstance(each, list | tuple) and len(each) == 2]
            if len(pairs) == len(value):
                return [[self.name(str(name)), self._header(str(name), each, levels)] for name, each in pairs]
        return self._walked(value, Kind.PLAIN, levels)

    def _header(self, name: str, value: object, levels: int) -> object:
        known = Kind.SECRET if is_secret_header(name) else Kind.PLAIN
        return self._walked(value, known, levels)


def _kind_of(name: str, value: object, type_of: object) -> Kind:
    known = kind(name)
    if known is Kind.DATA:
        return Kind.SIGNATURE if type_of in _OPAQUE_TYPES and isinstance(value, str) else Kind.PLAIN
    return known
