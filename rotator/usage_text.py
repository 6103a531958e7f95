"""What calls used and cost, for a reader: a table, a chart, and rows for a spreadsheet."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from io import StringIO

from msgspec import structs
from rich.bar import Bar
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from addons.usage.queries import MEMORY, Row, Usage
from rotator.paths import command

_GAP = "  "

_WIDTH = 40
"""Of the longest bar, in columns."""


def place_of(kept: str, proxies: int = 0, *, alone: bool = False) -> str:
    """`kept`: where it was read from; `proxies`: how many write there, 0: one; `alone`: nobody knows of the
    others."""
    if proxies:
        return f"by all proxies ({proxies} now) in {kept}"
    own = "in the memory of the proxy, until it ends" if kept == MEMORY else f"in {kept}"
    return f"{own}, of this proxy alone: the store of all cannot be reached" if alone else own


def rendered(usage: Usage, where: str, width: int, *, chart: bool) -> Iterator[RenderableType]:
    """`where`: see `place_of`; `width`: how many characters a line may have."""
    since = datetime.fromtimestamp(usage.since).astimezone().strftime("%Y-%m-%d %H:%M")
    if not usage.rows:
        yield Text(f"no calls since {since} ({where}): run a tool through the proxy: {command()} run -- TOOL")
        return
    yield Text.assemble(("usage", "bold"), f" since {since}, kept {where}")
    wanted = [name for name, said in _COLUMNS.items() if said(usage.total) or name in _ALWAYS]
    shown = _fitting(usage, wanted, width)
    yield _table(usage, shown)
    if chart:
        yield _chart(usage)
    yield from map(Text, _notes(usage.total))
    if left_out := [name for name in wanted if name not in shown]:
        yield Text(f"not shown for want of width: {', '.join(left_out)}", style="bright_black")


def _fitting(usage: Usage, names: Sequence[str], width: int) -> list[str]:
    """Those that fit into a line, beside the labels."""
    kept, dropped = [*names], [name for name in _DROPPED if name in names]
    labels = [
        max(map(len, column)) for column in zip(usage.by, *(row.group for row in usage.rows), strict=True)
    ]
    while dropped and sum(labels) + len(_GAP) * len(labels) + _width(usage, kept) > width:
        kept.remove(dropped.pop(0))
    return kept


def _width(usage: Usage, names: Sequence[str]) -> int:
    rows = (*usage.rows, usage.total)
    widest = [max(*map(len, name.split()), *(len(_COLUMNS[name](row)) for row in rows)) for name in names]
    return sum(widest) + len(_GAP) * (len(names) - 1)


def _table(usage: Usage, names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bright_black", show_footer=len(usage.rows) > 1)
    for at, name in enumerate(usage.by):
        table.add_column(name, footer="all" if at == 0 else "", overflow="fold")
    for name in names:
        heading, said = name.replace(" ", "\n"), _COLUMNS[name]
        table.add_column(heading, footer=said(usage.total), justify="right", no_wrap=True)
    for row in usage.rows:
        labels = [Text(label or "-") for label in row.group]
        table.add_row(*labels, *(_COLUMNS[name](row) for name in names))
    return table


def _chart(usage: Usage) -> Table:
    """By cost, or by calls where no cost is known."""
    by_cost = usage.total.cost > 0
    amounts = [row.cost if by_cost else float(row.calls) for row in usage.rows]
    longest = max(amounts) or 1.0
    table = Table(box=None, pad_edge=False, show_header=False)
    for row, amount in zip(usage.rows, amounts, strict=True):
        name = Text(" ".join(label or "-" for label in row.group) or "all")
        said = _dollars(amount) if by_cost else _count(row.calls)
        table.add_row(name, Bar(longest, 0, amount, width=_WIDTH, color="cyan"), said)
    return table


def _notes(total: Row) -> Iterator[str]:
    if total.unpriced:
        calls = "call has" if total.unpriced == 1 else "calls have"
        yield f"{_count(total.unpriced)} {calls} no known price, and no share in the cost"
    if total.estimated:
        calls = "call are" if total.estimated == 1 else "calls are"
        yield f"the tokens of {_count(total.estimated)} {calls} estimates, at least in part"
    if total.failed_tokens:
        cost = f" ({_dollars(total.failed_cost)})" if total.failed_cost else ""
        yield f"attempts of which no client got anything used {_count(total.failed_tokens)} tokens more{cost}"


def csv_of(usage: Usage) -> str:
    """A line for each row, below the names of its columns. Costs are US dollars, times seconds."""
    written = StringIO()
    rows = [_cells(row, usage.by) for row in (*usage.rows, usage.total)]
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*usage.by, *(name for name in rows[-1] if name not in usage.by)])
    writer.writerows(list(row.values()) for row in rows[:-1])
    return written.getvalue()


def _cells(row: Row, by: Sequence[str]) -> dict[str, object]:
    data: dict[str, object] = {"calls": row.calls, **structs.asdict(row.tokens), **asdict(row)}
    del data["group"], data["tokens"]
    return dict(zip(by, row.group, strict=False)) | data


def _count(number: float) -> str:
    """Whole up to ten thousand, else to three digits; empty for none."""
    if number < 10_000:
        return f"{number:,.0f}" if number else ""
    size, unit = next((size, unit) for size, unit in _SIZES if number >= size)
    amount = number / size
    return f"{amount:.0f}{unit}" if amount >= 100 else f"{amount:.1f}{unit}"


_SIZES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def _dollars(amount: float) -> str:
    """To the cent, or to two digits of less; empty for nothing."""
    if amount <= 0:
        return ""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.2g}" if amount >= 0.0001 else "<$0.0001"


def _seconds(row: Row) -> str:
    if row.first_token is None:
        return ""
    return f"{row.first_token:.2g} s" if row.first_token >= 0.05 else "<0.05 s"


_ALWAYS = frozenset({"calls", "input", "output", "cost"})
_COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "calls": lambda row: _count(row.calls),
    "input": lambda row: _count(row.tokens.input),
    "cache read": lambda row: _count(row.tokens.cache_read),
    "cache write": lambda row: _count(row.tokens.cache_write + row.tokens.cache_write_1h),
    "output": lambda row: _count(row.tokens.output),
    "reasoning": lambda row: _count(row.tokens.reasoning),
    "cost": lambda row: _dollars(row.cost) or ("?" if row.unpriced else ""),
    "retried": lambda row: _count(row.retried),
    "repaired": lambda row: _count(row.repaired),
    "failed": lambda row: _count(row.failed),
    "first token": _seconds,
}
"""What stands below each heading; empty for nothing. A column with nothing in it is left out, but for those
of `_ALWAYS`. Reasoning is a part of the output."""

_DROPPED = ("reasoning", "cache write", "first token", "repaired", "retried", "cache read")
"""What is left out where there is no room, in this order."""
