"""A recognised flow becomes a call, and the call a driver with all that it needs."""

import asyncio
import math
import time
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons.call.driver import Driver
from addons.call.passing import ErrorResponse, Passing
from addons.call.plan import Planner
from addons.call.recognition import Intercepted
from addons.call.reports import Reports
from addons.call.request import account_lease, unchanged
from addons.call.work import Work
from addons.config.settings import Settings
from addons.credentials.pool import Asker, Pool
from addons.mitm.messages import request_of, response_of
from addons.records.journal import Journal, Record
from addons.records.trace import Traces
from addons.responses.kept import Missing, Responses, Turn, unknown_elsewhere
from addons.responses.storage import Memory, Storage
from addons.runtime.clock import Clock
from addons.secrets.redaction import Blackout
from addons.upstream.client import Upstream
from protocols.model.call import Call
from protocols.model.http import WireRequest, header
from protocols.registry import Registry
from rewrite.catalog.routes import RouteUse
from rewrite.credentials.notices import Notice
from rewrite.exchange.exchange import Exchange
from rewrite.responses.store import PROTOCOL as RESPONSES
from rewrite.responses.store import scope_of


class Answering:
    """Makes drivers under the current settings; a driver keeps those it was made under."""

    def __init__(self, registry: Registry, pool: Pool, journal: Journal, traces: Traces) -> None:
        self._registry, self._pool, self._journal, self._traces = registry, pool, journal, traces
        self.responses = Responses(Storage(Memory(), time.time), time.time)
        self._reports = Reports(journal, pool, self.responses, traces)
        self._settings: Settings | None = None
        self._planner: Planner | None = None
        self._routes = RouteUse(())
        self._upstream: Upstream | None = None
        self._former: list[Upstream] = []
        self._clock = Clock()
        self._drivers: WeakKeyDictionary[http.HTTPFlow, Driver] = WeakKeyDictionary()
        self._buffering: WeakKeyDictionary[http.HTTPFlow, tuple[bool, float]] = WeakKeyDictionary()

    def configure(self, settings: Settings, upstream: Upstream) -> None:
        """Connections that are not used any more are closed after the last call that may use them."""
        if self._upstream not in (None, upstream):
            self._former.append(self._upstream)
        self._settings, self._upstream = settings, upstream
        self._planner = Planner(settings, self._registry)
        self._routes = RouteUse(settings.rules)
        self._traces.configure(settings.trace)

    async def close(self) -> None:
        """The proxy ends: calls that are open leave their record."""
        for driver in list(self._drivers.values()):
            driver.stop("the proxy was stopped")
        await _close([*self._former, *filter(None, [self._upstream])])

    def begin(
        self, flow: http.HTTPFlow, intercepted: Intercepted, session: str = "", body: bytes | None = None
    ) -> Driver | ErrorResponse | Passing:
        """What answers a recognised call, ready to run. `session` names its conversation if it does not;
        `body`: that of a compressed request, decoded."""
        assert intercepted.protocol is not None
        assert self._planner is not None
        request = request_of(flow.request)
        call, facts = self._planner.call(request, intercepted, session, body)
        turn = self._turn(call, intercepted)
        if isinstance(turn, Missing):
            return self._error_response(Record(flow, call, intercepted.provider.name, ()), intercepted, turn)
        now = self._clock()
        plan = self._planner.plan(turn, intercepted, request, facts, now)
        for text in self._routes.note(plan.rule, turn.call.model):
            self._journal.notice(Notice(text, warning=True))
        name = intercepted.provider.name
        record = Record(flow, turn.call, name, plan.targets, plan.skipped, plan.rule)
        if not plan.targets:
            missing = Missing(intercepted.protocol.error(plan.fault), plan.fault)
            return self._error_response(record, intercepted, unknown_elsewhere(call, plan.skipped) or missing)
        if call.background and plan.targets[0].rendered is None:
            return self._passing(flow, intercepted, request)
        self._buffering[flow] = not plan.rule.stream, plan.may_be_kept(turn.call)
        return self._driver(record, intercepted, turn, request, now)

    def _turn(self, call: Call, intercepted: Intercepted) -> Turn | Missing:
        """A call with the turns that it continues, as only the Responses API has them."""
        if call.protocol != RESPONSES:
            return Turn(call, "", call.body)
        return self.responses.turn(call, _scope(intercepted))

    def _error_response(self, record: Record, intercepted: Intercepted, missing: Missing) -> ErrorResponse:
        return ErrorResponse(missing.answer, missing.fault, record, intercepted.own, self._reports)

    def _passing(self, flow: http.HTTPFlow, intercepted: Intercepted, sent: WireRequest) -> Passing:
        """An answer that is made later belongs to an account, like a file or a batch."""
        assert self._settings is not None
        assert self._upstream is not None
        lease = account_lease(self._pool, intercepted)
        record = {"provider": intercepted.provider.name, "passed_through": True, "credential": lease.name}
        self._journal.begin(flow, record)
        request = unchanged(sent, intercepted.origin, intercepted, lease)
        blackout = Blackout([lease.secret] if lease.pooled else ())
        return Passing(self._upstream, request, self._settings.timeouts.connect, blackout)

    def _driver(
        self, record: Record, intercepted: Intercepted, turn: Turn, request: WireRequest, now: float
    ) -> Driver:
        assert intercepted.protocol is not None
        assert self._upstream is not None
        work = Work(
            record=record,
            turn=turn,
            intercepted=intercepted,
            request=request,
            protocol=intercepted.protocol,
            exchange=Exchange(record.call, intercepted.protocol, record.targets, now),
            asker=_asker(record.flow, intercepted, record.call),
            pool=self._pool,
            upstream=self._upstream,
            journal=self._journal,
            reports=self._reports,
            clock=self._clock,
        )
        driver = self._drivers[record.flow] = Driver(work)
        return driver

    def kept(self, flow: http.HTTPFlow, intercepted: Intercepted) -> http.Response | None:
        """The answer to a request about a response that we keep; None: it is about something else."""
        request = flow.request
        answer = self.responses.answer(request.method, request.path, _scope(intercepted))
        if answer is None:
            return None
        self._journal.begin(flow, {"provider": intercepted.provider.name, "kept_response": True})
        return response_of(answer)

    def buffering(self, flow: http.HTTPFlow) -> tuple[bool, float]:
        """Whether the route of a call wants its answer whole before the client gets it, and for how many
        seconds it may be kept."""
        return self._buffering.get(flow, (False, math.inf))

    def over(self, flow: http.HTTPFlow) -> None:
        """The flow has ended; where the client left or it was killed, its record comes before its saving."""
        driver = self._drivers.pop(flow, None)
        if driver is not None:
            driver.client_gone()
        if self._former and not self._drivers:
            former, self._former = self._former, []
            self._closing = asyncio.get_running_loop().create_task(_close(former))


def _scope(intercepted: Intercepted) -> str:
    own = intercepted.own
    return scope_of(own.fingerprint if own else None, intercepted.provider.name)


def _asker(flow: http.HTTPFlow, intercepted: Intercepted, call: Call) -> Asker:
    """A client without an explicit conversation is distinguished from others by its address, program and
    key."""
    own, address = intercepted.own, flow.client_conn.peername[0]
    program = header(call.headers, "user-agent") or ""
    return Asker(call.protocol, f"{address} {program} {own.fingerprint if own else ''}")


async def _close(former: list[Upstream]) -> None:
    for upstream in former:
        await upstream.close()
