"""The line of a call in the log."""

from collections.abc import Mapping
from typing import Any


def logfmt(record: Mapping[str, Any]) -> str:
    """logfmt: `key=value` pairs, values with spaces in quotes."""
    fields = {key: record.get(key) for key in _LINE_KEYS}
    fields["lost"] = ",".join([loss.partition(":")[0] for loss in record.get("losses", ())])
    fields["skipped"] = "; ".join([f"{label}: {why}" for label, why in record.get("skipped", {}).items()])
    fields["attempts"] = " ".join([_named(one) for one in record["attempts"]])
    return " ".join([f"{key}={_value(value)}" for key, value in fields.items() if value not in (None, "")])


def _named(attempt: Mapping[str, str]) -> str:
    where = f"{attempt['target']}/" if "target" in attempt else ""
    return f"{where}{attempt['credential']}:{attempt['outcome']}"


_LINE_KEYS = (
    "call",
    "provider",
    "target",
    "operation",
    "model",
    "status",
    "end",
    "detail",
    "truncated",
    "first_token",
    "seconds",
    "tokens_in",
    "tokens_out",
)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value).replace('"', "'")
    return f'"{text}"' if " " in text else text
