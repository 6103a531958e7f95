"""What options of mitmproxy say of where it will listen, read as mitmproxy reads them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rotator.found import PORT

CONFIG_FILES = ("config.yaml", "config.yml")
"""mitmproxy's own, in its folder. The later one counts."""

_SEPARATE = {
    "-p": "port",
    "--listen-port": "port",
    "--listen-host": "host",
    "-m": "mode",
    "--mode": "mode",
    "--web-port": "web port",
}
_MODE = re.compile(r"regular@(?:.*[:@])?([0-9]+)")
_ENTRY = re.compile(r"^(listen_host|listen_port):[ \t]*[\"']?([^\"'#\s]*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a proxy that is started with certain options listens."""

    host: str
    """Empty: the options name none, and mitmproxy would listen everywhere."""
    port: int

    @property
    def reach(self) -> str:
        """The host by which this machine reaches it."""
        return "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host


def said(options: Sequence[str]) -> Mapping[str, str]:
    """What the options say, each under its name: `port`, `host`, `mode`, `web port`, and `set NAME` for
    `--set NAME=`.

    Of several the last counts, but the first port of a mode.
    """
    found: dict[str, str] = {}
    for name, value in _pairs(options):
        if name == "mode" and "mode" in found:
            continue
        found[name] = value
    return found


def _pairs(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    for option, following in pairwise((*options, "")):
        name, equals, value = option.partition("=")
        if option == "--set" or (name == "--set" and equals):
            yield from _set(value if equals else following)
        elif name in _SEPARATE and name.startswith("--") and equals:
            yield from _mentioned(_SEPARATE[name], value)
        elif option in _SEPARATE:
            yield from _mentioned(_SEPARATE[option], following)
        elif re.fullmatch("-p[0-9]+", option):
            yield "port", option[2:]


def _set(assignment: str) -> Iterator[tuple[str, str]]:
    name, _, value = assignment.partition("=")
    yield f"set {name}", value
    if name == "mode":
        yield from _mentioned("mode", value)


def _mentioned(kind: str, value: str) -> Iterator[tuple[str, str]]:
    """Of a mode its port alone, if it has one."""
    if kind != "mode":
        yield kind, value
    elif port := _MODE.fullmatch(value):
        yield "mode", port[1]


def listening(found: Mapping[str, str], config: str) -> Listening:
    """`config`: the text of mitmproxy's config files. It comes after an option, and before `--set`."""
    file = dict(_ENTRY.findall(config))
    port = found.get("mode") or found.get("port") or file.get("listen_port") or found.get("set listen_port")
    host = found.get("host") or file.get("listen_host") or found.get("set listen_host") or ""
    return Listening(host, int(port) if port and port.isdecimal() else PORT)


def confdir(found: Mapping[str, str], home: Path, cwd: Path) -> Path:
    """mitmproxy's folder."""
    named = found.get("set confdir") or "~/.mitmproxy"
    if named == "~" or named.startswith("~/"):
        return home / named[2:]
    return cwd / named
