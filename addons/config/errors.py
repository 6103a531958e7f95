"""What is wrong with a config, as messages: every line names the source, the key and the remedy.

The tables are checked by pydantic; its messages and the values that it was given never leave this file,
since anything in a config may be a secret in the wrong place.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource

from addons.config.tables import Loc, Tables, Tree, names_at
from addons.secrets.redaction import without_keys

PREFIX = "ROTATOR__"
"""Environment variables that begin so override the file; `__` stands between the parts of a key."""

_KEY = "[key]"
"""The last part of pydantic's path where a key itself is wrong, not its value."""

_EMPTY = '""'
"""How an empty name is written."""

_LONG = re.compile(r"\S{33,}")


class _Environment(BaseSettings, Tables):
    """The same names, for the reader of the environment."""


class _EnvironmentSource(EnvSettingsSource):
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        super().__init__(_Environment, env_prefix=PREFIX, env_nested_delimiter="__", case_sensitive=False)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        """What is no JSON stays a text, which the check then refuses by the variable's name."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


@dataclass(slots=True)
class ConfigErrors:
    """What is wrong with a config: one line for each place, the first that was found there."""

    file: str
    """The config file's name in messages."""
    variables: Mapping[str, str]
    """The overrides: from upper-case names to the names as they are."""
    within: Loc = ()
    """Where the file's own names begin: this is left out of messages."""
    _found: dict[tuple[str, Loc], str] = field(default_factory=dict)

    def add(self, loc: Loc, text: str, source: str = "") -> None:
        self._found.setdefault((source or self.source(loc), loc), text)

    def under(self, loc: Loc) -> bool:
        """Whether an error is known at `loc` or inside it."""
        return any(known[: len(loc)] == loc for _, known in self._found)

    def lines(self) -> tuple[str, ...]:
        own = len(self.within)
        shortened = ((source, loc[own:], text) for (source, loc), text in self._found.items())
        return tuple(line(*each) for each in shortened)

    def source(self, loc: Loc) -> str:
        """Where the value at `loc` comes from: a variable for it or for what is around it, else the file."""
        for size in range(len(loc), 0, -1):
            name = PREFIX + "__".join(str(part) for part in loc[:size]).upper()
            if name in self.variables:
                return f"environment variable {self.variables[name]}"
        return self.file


def line(source: str, loc: Loc, text: str) -> str:
    """One line of an error or a warning."""
    return f"{source}: {dotted(loc)}: {text}" if loc else f"{source}: {text}"


def dotted(loc: Loc) -> str:
    """`("providers", "x", "credentials", 0)` as `providers.x.credentials[0]`."""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{masked(part) or _EMPTY}" for part in loc if part != _KEY
    )
    return "".join(parts).removeprefix(".")


def masked(text: str) -> str:
    """`text` without words that look like keys, or are so long that they may be secrets."""
    return _LONG.sub("(a long word)", without_keys(text))


def overrides(environ: Mapping[str, str], errors: ConfigErrors) -> Tree:
    """What ROTATOR__... variables set, as a tree of tables; names that are none of ours are errors."""
    mine = {name: value for name, value in environ.items() if name.upper().startswith(PREFIX)}
    for name in mine:
        top = name[len(PREFIX) :].lower().partition("__")[0]
        if top not in Tables.model_fields:
            errors.add((top,), _unknown((top,)), f"environment variable {name}")
    return _EnvironmentSource(mine)()


def checked(tree: Tree, errors: ConfigErrors, file: str = "") -> Tables:
    """The tables in `tree` without what is wrong in it, which goes to `errors`.

    With `file`, the name of the file that `tree` was read from, types are taken strictly; without, numbers
    may be texts as they are in the environment.
    """
    while True:
        try:
            return Tables.model_validate(tree, strict=bool(file))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        tree = deepcopy(tree)
        for each in details:
            errors.add(each["loc"], _message(each), file)
            _prune(tree, each["loc"])


def _prune(tree: Tree, loc: Loc) -> None:
    """Take out the deepest key on the way to `loc`; a list's items keep their numbers."""
    inner: object = tree
    holder, name = tree, str(loc[0])
    for part in loc:
        match inner:
            case dict() if part in inner:
                holder, name = inner, str(part)
                inner = inner[part]
            case list() if isinstance(part, int):
                inner = inner[part]
            case dict() if part != _KEY:
                return  # gone already, with an item beside it
    holder.pop(name, None)


_MESSAGES: Mapping[str, str] = {
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": 'must be a list, such as ["one", "two"]',
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


_CREDENTIAL = '{ name = "work", key = "env:WORK_KEY" }'
_LISTS: Mapping[str, str] = {
    "credentials": f"must be a list of tables, such as [{_CREDENTIAL}]",
    "to": 'must be a list, such as ["anthropic", "openai/gpt-5"]',
    "routes": "is a list of tables: begin each with [[routes]]",
    "windows": 'must be a list of tables, such as [{ unit = "requests", limit = 100, per = "day" }]',
    "deadlines": "is a list of tables: begin each with [[deadlines]]",
    "field_cache": "is a list of tables: begin each with [[providers.NAME.field_cache]]",
    "models": 'must be a list of tables, such as [{ match = "gpt-5*", max_output = 9000 }]',
}
_TABLES: Mapping[str, str] = {
    "credentials": f"must be a table, such as {_CREDENTIAL}",
    "windows": 'must be a table, such as { unit = "requests", limit = 100, per = "day" }',
    "caps": 'must be a table, such as { requests = "50%" }',
    "match": 'must be a table, such as { model = "claude-*" }',
}
_TEXTS: Mapping[str, str] = {
    "model": 'must be a text in quotes, such as "claude-*"',
    "provider": 'must be a text in quotes, such as "anthropic"',
    "key": 'must be a text in quotes, such as "env:WORK_KEY"',
}
_NO_TEXT = "string_type"
_NO_LIST, _NO_TABLE = "list_type", frozenset({"dict_type", "model_type", "model_attributes_type"})
_KEYS = frozenset({"api_key", "api_keys", "apikey", "key", "keys", "token"})


def _example(kind: str, loc: Loc) -> str | None:
    """How what stands at `loc` is written, where its form was missed; None: there is no example of it."""
    named = str(next((part for part in reversed(loc) if isinstance(part, str)), ""))
    if kind == _NO_LIST:
        return _LISTS.get(named)
    if kind == _NO_TEXT:
        return _TEXTS.get(named)
    return _TABLES.get(named) if kind in _NO_TABLE else None


def _message(error: ErrorDetails) -> str:
    """Our message for what pydantic found; nothing of the value is in it."""
    context = error.get("ctx", {})
    if error["loc"][:-1] == ("users",) and error["type"] in _NO_TABLE:
        return "must be a table, such as { requests = 500 }"
    if example := _example(error["type"], error["loc"]):
        return example
    match error["type"]:
        case "extra_forbidden":
            return _unknown(error["loc"])
        case "value_error":
            return str(context["error"])
        case "greater_than":
            return f"must be above {context['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "literal_error":
            return f"must be {str(context['expected']).replace(chr(39), chr(34))}"
        case kind:
            return _MESSAGES.get(kind, "is not of the right form")


def _unknown(loc: Loc) -> str:
    known, name = sorted(names_at(loc[:-1])), str(loc[-1]).lower()
    if "credentials" in known and name in _KEYS:
        return f"unknown name: write credentials = [{_CREDENTIAL}]"
    begun = [each for each in known if each.startswith(name)]
    close = begun if len(begun) == 1 else get_close_matches(name, known, n=1)
    return (
        f"unknown name: did you mean {close[0]}?"
        if close
        else f"unknown name: known are {', '.join(known)}: take out what this version lacks"
    )
