"""`rotator check`: whether a config can be used, what it comes to, and whether its keys work."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from addons.config.settings import ConfigError, Settings, load
from rotator.asking import Asked, ask_all
from rotator.asking_store import ask_store
from rotator.known_models import known_models
from rotator.understood import faults, lines

app = typer.Typer(add_completion=False)


@app.command()
def check(
    config: Annotated[
        str, typer.Option("--config", help="The file; default: the one that a start reads.")
    ] = "",
    providers: Annotated[
        str, typer.Option("--providers", help="A folder of providers, as --set rotator_providers=FOLDER.")
    ] = "",
    *,
    live: Annotated[bool, typer.Option("--live", help="Ask each key for its models, and the store.")] = False,
) -> None:
    """Show what a config comes to, or all that is wrong with it."""
    try:
        settings = load(config, os.environ, Path.cwd(), providers)
    except ConfigError as error:
        for line in faults(error.lines):
            typer.echo(line, err=True)
        raise typer.Exit(1) from None
    models = known_models(one.provider for one in settings.providers) if settings.rules else {}
    for line in lines(settings, models):
        typer.echo(line)
    if live and not all([_all_work(settings), _store_works(settings)]):
        raise typer.Exit(1)


def _all_work(settings: Settings) -> bool:
    """Ask, and show what each answers as it comes."""
    typer.echo("\nlive: each key is asked for its models")

    def show(one: Asked) -> None:
        typer.echo(f"  {one.line}")

    answers = asyncio.run(ask_all(settings, os.environ, show))
    bad = sum(not one.good for one in answers)
    if not answers:
        typer.echo("  there are no keys to ask")
    elif bad:
        typer.echo(f"{bad} of {len(answers)} cannot be used as they are")
    return not bad


def _store_works(settings: Settings) -> bool:
    """Whether the server can be used that state is shared through, if there is one."""
    if settings.shared is None:
        return True
    answer = asyncio.run(ask_store(settings.shared))
    typer.echo(f"\nstate: {answer.line}")
    return answer.good
