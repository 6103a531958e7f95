"""What a proxy is started with: its command line, its environment, and the lines that it prints."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from addons.config.client_variables import AUTHORITY, BUNDLE, client_variables
from addons.config.loopback import is_loopback
from addons.config.shells import Shell, pasted
from addons.usage.schema import NAME
from rotator.found import Address, parsed
from rotator.options import Listening, said
from rotator.paths import ADDON, state_folder

PROXY = Path(__file__).with_name("proxy.py")
_SENT_THROUGH = ("HTTPS_PROXY", "https_proxy")
_TAKEN_BACK: Mapping[Shell, str] = {
    Shell.BASH: 'eval "$({} env --unset)"',
    Shell.ZSH: 'eval "$({} env --unset)"',
    Shell.FISH: "{} env --unset | source",
    Shell.POWERSHELL: "{} env --unset --shell powershell | Out-String | Invoke-Expression",
}


def command_line(tool: str, options: Sequence[str], while_pid: int = 0) -> list[str]:
    """Of mitmdump or mitmweb with the add-on. Unbuffered, so that a log that goes to a file is there when
    it is looked at; and nothing that lies in the current folder is taken for a module. It ends with the
    process `while_pid`, if there is one."""
    bound = ("--while", str(while_pid)) if while_pid else ()
    return [sys.executable, "-u", "-P", str(PROXY), *bound, tool, "-s", str(ADDON), *options]


def with_defaults(options: Sequence[str], where: Listening) -> list[str]:
    """What a proxy of ours does unless it is asked not to: it serves this machine alone, leaves out
    mitmproxy's lines of connections and flows, and keeps what calls used and cost in a file of the user's."""
    named = said(options)
    host = [] if where.host else ["--listen-host", "127.0.0.1"]
    quiet = [] if "set rotator_quiet" in named else ["--set", "rotator_quiet=true"]
    has_place = named.keys() & {"set rotator_usage", "set rotator_state"}
    usage = [] if has_place else ["--set", f"rotator_usage={state_folder() / NAME}"]
    return [*host, *quiet, *usage, *options]


def environment(variables: Mapping[str, str], where: Address) -> dict[str, str]:
    """The proxy's own. One that is its own client, or that of a rotator whose lines are pasted, would be
    sent through itself; another proxy of the shell is a company's, and stays."""
    ours = variables.get("SSL_CERT_FILE", "").endswith(BUNDLE)
    return {
        name: value
        for name, value in variables.items()
        if not (name in _SENT_THROUGH and (at := parsed(value)) and (ours or at == where))
    }


def lines(shell: Shell, where: Listening, confdir: Path, command: str, outside: str) -> str:
    """What a proxy prints once it is up. `outside` is this machine's address for others."""
    return "\n".join(_lines(shell, where, confdir, command, outside))


def _lines(shell: Shell, where: Listening, confdir: Path, command: str, outside: str) -> Iterator[str]:
    url = Address(where.reach, where.port).url
    yield f"# Paste this where your LLM tool runs, or run it by: {command} run -- TOOL"
    yield from pasted(shell, client_variables(url, str(confdir / BUNDLE), str(confdir / AUTHORITY)))
    yield f"# To take it back: {_TAKEN_BACK[shell].format(command)}"
    if where.host and not is_loopback(where.host):
        there = Address(outside if where.host in ("0.0.0.0", "::") else where.reach, where.port)
        yield f"# On another machine: {there.url}, and copies of these files, in their place."
