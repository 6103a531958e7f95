"""A status in which times are dates: the same again as long as nothing but the time has changed."""

import re

_LEFT, _PAST = frozenset({"seconds", "resets_in"}), frozenset({"since", "ago"})
"""Keys of seconds from now on, and of those that have passed."""

_TEXTS = frozenset({"reason", "why"})
"""Keys of sentences that may say for how many seconds."""

_SECONDS = re.compile(r"\d+ s\b")

_BY_NAME = frozenset({"scopes", "paused"})
"""Keys of objects that have seconds from now on by names."""


def dated(value: object, now: float, key: str = "") -> object:
    """`value` with the whole epoch seconds for each number of seconds. `now` in epoch seconds, `key`: under
    which the value stands."""
    match value:
        case dict():
            inside = "seconds" if key in _BY_NAME else ""
            return {name: dated(each, now, inside or name) for name, each in value.items()}
        case list():
            return [dated(each, now) for each in value]
        case int() | float() if key in _LEFT:
            return round(now + value)
        case int() | float() if key in _PAST:
            return round(now - value)
        case str() if key in _TEXTS:
            return _SECONDS.sub("", value)
        case _:
            return value
