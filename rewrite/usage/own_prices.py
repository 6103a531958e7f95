"""The user's own prices: tables by a glob of provider and model, which go before any list.

["acme/llama-*"]
input = 0.2     # US dollars for a million tokens
output = 0.8
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct

from rewrite.usage.costs import MOST_PRICE, Rates

NAMES = tuple(Rates.__struct_fields__)
"""The keys of a table: those of `Rates`."""
_NEEDED = ("input", "output")


class BadOwnPrices(ValueError):
    """What is wrong with the tables."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in errors))
        self.errors = errors
        """The key of each error, and its text."""


class OwnPrices(Struct, frozen=True):
    """What the models cost whose names fit."""

    match: str
    """A glob (fnmatchcase) over provider/model, in lower case."""
    rates: Rates

    def fits(self, provider: str, model: str) -> bool:
        return fnmatchcase(f"{provider}/{model}".lower(), self.match)


def own_prices(tables: Mapping[str, object]) -> Sequence[OwnPrices]:
    """In the order of the file; the first that fits holds. Raises BadOwnPrices."""
    if errors := [found for match, table in tables.items() for found in _errors(match, table)]:
        raise BadOwnPrices(errors)
    return [OwnPrices(match.lower(), _rates(table)) for match, table in tables.items()]


def _errors(match: str, table: object) -> Iterator[tuple[str, str]]:
    if not isinstance(table, Mapping):
        yield match, 'expected a table by provider and model, such as ["acme/*"]'
        return
    if "/" not in match and match != "*":
        yield f'"{match}"', f'names no provider: write "*/{match}", or its name before the slash'
    for name in _NEEDED:
        if name not in table:
            yield (
                f'"{match}".{name}',
                "is missing: give US dollars for a million tokens, or 0",
            )
    for name, price in table.items():
        if name not in NAMES:
            yield f'"{match}".{name}', f"is not known: use {', '.join(NAMES)}"
        elif isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price <= MOST_PRICE:
            yield f'"{match}".{name}', f"expected US dollars for a million tokens, got {price!r}"


def _rates(table: object) -> Rates:
    given = table if isinstance(table, Mapping) else {}
    return Rates.of({name: float(price) for name, price in given.items()})
