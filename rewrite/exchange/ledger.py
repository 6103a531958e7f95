"""The attempts of one call, one after another, at one target after another: what came of each, and which is
next."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf

from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Call
from protocols.model.progress import Progress
from rewrite.credentials.refusals import answer_of
from rewrite.exchange.attempt import Attempt
from rewrite.fields.call_fields import CallFields
from rewrite.policies import exhausted, fallback, following, retry, rotation
from rewrite.targets.reading import Silence
from rewrite.targets.target import Target
from rewrite.usage.tokens import spent
from rewrite.values.decision import SHORT_WAIT, Ended, GiveUp, History, Retry, Wait
from rewrite.values.events import (
    Acquire,
    Acquired,
    AwaitCredential,
    CancelUpstream,
    NoneFree,
    Release,
    SetTimer,
    UpstreamClosed,
)
from rewrite.values.key_refusal import StandingRefusal
from rewrite.values.outcome import Completed, Outcome, Rejected, Unreachable, is_away, was_silent
from rewrite.values.timeouts import before_commit
from rewrite.values.timer import Timer


class Ledger:
    """Who was asked, and who is next."""

    def __init__(
        self,
        call: Call,
        protocol: WireProtocol,
        targets: Sequence[Target],
        latest: Callable[[Target], float],
    ) -> None:
        """`targets` in the order in which they are asked; `latest`: when the client's patience is over."""
        self._call, self._protocol, self._targets, self._latest = call, protocol, targets, latest
        self.target = targets[0]
        """The one that is asked."""
        self.terms = self.target.terms
        """What the call may do there."""
        self.ended: tuple[Ended, ...] = ()
        """The attempts before the one that is under way."""
        self.fields: list[CallFields] = []
        """See `Summary`."""
        self._former: str | None = None
        self._none_since: float | None = None
        self._waited_for_own = False
        self._due: dict[int, float] = {}
        self._turn_ends: float | None = None
        self._otherwise: Retry | GiveUp | None = None
        self.current = Attempt(1, latest=latest(self.target), stall=Silence(self.terms.timing.stall))
        """The attempt that is under way, or the last one."""
        self.acquire = Acquire(1)
        """The credential that the attempt under way asks for."""

    # -- the one that is under way --------------------------------------------------------------------

    @property
    def latest(self) -> float:
        """When the patience of the client is over, at this target."""
        return self._latest(self.target)

    def acquired(self, found: Acquired) -> None:
        self.current.credential, self.current.open = found.credential, True
        if self.target.fields is not None:
            self.current.fields = self.target.attempted(found.identity)
        self.current.asked_last, self.current.reason = found.asked_last, found.reason
        self._former, self._otherwise = self._former or found.former, None

    def sent(self, now: float) -> Sequence[SetTimer]:
        """All of the request has left: the timers that begin now; none if it is known."""
        if self.current.sent_at is not None:
            return ()
        self.current.sent_at = now
        stream, longest = self.streams, self._turn(now) - now if self.has_next else inf
        timing, stalls = self.terms.timing, self._stalls()
        gathered = stream and not self._call.stream
        due = before_commit(timing, stream=stream, stalls=stalls, gathered=gathered, longest=longest)
        self.current.gate.token = Silence(dict(due).get(Timer.FIRST_TOKEN, 0.0), now)
        return [one for timer, seconds in due for one in self.current.arm(timer, seconds, now)]

    def _stalls(self) -> int:
        """The silences that make the next attempt wait longer: none while the next target can be asked."""
        silent = (one for one in self.ended if was_silent(one.outcome))
        return 0 if self.has_next else sum(one.target == self.target.index for one in silent)

    def _turn(self, now: float) -> float:
        """When the target has had its share of the client's patience, which is what is left of it by the
        number of targets that are left; it counts from the first request that has left for it."""
        if self._turn_ends is None:
            left = len(self._targets) - self.target.index
            self._turn_ends = now + (self.current.latest - now) / left
        return self._turn_ends

    @property
    def streams(self) -> bool:
        """Whether upstream is asked to stream."""
        return self.target.call.stream

    def served(self, progress: Progress | None = None) -> None:
        """The client got something of the one that is under way; all that there was, where the whole came to
        `progress`."""
        fields, self.current.fields = self.current.fields, None
        if fields is None:
            return
        if progress is not None:
            fields.complete(progress)
        self.fields.append(fields.own)

    def unanswered(self, closed: UpstreamClosed | None, now: float) -> Rejected | Unreachable:
        """What the one that is under way came to without an answer; see `Attempt.unanswered`."""
        said = self.current.unanswered(closed, self.target, now)
        translation = self.target.translation
        if translation is None or not isinstance(said, Rejected) or said.answer is None:
            return said
        return replace(said, answer=translation.error(said.answer))

    def end(self, outcome: Outcome, now: float) -> Iterator[CancelUpstream | Release]:
        """Upstream is let go and the credential given back, so far as they were held."""
        attempt = self.current
        if attempt.open:
            attempt.open = False
            yield CancelUpstream(attempt.number)
        if attempt.credential is not None:
            self.ended += (self._with_usage(self._as_ended(outcome, now)),)
            attempt.credential = None
            yield Release(attempt.number, outcome, attempt.progress, attempt.before)

    def _as_ended(self, outcome: Outcome, now: float) -> Ended:
        one = self.current
        return Ended(
            one.number,
            one.credential or "",
            outcome,
            now,
            self.target.index,
            one.sent_at,
            one.instead,
            one.asked_last,
            one.reason,
        )

    def _with_usage(self, one: Ended) -> Ended:
        attempt = self.current
        if attempt.reading is None:
            return one
        usage, estimated = attempt.used(self._call, whole=isinstance(one.outcome, Completed))
        served = attempt.reading.served
        return structs.replace(one, usage=usage, estimated=estimated, given=attempt.given, served=served)

    def gave_last(self) -> None:
        """The client gets something of the answer of the last attempt that ended after all."""
        *others, last = self.ended
        self.ended = (*others, structs.replace(last, given=True, estimated=True))

    # -- what follows ---------------------------------------------------------------------------------

    def decision(self, now: float) -> Retry | GiveUp:
        """About the last one that ended, a failure."""
        return retry.decide(self._history(self.ended), now)

    def without_other(self) -> Retry | GiveUp | None:
        """What follows where only a credential that the call has not asked would do, and none is free; None
        where others would do as well."""
        decision, self._otherwise = self._otherwise, None
        if isinstance(decision, Retry):
            acquire = rotation.acquire(self.current.number, self._history(self.ended), decision)
            self.acquire = structs.replace(acquire, target=self.target.index)
        return decision

    def without_credential(self, none: NoneFree, now: float) -> AwaitCredential | GiveUp:
        """No credential is free. In line one may be given that was rate-limited."""
        refused = self._given(none.refused) if none.refused else None
        self._none_since = now if self._none_since is None else self._none_since
        history, provider = self._history(self.ended), self.target.provider.name
        decision = exhausted.decide(history, provider, none, now, refused)
        if isinstance(decision, GiveUp):
            return self._in_an_earlier_line(now) or decision
        self.acquire = structs.replace(self.acquire, resting=frozenset())
        return self._in_line(decision)

    def _in_an_earlier_line(self, now: float) -> AwaitCredential | None:
        """The target that is due first of those before this one; each once, since its line may be full."""
        if not self._due:
            return None
        index = min(self._due, key=lambda each: self._due[each])
        none, last = NoneFree(self.current.number, max(self._due.pop(index) - now, 0.0)), self.target.index
        self._go_to(index)
        decision = exhausted.decide(self._history(self.ended), self.target.provider.name, none, now)
        if isinstance(decision, GiveUp):
            self._go_to(last)
            return None
        self._begin(self.current.number + self._was_asked, self.latest)
        self.acquire = Acquire(self.current.number, target=index)
        return self._in_line(decision)

    def await_own(self, none: NoneFree, now: float) -> AwaitCredential | None:
        """Once in a call the credential of its conversation is waited for, where it is due in a moment.

        None: another one is asked for, as `acquire` says now.
        """
        wait = None if self._waited_for_own else exhausted.awaits_own(self._history(self.ended), none, now)
        if wait is None:
            self.acquire = structs.replace(self.acquire, hurried=True)
            return None
        self._waited_for_own = True
        return self._in_line(wait)

    def await_rest(self, none: NoneFree) -> AwaitCredential | None:
        """An answer that was cut is continued by a credential that is due in a moment; its client has the
        beginning, and waits for no other one."""
        due = none.wait is not None and none.wait <= SHORT_WAIT and not none.final
        return self._in_line(Wait(SHORT_WAIT)) if due else None

    def _in_line(self, wait: Wait) -> AwaitCredential:
        return AwaitCredential(self.current.number, self.acquire, wait.seconds)

    def _given(self, refused: StandingRefusal) -> GiveUp:
        """What the client gets where every credential is refused."""
        return GiveUp(answer_of(refused, self._protocol.name), f"every key is refused: {refused.note}")

    def would_follow(self, outcome: Outcome, now: float) -> bool:
        """Whether another one would, if the one that is under way ended so."""
        history = self._history((*self.ended, self._as_ended(outcome, now)))
        return following.follows(history, now, next_on_auth=self.terms.next_on_auth)

    def again(self, decision: Retry) -> None:
        """Another one at the same target; in an outage of several, at the first of them."""
        self._go_to(self._first_away())
        self._begin(self.current.number + 1, self.latest, fresh=decision.fresh)
        self._otherwise = decision.otherwise
        acquire = rotation.acquire(self.current.number, self._history(self.ended), decision)
        self.acquire = structs.replace(acquire, target=self.target.index)

    def skip_to_next(self, now: float, none: NoneFree | None = None) -> bool:
        """Whether the next target of its group is asked, this one having come to nothing.

        `none`: why no credential of this one is free, if that is what it came to.
        """
        refused = none.refused if none else None
        history, on_auth = self._history(self.ended), self.terms.next_on_auth
        kind = refused.refusal.kind if refused else None
        if not self.has_next or not fallback.decide(history, now, next_on_auth=on_auth, refused=kind):
            return False
        if none and none.wait is not None and not (none.final or none.paused or refused):
            self._due[self.target.index] = now + none.wait
        asked = self._was_asked
        self._go_to(self.target.index + 1)
        self._begin(self.current.number + asked, self.latest)
        self.acquire = Acquire(self.current.number, target=self.target.index)
        return True

    def begin_continuation(self) -> None:
        """One that continues an answer: at the next target, else on another key, where there is one. The
        client has the beginning, and waits on."""
        if self.has_next:
            self._go_to(self.target.index + 1)
        former = self.current
        self._begin(self.current.number + 1, inf, fresh=True)
        self.current.before = former.before if former.progress is None else spent(former.progress)
        self.current.said = former.said if former.progress is None else former.progress.characters
        history = self._history(self.ended)
        asked = frozenset(one.credential for one in history.ended)
        self.acquire = Acquire(
            self.current.number, avoid=asked, refused=history.refused, target=self.target.index
        )

    def continuation_delay(self, now: float) -> float | None:
        """Seconds until an attempt for the rest is worth asking again where the last one never connected;
        None if it did, or if the outage lasts too long."""
        lost = retry.outage(self.ended)
        delay = retry.outage_backoff(self._history(self.ended)) if lost else 0.0
        in_time = lost and now + delay <= lost[0].at + self.terms.limits.deadline
        return delay if in_time else None

    @property
    def _was_asked(self) -> bool:
        """Whether the attempt under way has ended, so that the next one has another number."""
        return any(one.number == self.current.number for one in self.ended)

    @property
    def has_next(self) -> bool:
        return self.target.index + 1 < len(self._targets)

    def _first_away(self) -> int:
        """The target that is asked, or where it could not be reached the first one that could not either:
        it may be back sooner."""
        last = {one.target: one.outcome for one in self.ended}
        away = [index for index in sorted(last) if is_away(last[index])]
        return away[0] if self.target.index in away else self.target.index

    def _go_to(self, index: int) -> None:
        if index == self.target.index:
            return
        self.target = self._targets[index]
        self.terms = self.target.terms
        self._former = self._turn_ends = None

    def _begin(self, number: int, latest: float, *, fresh: bool = False) -> None:
        self.current = Attempt(number, fresh, latest, stall=Silence(self.terms.timing.stall))

    def _failing_since(self, ended: tuple[Ended, ...]) -> float | None:
        first = (ended[0].at if ended else None, self._none_since)
        return min((at for at in first if at is not None), default=None)

    def _history(self, ended: tuple[Ended, ...]) -> History:
        terms = self.terms
        return History(
            ended=tuple(one for one in ended if one.target == self.target.index),
            failing_since=self._failing_since(ended),
            elsewhere=tuple(one for one in ended if one.target != self.target.index),
            others_wait=self.has_next,
            turn_ends=self._turn_ends if self.has_next and self._turn_ends is not None else inf,
            limits=terms.limits,
            operation=self._call.operation,
            pooled=terms.pooled,
            acting=self._call.acting,
            former=self._former,
            latest_start=self.latest,
            jitter=terms.jitter,
            host=self.target.origin.authority,
        )
