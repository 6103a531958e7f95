"""What several places say of a provider, laid over each other: how tables and lists combine, and what a
provider takes over that `extends` another."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import reduce

type Facts = Mapping[str, object]
"""What is said of a provider, by the names of its keys."""

_ITS_OWN = frozenset({"extends", "hosts", "environment"})
"""What is not copied: no two providers have one host or one pool of keys."""


class BadExtends(ValueError):
    """A provider that cannot be copied; the message says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name
        """Whose `extends` is wrong."""


def layered(general: Facts, special: Facts) -> dict[str, object]:
    """`special` over `general`: tables merge at every depth, special keys first; all else is replaced."""
    result = dict(special)
    for key, under in general.items():
        over = result.setdefault(key, under)
        if isinstance(under, Mapping) and isinstance(over, Mapping):
            result[key] = layered(under, over)
    return result


def over(general: Facts, special: Facts) -> dict[str, object]:
    """`special` over `general`, as `layered`; but rows of models stand before the general ones, and who takes
    a key in another form takes it in none of the general ones besides."""
    found = layered(general, special)
    if special.get("auth", general.get("auth")) != general.get("auth"):
        found["accepts"] = special.get("accepts", [])
    if "models" in special:
        found["models"] = [*_rows(special), *_rows(general)]
    return found


def _rows(facts: Facts) -> list[object]:
    rows = facts.get("models")
    return rows if isinstance(rows, list) else []


def facts_for(name: str, said: Mapping[str, Facts], common: Facts) -> dict[str, object]:
    """All that holds for the provider `name`: what is said of it, over what is said of the one that it
    extends, and so on, over what holds for any. Raises BadExtends."""
    line = lineage(name, said)
    copied = [{key: each[key] for key in each.keys() - _ITS_OWN} for each in map(said.__getitem__, line[1:])]
    own = {key: value for key, value in said[name].items() if key != "extends"}
    return reduce(over, [*reversed(copied), own], dict(common))


def lineage(name: str, said: Mapping[str, Facts]) -> list[str]:
    """`name`, the provider that it extends, the one that this extends, and so on. Raises BadExtends."""
    line = [name]
    while base := str(said[line[-1]].get("extends") or ""):
        if base not in said:
            raise BadExtends(line[-1], _unknown(base, said))
        if base in line:
            raise _circle(line[line.index(base) :])
        line.append(base)
    return line


def _unknown(base: str, said: Mapping[str, Facts]) -> str:
    close = get_close_matches(base, list(said), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(said))}"
    return f"no provider of that name: {hint}"


def _circle(names: list[str]) -> BadExtends:
    """The same whichever of `names` is asked about."""
    at = names.index(min(names))
    turned = [*names[at:], *names[:at], names[at]]
    return BadExtends(names[at], f"goes in a circle, {' -> '.join(turned)}: let one of them extend no other")
