"""`rotator init`: writes a config of the keys and logins that it finds, and shows none of them."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_config_path

from addons.config.provider_files import own_facts
from addons.config.settings import ConfigError, load
from addons.runtime.private_folder import make_private
from rotator.init_text import config
from rotator.paths import command
from rotator.sources import Source, keys, logins

app = typer.Typer(add_completion=False)

_MODE = 0o600


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="Default: rotator.toml in your config folder.")] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a config from the keys in the environment and the logins of your tools. No key is in it."""
    target = (file or user_config_path("rotator", appauthor=False) / "rotator.toml").absolute()
    found = sources()
    try:
        _make_folder(target.parent)
        _write(target, config(found), force=force)
    except FileExistsError:
        typer.echo(f"{target}: is there already: rotator init --force replaces it", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{target}: cannot be written ({error.strerror}): name another file", err=True)
        raise typer.Exit(1) from None
    for line in (*_found(found), "", *_wrote(target), "", *_next(target, named=file is not None)):
        typer.echo(line)


def sources() -> list[Source]:
    """What there is in this environment, and in this home."""
    facts, environ = own_facts(), os.environ
    addresses = {name: each.get("base_url") for name, each in facts.items()}
    unfit = [name for name, url in addresses.items() if not url]
    found = keys({name: each for name, each in facts.items() if name not in unfit}, environ)
    return [*found, *logins(environ, Path.home(), addresses)]


def _make_folder(folder: Path) -> None:
    """Raises OSError."""
    try:
        make_private(folder)
    except FileExistsError as error:  # which is about the file that is to be written, elsewhere
        raise NotADirectoryError(error.errno, "its folder is a file") from None


def _write(target: Path, text: str, *, force: bool) -> None:
    """Raises OSError, FileExistsError among it. What is replaced stays until all of the new one is there."""
    written = target.with_name(f".{target.name}.{os.getpid()}") if force else target
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    written.replace(target)


def _found(found: Sequence[Source]) -> Iterator[str]:
    if not found:
        yield "Found no key and no login: until the config names some, your tools' own keys are used."
        yield "OPENAI_API_KEY_1, OPENAI_API_KEY_2, ... make a pool, as do variables that the config names."
        return
    yield "Found:"
    wide = max(len(one.where) for one in found)
    for one in found:
        kind = f"the login of {one.name}" if "oauth" in one.fields else "a key"
        left = f"; left out: {one.unfit}" if one.unfit else ""
        yield f"  {one.where:<{wide}}  {kind} for {one.provider}{left}"


def _wrote(target: Path) -> Iterator[str]:
    yield f"Wrote {target}, which you alone can read. No key is in it."
    try:
        settings = load(str(target), os.environ, Path.cwd())
    except ConfigError as error:
        yield from error.lines
        return
    yield from settings.warnings
    first = next((path for path in _first(target) if path.exists()), None)
    if first is not None:
        yield f"{first} comes first where rotator is started in this folder."


def _first(target: Path) -> Iterator[Path]:
    """The files that are found before the user's own."""
    if target.parent != Path.cwd():
        yield from (Path.cwd() / name for name in ("rotator.toml", "rotator.json"))


def _next(target: Path, *, named: bool) -> Iterator[str]:
    apart = named and target != Path.cwd() / "rotator.toml"
    option = f" --config {target}" if apart else ""
    yield "Next:"
    yield f"  {command()} check --live{option}: asks each key for its models"
    yield f"  {command()} run -- claude: runs a tool through the proxy (any command)"
