"""A recognised flow becomes a call, and the call a driver with all that it needs."""

import asyncio
import random
import secrets
import time
from functools import partial
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.blackout import Blackout
from addons.driver import Driver, Response, Work, pass_once
from addons.interception import Intercepted, own_lease, written
from addons.journal import Journal
from addons.pool import Lease, Pool
from addons.settings import Settings
from addons.upstream import Upstream
from addons.wire import headers_of, wire_request
from protocols.base import Call, WireRequest, header
from protocols.errors import MalformedRequest
from rewrite.clients import facts_for
from rewrite.credentials import NoneFree
from rewrite.events import Acquire, Summary
from rewrite.exchange import Exchange, Terms
from rewrite.limits import limits_for, timing
from rewrite.outcome import Outcome
from rewrite.providers import Provider, reasons
from rewrite.sessions import with_session


class Answering:
    """Makes drivers under the current settings; a driver keeps those it was made under."""

    def __init__(self, pool: Pool, journal: Journal) -> None:
        self._pool, self._journal = pool, journal
        self._settings: Settings | None = None
        self._upstream: Upstream | None = None
        self._former: list[Upstream] = []
        self._drivers: WeakKeyDictionary[http.HTTPFlow, Driver] = WeakKeyDictionary()

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Connections that are not used any more are closed behind the last call that may use them."""
        if self._upstream not in (None, upstream):
            self._former.append(self._upstream)
        self._settings, self._upstream = settings, upstream

    async def close(self) -> None:
        """The proxy ends."""
        await _close([*self._former, *filter(None, [self._upstream])])

    def begin(self, flow: http.HTTPFlow, intercepted: Intercepted) -> Driver:
        """The driver of a recognised call, ready to run."""
        assert intercepted.protocol is not None
        call = self._call(flow, intercepted)
        protocol, provider = intercepted.protocol, intercepted.provider
        assert self._upstream is not None
        now = time.monotonic()
        terms = self._terms(call, intercepted, now)
        work = Work(
            call=call,
            protocol=protocol,
            exchange=Exchange(call, protocol, terms, now),
            upstream=self._upstream,
            connect_timeout=terms.timing.connect,
            acquire=partial(self._acquire, intercepted, call),
            release=partial(self._release, intercepted, call),
            request=partial(self._request, flow.request.copy(), intercepted),
            report=partial(self._report, flow, call, provider),
            failed=partial(self._journal.failed, f"call {call.id} to {provider.name}"),
            clock=time.monotonic,
        )
        driver = self._drivers[flow] = Driver(work)
        return driver

    async def pass_once(
        self, flow: http.HTTPFlow, intercepted: Intercepted, lease: Lease, response: Response
    ) -> None:
        """A replayed flow of a path that is not ours to answer."""
        assert self._settings is not None
        assert self._upstream is not None
        request = self._request(flow.request, intercepted, lease)
        blackout = Blackout([lease.secret] if lease.pooled else ())
        await pass_once(self._upstream, request, self._settings.timeouts.connect, blackout, response)

    def _call(self, flow: http.HTTPFlow, intercepted: Intercepted) -> Call:
        """A body that is not one of the protocol still goes to the provider: its 400 comes back."""
        protocol, operation = intercepted.protocol, intercepted.operation
        assert protocol is not None
        assert operation is not None
        request = flow.request
        wire = WireRequest(request.method, request.path, headers_of(request), _decoded(request))
        call_id = secrets.token_hex(4)
        try:
            call = protocol.parse(call_id, operation, wire)
        except MalformedRequest:
            call = Call(call_id, protocol.name, operation, None, False, wire.headers)
        assert self._settings is not None
        facts = facts_for(self._settings.clients, header(call.headers, "user-agent") or "")
        return with_session(call, facts.session_header)

    def _terms(self, call: Call, intercepted: Intercepted, now: float) -> Terms:
        settings, provider = self._settings, intercepted.provider
        assert settings is not None
        assert intercepted.protocol is not None
        facts = facts_for(settings.clients, header(call.headers, "user-agent") or "")
        return Terms(
            provider=provider.name,
            timing=timing(
                settings.timeouts,
                call,
                reasons=reasons(provider, call.model),
                lifecycle=intercepted.protocol.opens_with_lifecycle,
                known_patience=facts.patience,
            ),
            limits=limits_for(settings.limits, call),
            errors=provider.errors,
            on_truncation=settings.on_truncation,
            discards_cut_calls=facts.cut_tool_call == "length",
            pooled=intercepted.pooled,
            jitter=random.random(),  # spreads retries; nothing secret
            epoch=time.time() - now,
        )

    def _acquire(self, intercepted: Intercepted, call: Call, wish: Acquire) -> Lease | NoneFree:
        if not intercepted.pooled:
            return own_lease(intercepted)
        return self._pool.acquire(intercepted.provider.name, call, wish)

    def _release(self, intercepted: Intercepted, call: Call, lease: Lease, outcome: Outcome) -> None:
        if lease.pooled:
            self._pool.release(intercepted.provider.name, lease, call, outcome)

    def _request(self, request: http.Request, intercepted: Intercepted, lease: Lease) -> WireRequest:
        headers, target = written(intercepted, lease, request)
        return wire_request(request, intercepted.provider.base_url, headers, target)

    def _report(self, flow: http.HTTPFlow, call: Call, provider: Provider, summary: Summary) -> None:
        self._journal.end(flow, call, provider.name, summary)

    def over(self, flow: http.HTTPFlow) -> None:
        """The flow has ended; where the client left or it was killed, its record comes before its saving."""
        driver = self._drivers.pop(flow, None)
        if driver is not None:
            driver.client_gone()
        if self._former and not self._drivers:
            former, self._former = self._former, []
            self._closing = asyncio.get_running_loop().create_task(_close(former))


async def _close(former: list[Upstream]) -> None:
    for upstream in former:
        await upstream.close()


def _decoded(request: http.Request) -> bytes:
    """The body without its content-encoding; as it is where that cannot be undone."""
    return request.get_content(strict=False) or b""
