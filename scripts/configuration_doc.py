"""Writes docs/configuration.md: every key of the config file, with its type and default.

`python -m scripts.configuration_doc > docs/configuration.md`

Types are those of the tables' schema, texts their docstrings, and defaults what a call without a config gets.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from addons.config import tables, tracing
from addons.config.tables import Table
from addons.options import OPTIONS
from rewrite.responses.store import Bounds
from rewrite.values.timeouts import TIMEOUTS, Timeouts

INTRODUCTION = """\
# Configuration

This file is written by `python -m scripts.configuration_doc`, from the tables that the code reads the
config by.

## Where it is

`rotator.toml` or `rotator.json`, the first that is there: the path in `--set rotator_config=PATH`, the
folder that you start from, your config directory (on Linux `~/.config/rotator/`). It is found once, at the
start: the log says which. A changed file is read again without a restart; a broken one keeps the old
settings in force, and the log says what is wrong with it. One that other users may write is refused.
`rotator check` says what a config means before it is used.

Without a file, numbered variables make a pool: `OPENAI_API_KEY_1`, `OPENAI_API_KEY_2`,
`ANTHROPIC_API_KEY_1`, ... Such a key is called by its variable. The plain `OPENAI_API_KEY` is left to your
tools. A key is never written into the file.

A variable overrides one key: `ROTATOR__STREAMING__FIRST_TOKEN_TIMEOUT=5` is `first_token_timeout` in
`[streaming]`. Times are in seconds, and 0 turns a timeout off.
[rotator.example.toml](../rotator.example.toml) shows every key in its place.
"""

OF_THE_PROXY = """\
## Options of the proxy

They are given as `--set NAME=VALUE`, to `rotator start` or to mitmproxy itself.

| option | type | default | |
|---|---|---|---|
"""

SECTIONS: Mapping[str, type[Table]] = {
    "[[providers.NAME.credentials]]": tables.CredentialTable,
    "[[providers.NAME.credentials.windows]]": tables.WindowTable,
    "[providers.NAME.credentials.caps]": tables.CapsTable,
    "[[routes]]": tables.RouteTable,
    "[routes.match]": tables.MatchTable,
    "[retry]": tables.RetryTable,
    "[streaming]": tables.StreamingTable,
    "[[deadlines]]": tables.DeadlineTable,
    "[deadlines.match]": tables.DeadlineMatchTable,
    "[trace]": tables.TraceTable,
    "[usage]": tables.UsageTable,
    "[users.NAME]": tables.UserTable,
    "[prices]": tables.PricesTable,
    "[report]": tables.ReportTable,
    "[responses]": tables.ResponsesTable,
    "[state]": tables.StateTable,
    "[browsers]": tables.BrowsersTable,
    "[limits]": tables.LimitsTable,
    "[upstream]": tables.UpstreamTable,
    "[shutdown]": tables.ShutdownTable,
}
"""Each table but those of a provider, which docs/providers.md has."""

_NAMES = {"string": "text", "boolean": "true or false", "integer": "whole number", "object": "table"}
_ANYTHING = "number or text"


def document() -> str:
    """The whole file."""
    parts = [
        INTRODUCTION,
        "## Providers\n\n[providers.md](providers.md) has the keys of `[providers.NAME]`.\n",
    ]
    parts += [_section(title, table) for title, table in SECTIONS.items()]
    return "\n".join([*parts, OF_THE_PROXY + "\n".join(_options()) + "\n"])


def _options() -> Iterator[str]:
    for each in OPTIONS:
        kind = "true or false" if isinstance(each.default, bool) else "text"
        yield f"| `{each.name}` | {kind} | {_shown(each.default)} | {each.help} |"


def _shown(default: object) -> str:
    return "" if default in (None, "") else f"`{_json(default)}`"


def _section(title: str, table: type[Table]) -> str:
    lines = [f"## `{title}`", "", "| key | type | default | |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(table)]) + "\n"


def _rows(table: type[Table]) -> Iterator[str]:
    schema, texts, said = table.model_json_schema(), described(table), _defaults(table)
    for key, field in schema["properties"].items():
        kind, default = _type(field, schema.get("$defs", {})), said.get(key, field.get("default"))
        shown = "" if kind == "table" or default == [] else _shown(default)
        yield f"| `{key}` | {kind} | {shown} | {texts[key].replace('|', '&#124;')} |"


def _json(value: object) -> str:
    text = json.dumps(value)
    return text.removesuffix(".0") if isinstance(value, float) else text


def described(table: type[Table]) -> Mapping[str, str]:
    """The docstring below each field of a table and of those that it builds on, in one line."""
    found: dict[str, str] = {}
    for one in reversed(table.__mro__):
        if issubclass(one, Table):
            found |= _docstrings(ast.parse(textwrap.dedent(inspect.getsource(one))).body[0])
    return found


def _docstrings(tree: ast.stmt) -> Mapping[str, str]:
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    return {
        field.target.id: " ".join(str(text.value.value).split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _defaults(table: type[Table]) -> Mapping[str, Any]:
    """What holds where the table says nothing: its own fields only note whether something was said."""
    if issubclass(table, tables.StreamingTable):
        return {key: getattr(Timeouts(), name) for key, name in TIMEOUTS.items()}
    if table is tables.TraceTable:
        return {name: getattr(tracing.Bounds(), name) for name in ("max_bytes", "max_calls", "max_age")}
    if table is tables.ResponsesTable:
        return {name: getattr(Bounds(), name) for name in ("ttl", "max_bytes", "max_count")}
    if table is tables.DeadlineTable:
        return dict.fromkeys(table.model_fields)
    return dict.fromkeys(("limit", "per")) if table is tables.WindowTable else {}


def _type(field: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _type(known[field["$ref"].rpartition("/")[2]], known)
    if "enum" in field:
        return ", ".join(f"`{each}`" for each in field["enum"])
    forms = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
    if len(forms) == 1:
        return _type(forms[0], known)
    if forms:
        return "text or table"
    if field.get("type") == "array":
        return f"list of {_type(field['items'], known)}s".replace("text or tables", "names or tables")
    return {**_NAMES, "number": "number"}.get(field.get("type", ""), _ANYTHING)


if __name__ == "__main__":
    print(document(), end="")
