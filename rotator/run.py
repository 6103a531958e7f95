"""`rotator run -- TOOL...`: becomes the tool, in an environment that sends it through a proxy.

By exec: the terminal, signals, job control and the exit status are the tool's own. A proxy that is started
for it watches this process, which is the tool by then, and ends with it.
"""

import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from addons.config.client_variables import AUTHORITY, BUNDLE, REMOVED, client_variables
from addons.config.finding import config_file
from rotator import node, own_proxy
from rotator.found import Found, at_address, find, parsed
from rotator.paths import default_confdir
from rotator.ports import is_taken
from rotator.start import fail, in_use, prepare

NOT_FOUND, NOT_STARTED, NOT_RUNNABLE = 127, 125, 126
"""Exit statuses, as those of env and of docker."""
_BASE_URLS = ("_BASE_URL", "_API_BASE", "_API_BASE_URL", "OLLAMA_HOST")
_OURS = "ROTATOR__"
"""How names of variables begin that are read by the proxy alone."""
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""What Python ignores, and a program that it becomes would ignore too."""


class _Usage(TyperCommand):
    """Typer would put the tool in braces."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "[--]", "TOOL", "[ARGUMENTS]..."]


app = typer.Typer(add_completion=False)


@app.command(cls=_Usage, context_settings={"allow_interspersed_args": False})
def run(
    tool: Annotated[list[str], typer.Argument(metavar="TOOL", help="What to run, with its arguments.")],
    web: Annotated[bool, typer.Option("--web", help="A proxy with mitmweb's page of the calls.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Use the proxy at this port, or start one there.")
    ] = None,
) -> None:
    """Run a tool through the proxy: through the one that is up, else through one of its own.

    A proxy that is up is joined if it has the config that is found here, or none is found. One of its own
    ends with the tool; its log is kept in ~/.local/state/rotator.
    """
    program = found_program(tool[0], os.environ)
    for warning in warnings(program, os.environ):
        typer.echo(f"rotator: {warning}", err=True)
    proxy = joined(port, web=web) or started(port or 0, web=web)
    if web and proxy.web:
        typer.echo(f"rotator: the calls are shown at {proxy.web}", err=True)
    become(program, tool, environment(proxy, os.environ))


def found_program(name: str, variables: Mapping[str, str]) -> Path:
    """As a shell finds it; ends where it would."""
    path = variables.get("PATH", os.defpath)
    found = shutil.which(name, path=path)
    if found is None and "/" in name and Path(name).exists():
        fail(f"{name}: is not executable", NOT_RUNNABLE)
    if found is None:
        fail(f"{name}: command not found", NOT_FOUND)
    return Path(found)


def warnings(program: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """What would lead the tool past the proxy."""
    for name, value in variables.items():
        if _is_base_url(name) and (address := parsed(value)) and at_address(address):
            yield (
                f"{name}={_without_login(value)} is the address of a rotator, which is no base URL: "
                f"the tool's calls will be refused there; take it back with `unset {name}`"
            )
    if said := node.warning(program, variables.get("PATH", os.defpath)):
        yield said


def _without_login(url: str) -> str:
    scheme, slashes, place = url.rpartition("//")
    return f"{scheme}{slashes}{place.rpartition('@')[2]}"


def _is_base_url(name: str) -> bool:
    return name.endswith(_BASE_URLS) and not name.startswith(_OURS)


def joined(port: int | None, *, web: bool) -> Found | None:
    """The proxy that is up, where it is the one that would be started here."""
    found = find(port)
    if found is None or found.status != "ok" or (web and not found.web):
        return None
    config = config_file("", Path.cwd())
    same = config is None or (found.config and os.path.realpath(config) == os.path.realpath(found.config))
    return found if same or port is not None else None


def started(port: int, *, web: bool) -> Found:
    if port and is_taken("127.0.0.1", port):
        fail(in_use(port), NOT_STARTED)
    prepare(default_confdir(), os.environ)
    try:
        return own_proxy.begin(port, web=web, environment=os.environ)
    except own_proxy.NotServing as reason:
        fail(str(reason), NOT_STARTED)
    except OSError as error:
        fail(f"the proxy has no place for its log: {error}", NOT_STARTED)


def environment(proxy: Found, variables: Mapping[str, str]) -> Mapping[str, str]:
    """The tool's."""
    confdir = Path(proxy.authority).parent if proxy.authority else default_confdir()
    bundle = proxy.bundle or str(confdir / BUNDLE)
    if not proxy.bundle:
        prepare(confdir, variables)
    authority = proxy.authority or str(confdir / AUTHORITY)
    ours = client_variables(proxy.address.proxy_url, bundle, authority)
    kept = {name: value for name, value in variables.items() if name not in REMOVED}
    return {**kept, **ours}


def become(program: Path, tool: list[str], variables: Mapping[str, str]) -> None:
    if sys.stdout is not None:  # the caller may have closed it
        sys.stdout.flush()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(program, tool, variables)
    except OSError as error:
        fail(f"{tool[0]}: {error.strerror}", NOT_RUNNABLE)
