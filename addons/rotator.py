"""The add-on: `mitmdump -s addons/rotator.py`. Options and hooks; what they do is in the other modules."""

import logging
import os
import sys

if __name__ == "__main__":
    sys.exit(
        "this is an add-on of mitmproxy, and no program: start it with scripts/start, or `rotator start`"
    )

import time
from collections.abc import Awaitable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

from mitmproxy import addonmanager, ctx, flow, hooks, http, options, tls

from addons.call.answering import Answering
from addons.call.departure import Departure, is_short
from addons.call.fields import FieldCache
from addons.call.forwarding import Forwarder
from addons.call.misdirected import Distrust, own_address
from addons.call.recognition import Intercepted, Interception, error_response
from addons.call.unknown_paths import NO_SUCH_PATH, UnknownPaths
from addons.config.client_variables import PASTE
from addons.config.settings import ConfigError, known_protocols
from addons.credentials.commands import Commands
from addons.credentials.overview import Overview
from addons.credentials.places import Places
from addons.credentials.pool import Pool
from addons.mitm.flows import FlowRegistry
from addons.mitm.front import Front
from addons.mitm.layers import Layers
from addons.mitm.messages import fit, values_of
from addons.oauth.logins import Logins
from addons.options import register
from addons.pages.metrics import Current, exposition
from addons.pages.pages import Pages
from addons.pages.status_line import StatusLine
from addons.pages.unlisted import unlist
from addons.pages.usage import usage_view
from addons.pages.views import Views
from addons.parts import Counting, Sharing, counting, sharing
from addons.records.journal import Journal
from addons.records.record import forget_password
from addons.records.terminal import lay_out, layout_of, write_whole_lines
from addons.records.trace import Traces
from addons.reload import Control, Lasting
from addons.runtime import memory
from addons.runtime.clock import EpochClock
from addons.secrets.redaction import Lines, Redactor
from addons.shutdown import GracefulShutdown
from addons.startup import (
    Quiet,
    bad_options,
    configure_proxy,
    end_plainly,
    end_start,
    spare_legacy_log,
    unknown_options,
)
from addons.state.keeper import Keeper
from addons.upstream.network import is_this_machine
from addons.usage.command import UsageCommand
from addons.usage.price_table import PriceTable
from addons.views import shown
from addons.views.attempts import Attempts
from addons.views.bodies import Bodies
from addons.websocket.hooks import SWITCHED, WebSockets, guard_choice
from protocols.model.errors import Fault
from protocols.registry import Registry
from rewrite.credentials.notices import Notice

log = logging.getLogger("rotator")
for _logger in (log, logging.getLogger("rotator.relay")):
    _logger.addFilter(Lines())

FOLLOWED = {
    "rotator_intercept",
    "rotator_state",
    "rotator_usage",
    "ssl_insecure",
    "ssl_verify_upstream_trusted_ca",
    "ssl_verify_upstream_trusted_confdir",
    "mode",
    "upstream_auth",
}
"""Options of the proxy that ours depend on. (A name imported here that is a hook's would become one.)"""


def _protocols() -> Registry:
    """None at all where one is broken: then the config, which is read next, is refused for it."""
    try:
        return known_protocols()
    except ConfigError:
        return Registry()


def _updated(changed: flow.Flow) -> None:
    """What is shown of a flow is not up to date."""
    ctx.master.addons.trigger(hooks.UpdateHook([changed]))


def _listening() -> frozenset[int]:
    """The ports that the proxy listens on."""
    server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    return frozenset([address[1] for address in server.listen_addrs()])


def _answer(flow: http.HTTPFlow, response: http.Response) -> None:
    """Without asking anybody."""
    flow.request.stream = False
    flow.response = fit(response, flow.request.method)


class Rotator:
    """Composition root: makes the parts, and hands each hook to the one that knows."""

    def __init__(self) -> None:
        redactor, clock, prices = Redactor(), EpochClock(), PriceTable()
        counted = counting(redactor)
        journal = self._journal = Journal(redactor, _updated, counted.entries, prices.prices)
        shared = sharing(clock, journal, counted)
        logins = Logins(time.time, redactor.keep, shared.tokens)
        pool = Pool(clock, journal.notice, logins)
        overview, traces = Overview(pool, clock), Traces(redactor)
        self.commands = Commands(pool, overview, traces.trace_next, journal.notice)
        self.usage_command = UsageCommand(counted.ledger)
        self._registry = registry = _protocols()
        self._distrust, self._quiet = Distrust(), Quiet()
        self._unknown_paths = UnknownPaths(journal)
        self._interception = Interception(registry, pool, journal, redactor)
        self._attempts = Attempts(journal, shown.show, self._attempt_over)
        self._bodies, self._is_listed = Bodies(self._attempts.requests), False
        fields = FieldCache(clock.steady, redactor.holds_secret)
        self._answering = Answering(registry, pool, journal, traces, fields, self._attempts, shared.users)
        self._answering.share(shared.store)
        self._forwarder = Forwarder(pool, journal)
        passing = self._interception, self._forwarder, self._answering, journal
        self._pages = self._looked_at(overview, counted, shared, redactor, clock)
        self._departure = Departure(*passing, self._pages.own_host)
        self._flows = FlowRegistry(self._departure, memory.clean)
        self._websockets = WebSockets(self._flows, *passing)
        self._views = shown.Views(
            registry, self._interception.call, self._attempts.requests, redactor, lambda: traces.folder
        )
        layers = Layers(self._flows, self._interception.is_provider)
        self._front = Front(self._flows, layers, self._forwarder.tunnel)
        keeper = Keeper(pool, clock, journal.failed, shared.store)
        pool.share(Places(shared.store, shared.roster, pool, clock))
        lasting = Lasting(keeper, shared, counted.ledger, prices)
        control = self._control = Control(*passing, redactor, logins, lasting)
        begun, timeout = self._pages.feed.close, lambda: control.drain_timeout
        self._shutdown = GracefulShutdown(self._flows, self._answering, begun, timeout)

    def _looked_at(
        self, overview: Overview, counted: Counting, shared: Sharing, redactor: Redactor, clock: EpochClock
    ) -> Pages:
        """The pages at our own host, and in mitmweb."""
        views = Views(
            overview,
            self._answering.live,
            lambda: self._control.source,
            redactor,
            lambda: self._control.in_force and not shared.store.is_beginning,
            lambda: self._flows.draining.is_on,
            {"users": lambda: [*shared.users.status()], "store": shared.roster.status},
        )
        more = {
            "/metrics": exposition(counted.metrics, Current(views.status, self._journal.outcomes)),
            "/usage": usage_view(counted.ledger, shared.team(clock)),
            "/statusline": StatusLine(overview, views.calls, counted.last, time.time).page,
        }
        return Pages(views, self.commands, counted.recent, more, counted.entries.drain)

    def load(self, loader: addonmanager.Loader) -> None:
        register(loader)
        configure_proxy(ctx.options)
        spare_legacy_log(ctx.master)
        write_whole_lines()
        end_plainly(ctx.master)
        self._views.install(ctx.options)
        self._is_listed = shown.is_listed()
        self._front.install()

    def configure(self, updated: set[str]) -> None:
        if "rotator_attempt_flows" in updated:
            as_flows = ctx.options.rotator_attempt_flows
            self._attempts.configure(is_listed=self._is_listed, as_flows=as_flows)
        if updated & {"rotator_log", "rotator_quiet"}:
            self._look(ctx.options)
        if "rotator_buffer" in updated:
            self._buffer(ctx.options.rotator_buffer)
        if updated & {"rotator_config", "rotator_providers"}:
            for warning in unknown_options(ctx.options):
                log.warning("%s", warning)
            self._control.configure(ctx.options)
            faults = list(bad_options(ctx.options))
            for fault in faults:
                log.error("%s", fault)
            if faults or not self._control.in_force:
                end_start(ctx.master)
        elif updated & FOLLOWED:
            self._control.follow(ctx.options)

    def _look(self, opts: options.Options) -> None:
        layout = layout_of(opts.rotator_log)
        lay_out(layout)
        self._journal.lay_out(layout)
        self._quiet.follow(opts)

    def _buffer(self, expression: str) -> None:
        try:
            self._departure.configure(expression)
        except ValueError as error:
            log.error("--set rotator_buffer=%s: %s: name a flow filter, such as ~all", expression, error)
            if not self._control.in_force:
                end_start(ctx.master)

    def running(self) -> None:
        self._control.start()
        self._front.start()
        self._pages.start(ctx.master)
        self._shutdown.start(ctx.master)
        memory.settle()
        if lines := os.environ.get(PASTE):
            sys.stdout.write(f"{lines}\n")

    async def done(self) -> None:
        self._pages.close()
        self._front.uninstall()
        await self._control.stop()
        self._shutdown.close()

    def http_connect(self, flow: http.HTTPFlow) -> Awaitable[object] | None:
        forget_password(flow)
        self._pages.probes.connected(flow.request.host)
        return self._block_our_own(flow) if flow.request.port in self._own_ports() else None

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        forget_password(flow)
        if flow.request.port in self._own_ports():
            return self._admit_unless_our_own(flow)
        return self._admit(flow)

    async def _admit_unless_our_own(self, flow: http.HTTPFlow) -> None:
        if not await self._block_our_own(flow) and (renewal := self._admit(flow)):
            await renewal

    def _admit(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """What the flow has to wait for; None: for nothing."""
        try:
            intercepted = self._interception.admit(flow)
            response = self._interception.error_response(flow)
            if flow.response is not None:  # another add-on has answered, for want of a password above all
                self._without_password(flow)
                return None
            about = intercepted if intercepted and not (response or intercepted.operation) else None
            if about and (elsewhere := self._answering.elsewhere(flow, about)):
                return self._fetched(flow, elsewhere)
            if ours := response or self._at_once(flow, intercepted):
                _answer(flow, ours)
            elif intercepted and (intercepted.operation or is_short(flow.request)):
                self._flows.collect(flow, self._interception.longest_body)
            elif intercepted:
                flow.request.stream = True
            if not ours and intercepted and intercepted.operation is None:
                return self._forwarder.renewal(intercepted)
        except Exception as error:  # noqa: BLE001  # fails closed: nothing leaves, and the client gets an answer
            self._failed(flow, error)
        return None

    async def _fetched(self, flow: http.HTTPFlow, elsewhere: Awaitable[http.Response | None]) -> None:
        try:
            if (answer := await elsewhere) is not None:
                _answer(flow, answer)
        except Exception as error:  # noqa: BLE001  # as in `_admit`
            self._failed(flow, error)

    def _without_password(self, flow: http.HTTPFlow) -> None:
        """What proxyauth has refused, but for what load balancers ask."""
        if self._pages.own_host.has(flow) and (health := self._pages.own_host.health(flow)):
            _answer(flow, health)

    def _at_once(self, flow: http.HTTPFlow, intercepted: Intercepted | None) -> http.Response | None:
        """An answer that no provider is asked for: about a kept response, or to a handshake."""
        if intercepted is None:
            return self._pages.own_host.answer(flow)
        kept = self._answering.kept(flow, intercepted) if intercepted.operation is None else None
        if kept is None and values_of(flow.request.headers, b"upgrade"):
            return self._websockets.answer(flow)
        return kept

    def _failed(self, flow: http.HTTPFlow, error: Exception) -> None:
        self._journal.failed(f"{flow.request.method} to {flow.request.pretty_host}", error)
        intercepted = self._interception.intercepted(flow)
        self._interception.disarm(flow)
        self._departure.block(flow)
        fault = Fault(502, "proxy_fault", "a fault of the proxy, not of the provider", should_retry=False)
        _answer(flow, error_response(intercepted, fault))

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and flow.response.status_code == SWITCHED:
            guard_choice(flow.request, flow.response)
        if flow.response is not None and flow.response.status_code in NO_SUCH_PATH:
            self._unknown_paths.answered(flow, self._interception.intercepted(flow))
        if self._answering.flow_traces.forwarding:
            self._answering.flow_traces.answered(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        self._over(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._over(flow)

    def _over(self, flow: http.HTTPFlow) -> None:
        intercepted = self._interception.intercepted(flow)
        if intercepted is None and self._pages.own_host.has(flow):
            unlist(flow)
        self._answering.over(flow, intercepted)
        if intercepted is not None and self._is_listed:
            self._bodies.note(flow)

    def _attempt_over(self, flow: http.HTTPFlow) -> None:
        shown.save(flow)
        self._bodies.note(flow)

    def tls_established_client(self, data: tls.TlsData) -> None:
        self._distrust.established(data)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        port = data.context.client.sockname[1]
        if text := self._distrust.failed(data, ctx.options, port):
            self._journal.notice(Notice(text, warning=True))

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        self._forwarder.authorize_proxy(flow)

    def _own_ports(self) -> frozenset[int]:
        """The ports that this process listens on: the proxy's and, in mitmweb, the inspector's."""
        draining = self._flows.draining
        ports = draining.ports if draining.is_on else _listening()
        return ports | {ctx.options.web_port} if "web_port" in ctx.options else ports

    async def _block_our_own(self, flow: http.HTTPFlow) -> bool:
        """The proxy is no way to its own insides: neither to its ports nor to mitmweb's. Of a request to such
        a port the host is looked up, which takes a while; no other has to be awaited."""
        if not await is_this_machine(flow.request.host):
            return False
        self._departure.block(flow)
        self._interception.strip(flow)
        if health := self._pages.own_host.health(flow):
            unlist(flow)
        _answer(flow, health or flow.response or own_address(flow.request, self._registry, ctx.options))
        return True


rotator = Rotator()
addons = [rotator, rotator.commands, rotator.usage_command]
