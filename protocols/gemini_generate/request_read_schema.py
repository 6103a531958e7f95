"""The schema of a tool or an answer as plain JSON schema.

The protocol has a dialect of its own for `parameters` and `responseSchema` (after OpenAPI: types in
capitals, `nullable`, counts as text) and takes JSON schema in `parametersJsonSchema` and
`responseJsonSchema`. Measured: gemini-cli sends types in capitals in the latter too.
"""

from collections.abc import Callable, Mapping
from typing import cast

from protocols.model.wirejson import JsonObject, objects

_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "defs"})
_LISTS = frozenset({"anyOf", "allOf", "oneOf", "prefixItems"})
_ONES = frozenset({"items", "additionalProperties", "not"})
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_NAMES = {"any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength"}
_NAMES |= {"max_length": "maxLength", "prefix_items": "prefixItems", "property_ordering": "propertyOrdering"}
_UNTOLD = frozenset({"nullable", "propertyOrdering", "example"})

type _Reader = Callable[[JsonObject], JsonObject]


def json_schema(schema: JsonObject) -> JsonObject:
    """A JSON schema with its types in small letters; all else as it is."""
    return {name: _value(name, value, json_schema) for name, value in schema.items()}


def from_dialect(schema: JsonObject) -> JsonObject:
    """The dialect as JSON schema. Loss: the order of properties that it asks for."""
    named = {_NAMES.get(name, name): value for name, value in schema.items()}
    read = {name: _value(name, value, from_dialect) for name, value in named.items() if name not in _UNTOLD}
    for name in _COUNTS & read.keys():
        if isinstance(count := read[name], str) and count.isdecimal():
            read[name] = int(count)
    if "example" in named:
        read["examples"] = [named["example"]]
    return _nullable(read) if named.get("nullable") is True else read


def _nullable(schema: dict[str, object]) -> JsonObject:
    if isinstance(kind := schema.get("type"), str):
        schema["type"] = [kind, "null"]
    if isinstance(values := schema.get("enum"), list):
        schema["enum"] = [*values, None]
    return schema


def _value(name: str, value: object, read: _Reader) -> object:
    if name == "type":
        return _type(value)
    if name in _MAPS and isinstance(value, dict):
        return {key: _one(inner, read) for key, inner in cast(JsonObject, value).items()}
    if name in _LISTS and isinstance(value, list):
        return [read(inner) for inner in objects(value)]
    return _one(value, read) if name in _ONES else value


def _one(value: object, read: _Reader) -> object:
    return read(cast(Mapping[str, object], value)) if isinstance(value, dict) else value


def _type(value: object) -> object:
    if isinstance(value, list):
        return [_type(each) for each in value]
    return value.lower() if isinstance(value, str) and value in _TYPES else value
