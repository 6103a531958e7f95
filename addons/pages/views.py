"""What the pages say, as plain data."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mitmproxy import ctx

from addons.call.live import LiveCall
from addons.config.client_variables import AUTHORITY, BUNDLE
from addons.credentials.overview import Overview
from addons.runtime.version import VERSION
from addons.secrets.redaction import Redactor

type Data = dict[str, Any]
"""What JSON can say."""


SERVES = "ok"
"""What a proxy says of itself that takes calls."""


class Views:
    """Of one proxy. `live` gives the calls that are not over, `source` the config file in force; `has_begun`
    says whether there is a config, or the lack of one, that could be used, and whether what other proxies
    know is known here, or cannot be; `draining` whether the proxy is about to end. `more`: what else is in
    the status, by name, where it is not empty."""

    def __init__(
        self,
        overview: Overview,
        live: Callable[[], Iterable[LiveCall]],
        source: Callable[[], Path | None],
        redactor: Redactor,
        has_begun: Callable[[], bool],
        draining: Callable[[], bool],
        more: Mapping[str, Callable[[], object]] = MappingProxyType({}),
    ) -> None:
        self._overview, self._live, self._source, self._redactor = overview, live, source, redactor
        self._has_begun, self._draining, self._more = has_begun, draining, more

    def serves(self) -> str:
        """In one word whether it does: `ok`, `starting`, or `draining` from the moment when it is to end."""
        if self._draining():
            return "draining"
        return SERVES if self._has_begun() else "starting"

    def health(self) -> Data:
        """Whether it serves, and what a program has to know to use it."""
        confdir = Path(ctx.options.confdir).expanduser()
        source = self._source()
        return {
            "status": self.serves(),
            "version": VERSION,
            "pid": os.getpid(),
            "port": next(_ports(), 0),
            "config": str(source) if source else "",
            "bundle": _existing(confdir / BUNDLE),
            "authority": _existing(confdir / AUTHORITY),
            "web": _web(),
        }

    def status(self) -> Data:
        """How the pools and the calls do that are not over."""
        said = {"version": VERSION, **self._overview.status(), "calls": self.calls()}
        return said | {name: data for name, found in self._more.items() if (data := found())}

    def calls(self) -> list[Mapping[str, Any]]:
        """The longest under way first."""
        found = sorted(self._live(), key=lambda call: -call.since)
        return [self._redactor.lines(asdict(call)) for call in found]


def _ports() -> Iterator[int]:
    """Those that the proxy listens on."""
    server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return (address[1] for address in server.listen_addrs())


def _existing(file: Path) -> str:
    return str(file) if file.is_file() else ""


def _web() -> str:
    """Where mitmweb's own page is, without the password for it. Empty: this is not mitmweb."""
    if "web_port" not in ctx.options:
        return ""
    return f"http://{ctx.options.web_host}:{ctx.options.web_port}/"
