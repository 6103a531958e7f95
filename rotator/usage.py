"""`rotator usage`: what calls used and cost."""

import json
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer

from addons.usage import queries
from addons.usage.queries import ALL, BY, SINCE, USUAL, as_data, by_of, from_data, since_of
from addons.usage.schema import NAME, Unusable, open_to_read
from rotator import absent, found, terminal, usage_text
from rotator.paths import state_folder

app = typer.Typer(add_completion=False)

Since = Annotated[str, typer.Option(help="24h, 7d, 4w, or a date such as 2026-11-01.")]
By = Annotated[str, typer.Option(help=f"Some of {', '.join(BY)}, or {ALL}: one row.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Csv = Annotated[bool, typer.Option("--csv", help="For spreadsheets.")]
Chart = Annotated[bool, typer.Option("--chart", help="A bar for each row besides.")]
Port = Annotated[
    int | None, typer.Option("-p", "--port", help="Where the proxy listens; else by HTTPS_PROXY, or 8080.")
]
File = Annotated[Path | None, typer.Option(help="Read this ledger, and ask no proxy.")]


@app.command()
def usage(
    since: Since = SINCE,
    by: By = USUAL,
    as_json: Json = False,
    as_csv: Csv = False,
    chart: Chart = False,
    port: Port = None,
    file: File = None,
) -> None:
    """Show what calls used and cost.

    It is asked of the proxy that is up, or read from the file that proxies which `rotator` starts keep.
    """
    now = datetime.now().astimezone()
    try:
        since_of(since, now)
        by_of(by)
    except ValueError as error:
        _fail(str(error), 2)
    said = _said(file, port, since, by, now)
    if as_json:
        typer.echo(json.dumps(said, indent=2))
        return
    read = from_data(said)
    if as_csv:
        typer.echo(usage_text.csv_of(read), nl=False)
        return
    console = terminal.stdout()
    where = usage_text.place_of(said["kept"], said.get("proxies", 0), alone=said.get("alone", False))
    for part in usage_text.rendered(read, where, console.width, chart=chart):
        console.print(part)


def _said(file: Path | None, port: int | None, since: str, by: str, now: datetime) -> dict[str, Any]:
    """By the proxy that is up, unless a file is named; else by the file of proxies of ours."""
    if file is None and (answered := _answered(port, since, by)):
        return answered
    if file is None and port is not None:
        _fail(absent.message(port, os.environ))
    place = file or state_folder() / NAME
    try:
        return _kept(place, since_of(since, now), by_of(by))
    except FileNotFoundError:
        nothing = f"{absent.message(port, os.environ)}\nnothing is kept in {place} as yet"
        _fail(f"{place}: there is no such file" if file else nothing)
    except (Unusable, OSError, sqlite3.Error) as error:
        _fail(f"{place}: usage cannot be read: {error}")


def _kept(file: Path, since: float, by: Sequence[str]) -> dict[str, Any]:
    connection = open_to_read(file)
    try:
        return as_data(queries.usage(connection, since, by), str(file))
    finally:
        connection.close()


def _answered(port: int | None, since: str, by: str) -> dict[str, Any] | None:
    """What the proxy that is up says. None: there is none that keeps any."""
    up = found.find(port)
    answer = found.ask(up.address, f"/usage?{urlencode({'since': since, 'by': by})}") if up else None
    return dict(answer.data()) if answer and answer.status == 200 else None


def _fail(message: str, status: int = 1) -> NoReturn:
    terminal.stderr().print(message, style="red", markup=False)
    raise typer.Exit(status)
