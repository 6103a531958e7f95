"""`rotator trace`: looks into the traces of calls, which docs/trace.md explains."""

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from addons.config.settings import ConfigError, traced_to
from addons.records import trace_reading as traces
from addons.records.trace_reading import NoTrace, Trace
from rotator import found, terminal, trace_text
from rotator.paths import state_folder

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at the traces of calls.")

Directory = Annotated[
    Path | None,
    typer.Option(
        help="The folder of traces. Default: that of the config, of the proxy that is up, or of your state."
    ),
]
Id = Annotated[str, typer.Argument(help="The id of a call, or how it begins.")]
Full = Annotated[bool, typer.Option("--full", help="Fold neither long values nor the events of a stream.")]
OfPass = Annotated[
    str, typer.Argument(metavar="PASS", help="Its number, or its name: the first of that name.")
]
Count = Annotated[int, typer.Option("-n", "--number", min=1, help="How many of the newest calls.")]


@app.command("list")
def list_traces(directory: Directory = None, number: Count = 20) -> None:
    """List the traces of the newest calls: when, what was asked for, who answered, and what came of it."""
    where = _directory(directory)
    calls = traces.folders(where)
    if not calls:
        _stop(f"no traces in {where}: turn them on with `directory` in [trace] of the config (docs/trace.md)")
    terminal.stdout().print(trace_text.listing([traces.read(each) for each in calls[-number:]]))
    if len(calls) > number:
        terminal.stderr().print(f"{len(calls) - number} older ones: -n {len(calls)}")


@app.command()
def show(id: Id, directory: Directory = None, full: Full = False) -> None:
    """Show the passes of a call, one by one."""
    console = terminal.stdout()
    for part in trace_text.shown(_trace(id, directory), full=full):
        console.print(part)


@app.command()
def diff(id: Id, before: OfPass, after: OfPass, directory: Directory = None) -> None:
    """Show what two passes of a call differ in, such as `raw_request sent_request`."""
    trace = _trace(id, directory)
    try:
        passes = traces.pass_named(trace, before), traces.pass_named(trace, after)
        found = trace_text.difference(trace, *passes)
    except (NoTrace, OSError, ValueError) as error:
        _stop(str(error))
    terminal.stdout().print(found or "both are the same")


def _trace(prefix: str, directory: Path | None) -> Trace:
    try:
        return traces.read(traces.find(_directory(directory), prefix))
    except NoTrace as error:
        _stop(str(error))


def _directory(given: Path | None) -> Path:
    try:
        return given or _configured("") or _of_the_proxy() or state_folder() / "traces"
    except ConfigError as error:
        _stop(str(error))


def _configured(config: str) -> Path | None:
    return traced_to(config, os.environ, Path.cwd())


def _of_the_proxy() -> Path | None:
    """By the config of the proxy that is up, which may be another than the one that is found here."""
    up = found.find()
    return _configured(up.config) if up and up.config else None


def _stop(message: str) -> NoReturn:
    terminal.stderr().print(message, style="red", markup=False)
    raise typer.Exit(1)
