"""The status line of a conversation, by what Claude Code and the proxy know of it.

Any of that may be missing, or another value than it should be: an error would be seen by nobody.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any

from addons.secrets.printable import escaped
from rotator.quantities import Data, duration, limit_name

SEPARATOR = " | "
DOWN = "rotator does not answer"
SILENT = "rotator: no call of this conversation yet"

LONGEST_REASON = 60
"""Characters of why a call waits: a status line is one line."""

_VARIANT = re.compile(r"\[[^\]]*\]$")
"""How Claude Code marks a long context: `claude-opus-4-5[1m]`."""
_PLAIN = "ok"
_CLAUDE_LIMITS = (("five_hour", "5h"), ("seven_day", "7d"))


def session(said: Data) -> str:
    return _text(said.get("session_id"))


def model(said: Data) -> str:
    """The one that is asked for, as the wire has it."""
    return _VARIANT.sub("", _text(_table(said.get("model")).get("id")))


def line(said: Data, known: Data | None) -> str:
    """`said` by Claude Code, `known` by the proxy. None: it does not answer."""
    if known is None:
        return DOWN
    last = _table(known.get("last"))
    if not last:
        return SEPARATOR.join([*_waits(known)]) or SILENT
    quota = [*_windows(known.get("windows"))] or [*_limits(said)]
    return SEPARATOR.join(
        [_answered(last), *filter(None, [", ".join(quota), _verdict(last)]), *_waits(known)]
    )


def _answered(last: Data) -> str:
    """`claude-opus-4-5 by anthropic/work`, and what was asked for, where that is another model."""
    asked, served = _text(last.get("model")), _text(last.get("served"))
    name = served or asked or "?"
    for_what = f"{asked} > " if asked and not name.startswith(asked) else ""
    credential = _text(last.get("credential"))
    return f"{for_what}{name} by {_text(last.get('provider'))}" + (f"/{credential}" if credential else "")


def _verdict(last: Data) -> str:
    verdict = _text(last.get("verdict"))
    return "" if verdict in ("", _PLAIN) else f"last call: {verdict}"


def _windows(windows: object) -> Iterator[str]:
    """What is left of the limits of the key."""
    for one in windows if isinstance(windows, Sequence) else ():
        used, limit = _number(_table(one).get("used")), _number(_table(one).get("limit"))
        if used is not None and limit:
            name = limit_name(one) or f"{_text(one.get('unit'))}"
            yield f"{name} {_percent(100 - 100 * used / limit)} left"


def _limits(said: Data) -> Iterator[str]:
    """As Claude Code knows them itself."""
    limits = _table(said.get("rate_limits"))
    for key, name in _CLAUDE_LIMITS:
        used = _number(_table(limits.get(key)).get("used_percentage"))
        if used is not None:
            yield f"{name} {_percent(100 - used)} left"


def _waits(known: Data) -> Iterator[str]:
    if waits := _table(known.get("waits")):
        seconds, why = _number(waits.get("seconds")), _text(waits.get("why"))
        how_long = f" {duration(seconds)}" if seconds is not None else ""
        yield (
            f"waits{how_long}: {shorten(why, LONGEST_REASON, placeholder='...')}"
            if why
            else f"waits{how_long}"
        )


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 100.0):.0f}%"


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return escaped(" ".join(value.split())) if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
