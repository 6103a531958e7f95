"""`rotator doctor`: which of the tools that are here come through the proxy, and what to paste where one does
not. Each is tried, with the variables of this shell."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from addons.config.client_variables import NAMES
from addons.config.provider_files import own_facts
from addons.config.shells import removing, setting, shell_of
from addons.upstream.proxies import is_spared
from rotator import node, run
from rotator.diagnosis import Finding, needed, of_variables
from rotator.found import Found, find
from rotator.installed import Installed, installed
from rotator.paths import command
from rotator.probing import Arrival, probe
from rotator.runtimes import WAY

app = typer.Typer(add_completion=False)

_AT_ONCE = 3
"""Programs that are tried at once."""
_ASKED = "each tool asks a host that the proxy answers itself, and nobody else is asked"


@app.command()
def doctor(
    port: Annotated[int | None, typer.Option("--port", "-p", help="Where the proxy listens.")] = None,
) -> None:
    """Try which tools come through the proxy, and say what to paste where one does not."""
    environment = dict(os.environ)
    if found := find(port):
        typer.echo(f"the proxy at {found.address.url}: {_ASKED}")
        good = examine(found, environment)
    else:
        good = _without_proxy()
    if not good:
        raise typer.Exit(1)


def _without_proxy() -> bool:
    """Nothing comes through where no proxy is up; what would is known by one of our own."""
    typer.echo(f"no proxy is up: `{command()} start` starts one. With one that was started for this, and the")
    typer.echo(f"variables that `run` and `env` set: {_ASKED}")
    found = run.started(0, web=False)
    return examine(found, run.environment(found, os.environ))


def examine(found: Found, environment: Mapping[str, str]) -> bool:
    """Whether everything comes through that has these variables."""
    mended = run.environment(found, environment)
    tried = _Tried(found, environment, mended)
    findings = []
    for finding in tried.findings():
        typer.echo(f"  {finding.name:<20}  {finding.line}")
        findings.append(finding)
    general = [*of_variables(environment, found.address.url.partition("//")[2], _spared(environment))]
    for line in general:
        typer.echo(f"  {line}")
    wanted = dict.fromkeys(name for one in findings if one.is_mended for name in one.needed)
    _show_lines([*(WAY if general else ()), *wanted], {name: mended[name] for name in NAMES})
    return not general and all(one.good for one in findings)


@dataclass(frozen=True, slots=True)
class _Tried:
    """Tries each program."""

    found: Found
    environment: Mapping[str, str]
    """Of the programs."""
    mended: Mapping[str, str]
    """Theirs once the lines are pasted."""

    def findings(self) -> Iterator[Finding]:
        programs = installed(self.environment.get("PATH", ""))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(self._finding, programs)

    def _finding(self, one: Installed) -> Finding:
        runtime, name = one.runtime, one.runtime.name
        attempt = partial(probe, runtime, one.path, proxy=self.found.address)
        now = attempt(environment=self.environment)
        if now.arrival is Arrival.ANSWERED:
            return Finding(name, now)
        then = attempt(environment=self.mended) if self.mended != self.environment else now
        names = needed(runtime, now, self.environment, self.mended)
        on_node = "NODE_USE_ENV_PROXY" in runtime.way
        old = node.warning(Path(one.path), self.environment.get("PATH", "")) if on_node else ""
        return Finding(name, now, then, names, old)


def _spared(environment: Mapping[str, str]) -> list[str]:
    """Hosts of providers that NO_PROXY covers."""
    spared = environment.get("no_proxy") or environment.get("NO_PROXY", "")
    listed = (each.get("hosts") for each in own_facts().values())
    hosts = [host for each in listed if isinstance(each, list) for host in each]
    return [host for host in hosts if "*" not in host and not _is_here(host) and is_spared(host, spared)]


def _is_here(host: str) -> bool:
    return host.startswith(("127.", "localhost", "[::1]"))


def _show_lines(names: Sequence[str], variables: Mapping[str, str]) -> None:
    if not names:
        return
    shell = shell_of(os.environ.get("SHELL", ""))
    typer.echo("\npaste where your tools run, or run them by `rotator run -- TOOL`:")
    for line in setting(shell, {name: variables[name] for name in dict.fromkeys(names) if name in variables}):
        typer.echo(f"  {line}")
    for line in removing(shell, [name for name in names if name not in variables]):
        typer.echo(f"  {line}")
