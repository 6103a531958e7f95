"""Times, limits and what they are for, as a person reads them."""

import re
from collections.abc import Mapping
from typing import Any

type Data = Mapping[str, Any]
"""What a page of the proxy says, and parts of it."""


def duration(seconds: float) -> str:
    """As a person says it, in at most two units."""
    whole = max(round(seconds), 0)
    for unit, size, smaller, part in _UNITS:
        if whole >= size:
            many, left = divmod(whole, size)
            return f"{many} {unit} {left // part} {smaller}" if left // part else f"{many} {unit}"
    return f"{whole} s"


_UNITS = (("d", 86_400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def quota(window: Data) -> str:
    """What is left of one limit, and when there is more."""
    unit, limit = window["unit"], window["limit"]
    left = max(limit - window["used"], 0)
    name, scope = limit_name(window), window.get("scope")
    said = {
        "percent": f"{name or 'limit'}: {left:.0f} % left",
        "cost": f"${left:.2f} of ${limit:g} left",
    }.get(unit, f"{_short(left)} of {_short(limit)} {unit} left")
    whom = f" for {scope_name(scope)}" if scope else ""
    return f"{said}{whom}, reset in {duration(window['resets_in'])}"


_NAMED = re.compile(r"(?:unified|codex)-(.+)")
"""Of a header that reports a limit, the name that its provider gives that."""


def limit_name(window: Data) -> str:
    """`5h` or `primary`. Empty: the limit has none."""
    found = _NAMED.search(window.get("source", ""))
    return found[1] if found else ""


def _short(number: float) -> str:
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= 10 * size:
            return f"{number / size:.0f}{unit}"
    return f"{number:g}"


def scope_name(scope: str) -> str:
    """Of `model:gpt-5`, of other scopes, and of all models, which is the empty one."""
    return scope.partition(":")[2] or scope or "all models"
