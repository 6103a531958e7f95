"""`rotator prices`: what is known of the price of a model, and a newer list of prices."""

import os
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from addons.config.settings import ConfigError, Settings, load
from addons.usage.price_table import bounded, keep_list, list_in_force, updated_list, vendors_of
from rewrite.usage.price_list import BadPrices, PriceList, trimmed
from rewrite.usage.prices import Prices
from rotator import terminal
from rotator.prices_text import Row, in_short, table
from rotator.understood import faults

app = typer.Typer(add_completion=False)

_SOURCE = "take prices/new_data/v2/data.json of github.com/pydantic/genai-prices"

Model = Annotated[str | None, typer.Argument(help="As a call names it. Without: where the prices come from.")]
Update = Annotated[Path | None, typer.Option(help="A newer list: data.json (v2) of genai-prices.")]
Config = Annotated[str, typer.Option(help="The config file; default: the one that a start reads.")]


@app.command()
def prices(model: Model = None, update: Update = None, config: Config = "") -> None:
    """Show what a model costs at each provider that has it, in US dollars for a million tokens."""
    if update is not None:
        _update(update)
    if model is None and update is not None:
        return
    settings, listed = _settings(config), list_in_force(updated_list())
    if model is None:
        typer.echo(in_short(listed, updated_list(), settings.price_file, len(settings.own_prices)))
    else:
        _show(model, settings, listed)


def _show(model: str, settings: Settings, listed: PriceList) -> None:
    providers = [one.provider for one in settings.providers]
    known = Prices(listed, settings.own_prices, vendors_of(providers, listed))
    found = [(one.name, known.known(one.name, model)) for one in providers]
    rows = [Row.of(name, one, time.time()) for name, one in found if one]
    if not rows:
        _fail(f"no price is known of {model}: give it one of your own with [prices] file (docs/prices.md)")
    console = terminal.stdout()
    console.print(table(rows))


def _update(file: Path) -> None:
    """Check the list in `file`, and keep it."""
    try:
        data = trimmed(bounded(file))
    except OSError as error:
        _fail(f"{file}: cannot be read ({error.strerror}): {_SOURCE}")
    except BadPrices as error:
        _fail(f"{file}: is no list of prices ({error}): {_SOURCE}")
    try:
        keep_list(data, updated_list())
    except OSError as error:
        _fail(f"{updated_list()}: cannot be written ({error.strerror}): make room, or mend its permissions")
    typer.echo(in_short(PriceList(data), updated_list(), None, 0))


def _settings(config: str) -> Settings:
    try:
        return load(config, os.environ, Path.cwd())
    except ConfigError as error:
        _fail("\n".join(faults(error.lines)))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
