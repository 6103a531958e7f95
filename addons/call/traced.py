"""The driver of a traced call: it drives as any does, and notes what leaves, what comes, and what becomes of
the credential. What happens in between is noted by `TracedExchange`."""

from addons.call.driver import Driver
from addons.call.response import Response
from addons.call.tracing import TracedResponse, note_fault, note_fields, note_refused_token, note_sent
from addons.call.work import Work
from addons.credentials.lease import Lease
from protocols.model.http import Head, UpstreamRequest
from rewrite.credentials.health import HEALTHY
from rewrite.credentials.state import CredentialState, PoolState
from rewrite.exchange.traced import note_end
from rewrite.records.passes import CallTrace, Direction, Stage
from rewrite.records.verdict import Verdict
from rewrite.targets.target import Target
from rewrite.values.events import OpenUpstream, Release, Summary


class TracedDriver(Driver):
    """See `Driver`. Its entries end with `sent_response`, whatever the end is."""

    _response: TracedResponse

    def __init__(self, work: Work, trace: CallTrace) -> None:
        super().__init__(work)
        self._trace = trace
        self._reported = False

    async def run(self, response: Response) -> None:
        await super().run(TracedResponse(response, self._trace))

    def received(self, data: bytes) -> None:
        self._trace.from_provider(data)
        super().received(data)

    def renewed(self, head: Head, body: bytes) -> None:
        self._trace.now = self._work.clock()
        note_refused_token(self._trace, head, body)

    def _outgoing(self, target: Target, lease: Lease, wanted: OpenUpstream) -> UpstreamRequest:
        request = super()._outgoing(target, lease, wanted)
        if wanted.fields is not None:
            note_fields(self._trace, wanted.fields.headers(()), request, self._work.request)
        note_sent(self._trace, request, self._work.request)
        return request

    def _release(self, release: Release) -> None:
        target, lease = self._leases.held[release.attempt]
        states, provider = self._work.pool.states, target.provider.name
        before = states.get(provider)
        super()._release(release)
        after = states.get(provider)
        if lease.pooled and before is not None and after is not None:
            was, now = before.state(lease.name), after.state(lease.name)
            self._note_cooldowns(was, now, release.outcome.label)
            self._note_pauses(before, after)

    def _note_cooldowns(self, before: CredentialState, after: CredentialState, outcome: str) -> None:
        """`outcome`: that of the attempt, which is the reason where nothing else is said."""
        for scope, cooldown in after.cooldowns.items():
            if cooldown is not before.cooldowns.get(scope):
                said = cooldown.refusal.said if cooldown.refusal else cooldown.note
                self._note_cooldown(scope, cooldown.until - cooldown.at, said or outcome)

    def _note_pauses(self, before: PoolState, after: PoolState) -> None:
        """Of the whole provider."""
        for scope, health in after.health.items():
            if health.paused_until > before.health.get(scope, HEALTHY).paused_until:
                self._note_cooldown(scope, health.pause, "the provider is paused")

    def _note_cooldown(self, scope: str, seconds: float, reason: str) -> None:
        data = {"scope": scope, "seconds": round(seconds, 3), "reason": reason}
        self._trace.note("cooldown", Direction.REQUEST, Stage.PROXY, data)

    def _report(self, summary: Summary) -> None:
        self._reported = True
        super()._report(summary)
        note_end(self._trace, self._work.record.call, summary, self._response.head)

    def _fail(self, error: Exception) -> None:
        self._trace.now = self._work.clock()
        note_fault(self._trace, error)
        super()._fail(error)

    def _stop(self) -> None:
        super()._stop()
        if not self._reported:
            self._reported = True
            ending = {"verdict": Verdict.FAILED.value, "end": "failed", "detail": "a fault of the proxy"}
            data = {**self._response.head, **ending}
            self._trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT, data, changed=True)
        self._trace.close()
