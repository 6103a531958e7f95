"""Traces for a reader: the list of calls, the passes of one, what two passes differ in."""

import json
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from itertools import groupby

from rich.console import Group, RenderableType
from rich.json import JSON
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from addons.records.trace_reading import Ending, NoTrace, Pass, Trace, ending, opened
from rewrite.records.verdict import Verdict

LONGEST_TEXT = 300
"""Characters of a text that are shown unless all are wanted."""
MOST_ITEMS = 40
"""Items of a list that are shown unless all are wanted."""
MOST_ALIKE = 3
"""Passes of one name in a row, such as the events of a stream, that are shown unless all are wanted."""

COLOURS = {
    Verdict.OK: "green",
    Verdict.RETRIED: "yellow",
    Verdict.SPARE: "yellow",
    Verdict.FALLBACK: "yellow",
    Verdict.CONTINUED: "yellow",
    Verdict.TRUNCATED: "red",
    Verdict.FAILED: "red",
    Verdict.REFUSED: "red",
    Verdict.LEFT: "bright_black",
}
UNDER_WAY, PASSED_ON = "not over", "passed on"


# -- the list ----------------------------------------------------------------------------------------------


def listing(traces: Sequence[Trace]) -> Table:
    """A row for each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("call", "began", "asked for", "answered by", "verdict"):
        table.add_column(name, no_wrap=True)
    table.add_column("status", justify="right", no_wrap=True)
    table.add_column("passes", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for one in traces:
        table.add_row(*_row(one))
    return table


def _row(trace: Trace) -> Iterator[RenderableType]:
    over = ending(trace)
    yield Text(trace.call, style="bold")
    yield Text(trace.began.astimezone().strftime("%m-%d %H:%M:%S"))
    yield Text(trace.passes[0].asked if trace.passes else "")
    yield Text(_answered_by(trace))
    yield _verdict(over)
    yield Text("" if over is None or over.status is None else str(over.status))
    yield Text(str(len(trace.passes)))
    yield Text(size(trace.size))


def _answered_by(trace: Trace) -> str:
    last = next((one for one in reversed(trace.passes) if one.attempt), None)
    if last is None:
        return ""
    return f"{last.asked} ({last.credential})" if last.credential else last.asked


def _verdict(over: Ending | None) -> Text:
    if over is None:
        return Text(UNDER_WAY, style="cyan")
    if over.verdict is None:
        return Text(PASSED_ON)
    return Text(over.verdict.value, style=COLOURS[over.verdict])


def size(count: int) -> str:
    """Bytes as a person reads them."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


# -- one call ----------------------------------------------------------------------------------------------


def shown(trace: Trace, *, full: bool) -> Iterator[RenderableType]:
    """The call in a line, then its passes one by one. `full`: nothing is folded."""
    yield _head(trace)
    for _, group in groupby(trace.passes, key=lambda one: (one.name, one.direction)):
        alike = list(group)
        kept = alike if full else alike[:MOST_ALIKE]
        for one in kept:
            yield _pass(trace, one, full=full)
        if more := len(alike) - len(kept):
            yield Text(f"... {more} more {alike[0].name} (--full)", style="bright_black")
    if trace.unread:
        yield Text(f"{trace.unread} line(s) of this trace cannot be read", style="red")
    if not trace.passes:
        yield Text("nothing is written of this call yet")


def _head(trace: Trace) -> Text:
    over = ending(trace)
    began = trace.began.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    text = Text.assemble((trace.call, "bold"), f"  {began}  ", _verdict(over))
    if over and over.detail:
        text.append(f"  {over.detail}")
    return text.append(f"\n{trace.folder}", style="bright_black")


def _pass(trace: Trace, one: Pass, *, full: bool) -> RenderableType:
    data = _data(trace, one)
    title = _title(trace, one)
    return title if data is None else Group(title, _json(data if full else folded(data)))


def _title(trace: Trace, one: Pass) -> Text:
    where = f"{one.asked} ({one.credential})" if one.credential else one.asked
    attempt = f"attempt {one.attempt}, " if one.attempt else ""
    text = Text.assemble((f"{one.sequence} {one.name}", "bold cyan"), f"  {one.direction} at {one.stage}")
    text.append(f"  {attempt}{where}, {one.protocol}  +{one.time - trace.passes[0].time:.3f} s")
    return text.append("  changed", style="yellow") if one.changed else text


def _json(data: object) -> Text:
    lines = JSON(json.dumps(data, ensure_ascii=False), indent=2, ensure_ascii=False).text.split("\n")
    return Text("\n").join([Text("    ").append(line) for line in lines])


def _data(trace: Trace, one: Pass) -> object:
    try:
        return opened(trace.data(one))
    except (OSError, ValueError) as error:
        return f"[its file cannot be read: {error}]"


def folded(data: object) -> object:
    """With long texts and long lists shortened, which then say by how much."""
    match data:
        case str() if len(data) > LONGEST_TEXT:
            return f"{data[:LONGEST_TEXT]}... ({len(data) - LONGEST_TEXT} more characters, --full)"
        case list() if len(data) > MOST_ITEMS:
            kept = [folded(each) for each in data[:MOST_ITEMS]]
            return [*kept, f"... ({len(data) - MOST_ITEMS} more, --full)"]
        case list():
            return [folded(each) for each in data]
        case dict():
            return {key: folded(value) for key, value in data.items()}
        case _:
            return data


# -- two passes --------------------------------------------------------------------------------------------


def difference(trace: Trace, before: Pass, after: Pass) -> Syntax | None:
    """What `after` has other than `before`, line by line of their JSON; None: nothing. Raises NoTrace where
    there is nothing to compare, OSError and ValueError where one of them cannot be read."""
    lines = unified_diff(
        _lines(trace, before), _lines(trace, after), _named(before), _named(after), lineterm=""
    )
    text = "\n".join(lines)
    return Syntax(text, "diff", theme="ansi_dark", background_color="default") if text else None


def _lines(trace: Trace, one: Pass) -> list[str]:
    data = opened(trace.data(one))
    if data is None:
        raise NoTrace(f"{_named(one)} changed nothing and has no data: name another pass")
    return json.dumps(data, indent=2, ensure_ascii=False).split("\n")


def _named(one: Pass) -> str:
    return f"{one.sequence} {one.name}"
