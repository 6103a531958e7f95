"""`rotator start`: becomes mitmdump, or mitmweb, with the add-on."""

import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from addons.config.client_variables import PASTE
from addons.config.shells import shell_of
from rotator import starting, trust
from rotator.found import Address, Found, at_address
from rotator.options import CONFIG_FILES, Listening, confdir, listening, said
from rotator.paths import command
from rotator.ports import WEB, is_taken

app = typer.Typer(add_completion=False)


@app.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def start(
    context: typer.Context,
    web: Annotated[bool, typer.Option("--web", help="mitmweb: a page to look at the calls.")] = False,
) -> None:
    """Start the proxy in this terminal. All other options are mitmproxy's.

    -p PORT (default 8080), --listen-host HOST (default 127.0.0.1), --set confdir=FOLDER (where the
    certificate authority is kept, default ~/.mitmproxy), --set rotator_config=FILE (default ./rotator.toml,
    else the one in your config folder), --set rotator_state=FOLDER, --set rotator_quiet=false
    (mitmproxy's own lines of connections and flows).
    """
    if "-h" in context.args:
        typer.echo(context.get_help())
        return
    found = said(context.args)
    folder = confdir(found, Path.home(), Path.cwd())
    where = listening(found, config_text(folder))
    address = Address(where.reach, where.port)
    refuse_taken(found, where, web=web)
    prepare(folder, os.environ)
    variables = starting.environment(os.environ, address)
    shell = shell_of(os.environ.get("SHELL", ""))
    variables[PASTE] = starting.lines(shell, where, folder, command(), own_address())
    options = starting.with_defaults(context.args, where)
    line = starting.command_line("mitmweb" if web else "mitmdump", options)
    if sys.stdout is not None:
        sys.stdout.flush()
    os.execve(line[0], line, variables)


def config_text(folder: Path) -> str:
    """mitmproxy's config files, one after the other."""
    files = [folder / name for name in CONFIG_FILES]
    return "\n".join(file.read_text(errors="replace") for file in files if os.access(file, os.R_OK))


def prepare(folder: Path, variables: Mapping[str, str]) -> None:
    """The authority and the bundle of `folder`; ends with the reason where they cannot be made."""
    try:
        warning = trust.prepare(folder, trust.chosen_roots(variables, folder))
    except trust.NoAuthority as reason:
        fail(f"the certificate authority could not be made: {reason}")
    if warning:
        typer.echo(f"rotator: {warning}", err=True)


def refuse_taken(found: Mapping[str, str], where: Listening, *, web: bool) -> None:
    """Ends where a port is taken, by a rotator or by another program. Modes may listen elsewhere."""
    if where.port and (other := at_address(Address(where.reach, where.port))):
        fail(already_up(other))
    if where.port and "mode" not in found and is_taken(where.host or "127.0.0.1", where.port):
        fail(in_use(where.port))
    page = found.get("web port") or found.get("set web_port") or str(WEB)
    if web and page.isdecimal() and is_taken(found.get("set web_host") or "127.0.0.1", int(page)):
        instead = "choose another one with --set web_port=PORT"
        fail(f"port {page} is in use by another program, and mitmweb's page would be there: {instead}")


def in_use(port: int) -> str:
    return f"port {port} is in use by another program: choose another one with -p PORT"


def already_up(other: Found) -> str:
    config = f", with {other.config}" if other.config else ""
    return (
        f"a rotator is up at {other.address.url} already (process {other.pid}{config}): use that one "
        f"({command()} env, {command()} run), or start this one at another port with -p PORT"
    )


def own_address() -> str:
    """This machine's address as others reach it, most likely. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address: str = probe.getsockname()[0]
        except OSError:
            return "ADDRESS-OF-THIS-MACHINE"
    return address


def fail(reason: str, status: int = 1) -> NoReturn:
    typer.echo(f"rotator: {reason}", err=True)
    raise typer.Exit(status)
