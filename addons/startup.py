"""What mitmproxy's own options mean for us, and what we set of them."""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from mitmproxy import master, options
from mitmproxy.addons import errorcheck, proxyserver
from mitmproxy.log import LegacyLogEvents

from addons.config.listening import blocks_others
from addons.config.settings import Settings
from addons.mitm.hooks import WhileHeard
from addons.records.terminal import LAYOUTS
from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.proxies import Proxies, proxies, way_to_providers

_OURS = "rotator_"
INTERCEPT = ("providers", "all")
"""What rotator_intercept may be. mitmproxy does not hold `--set` to the choices of an option."""

FLOW_LINES = 1
"""The `flow_detail` that mitmdump has by itself: two lines a flow."""

_CONNECTIONS = logging.getLogger("mitmproxy.proxy.server")
"""By which mitmproxy logs clients that come and go."""

TCP_TIMEOUT = 3600
"""Seconds of silence on a connection to a client; mitmproxy's own 600 would end a model that thinks."""


def configure_proxy(opts: options.Options) -> None:
    """At load: connect upstream only when asked to, be patient, and serve this machine alone.

    The servers are starting by now, so a listen host set here would come too late; `block_private` turns
    others away unless the user named a host to listen on. Loopback is always let in.
    """
    set_options(opts, connection_strategy="lazy")
    if "tcp_timeout" in opts:  # not before mitmproxy 12.2
        set_options(opts, tcp_timeout=max(opts.tcp_timeout, TCP_TIMEOUT))
    if blocks_others(opts):
        set_options(opts, block_private=True)


def end_start(running: master.Master) -> None:
    """What was logged as an error ends a start, before the proxy listens; a proxy that runs keeps running.

    We are loaded by a task: asyncio would log this exception as one that nobody took from it.
    """
    check, server = (running.addons.get(name) for name in ("errorcheck", "proxyserver"))  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    if not isinstance(check, errorcheck.ErrorCheck):
        return
    if isinstance(server, proxyserver.Proxyserver) and server.is_running:
        return
    if check.repeat_errors_on_stderr:
        for record in check.logger.has_errored:
            sys.stderr.write(f"{record.getMessage()}\n")
    if task := asyncio.current_task():
        task.add_done_callback(asyncio.Task.exception)
    sys.exit(1)


def end_plainly(running: master.Master) -> None:
    """mitmweb raises where its page cannot listen: its message goes to the user, without a traceback."""
    begin = running.running

    async def begun() -> None:
        try:
            await begin()
        except OSError as error:
            sys.stderr.write(f"{error.strerror or error}\n")
            sys.exit(1)

    running.running = begun  # type: ignore[method-assign]  # on this one master, which calls it once


def spare_legacy_log(running: master.Master) -> None:
    """What is logged goes past the handler of mitmproxy that hands it to add-ons, where none of them listens.

    That handler needs the event loop, too: once the loop is closed, it would raise in the middle of the log
    call, about what is then forgotten.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LegacyLogEvents):
            handler.addFilter(WhileHeard(running))


class Quiet:
    """What mitmproxy says of connections and flows by itself, which rotator_quiet leaves out."""

    def __init__(self) -> None:
        self._hid_flows = False

    def follow(self, opts: options.Options) -> None:
        """Warnings of connections stay, and so do the flows where the user asked for more of them."""
        _CONNECTIONS.setLevel(logging.WARNING if opts.rotator_quiet else logging.NOTSET)
        if "flow_detail" not in opts:  # in mitmdump alone
            return
        if opts.rotator_quiet and opts.flow_detail == FLOW_LINES:
            self._hid_flows = True
            set_options(opts, flow_detail=0)
        elif self._hid_flows and not opts.rotator_quiet:
            self._hid_flows = False
            set_options(opts, flow_detail=FLOW_LINES)


def bad_options(opts: options.Options) -> Iterator[str]:
    """A line for each of our options that has a bad value."""
    if opts.rotator_log not in LAYOUTS:
        yield f"--set rotator_log: must be {', '.join(LAYOUTS[:-1])} or {LAYOUTS[-1]}"
    if opts.rotator_intercept not in INTERCEPT:
        yield f"--set rotator_intercept: must be {' or '.join(INTERCEPT)}"


def set_options(opts: options.Options, **values: object) -> None:
    opts.update(**values)  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def unknown_options(opts: options.Options) -> Iterator[str]:
    """A line for each option that is called as ours are and is none: mitmproxy says nothing of it."""
    ours = [name for name, _ in opts.items() if name.startswith(_OURS)]  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    for name in opts.deferred:
        if name.startswith(_OURS):
            close = get_close_matches(name, ours, n=1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(ours))}"
            yield f"--set {name}: no such option, so it does nothing: {meant}"


@dataclass(frozen=True, slots=True)
class Connecting:
    """What connections to providers depend on."""

    insecure: bool
    """Whether certificates of providers are not checked."""
    ca_file: str | None
    """A file of certificates to trust, in place of the system's."""
    ca_dir: str | None
    """A folder of such files."""
    proxies: Proxies
    """Those on the way."""


def connecting(opts: options.Options, found: Proxies) -> Connecting:
    return Connecting(
        insecure=opts.ssl_insecure,
        ca_file=opts.ssl_verify_upstream_trusted_ca,
        ca_dir=opts.ssl_verify_upstream_trusted_confdir,
        proxies=found,
    )


def make_upstream(wanted: Connecting) -> Upstream:
    """Raises ValueError, fit for a user, where that cannot be had."""
    context = tls_context(insecure=wanted.insecure, ca_file=wanted.ca_file, ca_dir=wanted.ca_dir)
    return Upstream(way_to_providers(wanted.proxies, context))


def upstream_alone(proxy: str, environ: Mapping[str, str]) -> Upstream:
    """For a command that asks providers by itself, as a proxy with mitmproxy's defaults would. `proxy`: that
    of the config. Raises ValueError as above."""
    opts = options.Options()
    return make_upstream(connecting(opts, proxies(proxy, opts, environ)))


def provider_hosts(settings: Settings) -> str:
    """A regular expression for mitmproxy's allow_hosts, over `host:port`: all others stay encrypted.

    One alone: mitmproxy copies that option, and tries what it has, ten times for each connection.
    """
    patterns = []
    for configured in settings.providers:
        provider = configured.provider
        patterns += [_pattern(entry) for entry in provider.hosts]
        if provider.origin:
            host, port = provider.origin.address
            patterns.append(f"^{re.escape(host)}:{port}$")
    return "|".join(sorted(set(patterns)))


_WILDCARDS = {"*": ".*", "?": "."}


def _pattern(entry: str) -> str:
    """A name, a glob or an address (IPv6 in brackets, or without and then with no port)."""
    host, colon, port = entry.lower().rpartition(":")
    has_port = bool(colon) and port.isdecimal() and (host.endswith("]") or ":" not in host)
    named = (host if has_port else entry.lower()).strip("[]")
    glob = "".join(_WILDCARDS.get(letter) or re.escape(letter) for letter in named)
    return f"^(?:{glob}):{port if has_port else '[0-9]+'}$"
