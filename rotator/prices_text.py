"""Prices as a reader sees them."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from rich.table import Table
from rich.text import Text

from rewrite.usage.costs import Known, Price, Rates, Tiered
from rewrite.usage.price_list import PriceList

_COLUMNS = ("input", "cache_read", "cache_write", "cache_write_1h", "output")
_BESIDES = ("reasoning", "input_audio", "output_audio", "output_image")
_PER_THOUSAND = {"requests": "a thousand calls", "searches": "a thousand searches"}


@dataclass(frozen=True, slots=True)
class Row:
    """What a model costs at one provider."""

    provider: str
    cells: tuple[str, ...]
    """In the order of the columns."""
    besides: str
    """Prices that most models do not have."""
    source: str
    """Where all that comes from."""

    @classmethod
    def of(cls, provider: str, known: Known, at: float) -> Self:
        """`at`: when, in seconds since the epoch."""
        rates = known.rates(at)
        cells = tuple(_price(getattr(rates, name)) for name in _COLUMNS)
        place = "your own" if known.source == "own" else "list"
        return cls(provider, cells, _besides(rates), f"{place}: {known.match}")


def _price(price: Price | None) -> str:
    if price is None:
        return "-"
    if not isinstance(price, Tiered):
        return f"{price:g}"
    above = ", ".join(f"{tier.price:g} above {tier.start // 1000}k" for tier in price.tiers)
    return f"{price.base:g} ({above})"


def _besides(rates: Rates) -> str:
    whole = {"reasoning": rates.output, "input_audio": rates.input}
    own = [
        f"{name.replace('_', ' ')} {_price(price)}"
        for name in _BESIDES
        if (price := getattr(rates, name)) not in (None, whole.get(name, rates.output))
    ]
    thousand = [
        f"{_price(price)} for {what}"
        for name, what in _PER_THOUSAND.items()
        if (price := getattr(rates, name)) is not None
    ]
    return "; ".join((*own, *thousand))


def table(rows: list[Row]) -> Table:
    """One line for each provider."""
    made = Table(box=None, pad_edge=False, caption="US dollars for a million tokens", caption_justify="left")
    made.add_column("provider")
    for name in _COLUMNS:
        made.add_column(name.replace("_", " ").replace(" 1h", " (1 h)"), justify="right")
    made.add_column("besides")
    made.add_column("from")
    for row in rows:
        made.add_row(*map(Text, (row.provider, *row.cells, row.besides, row.source)))
    return made


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().date().isoformat()


def in_short(listed: PriceList, updated: Path, own: Path | None, tables: int) -> str:
    """Where the prices come from."""
    models = sum(len(listed.models(vendor)) for vendor in listed.vendors())
    place = f"kept in {updated}" if updated.is_file() else "as it came with rotator"
    since = f", of {_day(updated.stat().st_mtime)}" if updated.is_file() else ""
    lines = [f"list of genai-prices, {place}{since}: {models} models of {len(listed.vendors())} providers"]
    if own is not None:
        lines.append(
            f"your own: {own}: {tables} {'table' if tables == 1 else 'tables'}, which go before the list"
        )
    return "\n".join(lines)
