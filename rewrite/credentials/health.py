"""Is a provider down, and which of its credentials fails while others serve? For one scope each; pure.

A provider that may be down is asked once more, by a single probe, before calls that have another target keep
away from it: what failed may have been the requests. Times are seconds on a monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

PAUSE_FAILURES, PAUSE_WINDOW = 3, 60.0
PAUSE_SHORTEST, PAUSE_LONGEST = 30.0, 300.0
LONGEST_PROBE = 30.0
"""A probe that takes longer is no reason to keep others away any more."""

STREAK_FAILURES, ASKED_LAST = 3, 60.0
MEMORY = 600.0
"""What is older says nothing any more."""

MOST_SCOPES = 256
"""Of how many scopes something is kept: clients name any models they like."""


@dataclass(frozen=True, slots=True)
class AttemptFailure:
    """An attempt that failed as one does when its provider is down."""

    at: float
    """When it failed."""
    credential: str
    """The name of its credential."""
    witness: str
    """Whose call it was. What one client asks in several ways may have one and the same fault."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider does since its last success."""

    failures: tuple[AttemptFailure, ...] = ()
    """Those within the window, in order."""
    suspected: bool = False
    """Whether they were of several credentials and witnesses, so that a probe has to decide."""
    probe_until: float = 0.0
    """Until when the answer to a probe is waited for."""
    paused_until: float = 0.0
    """Until when calls with another target keep away."""
    pause: float = 0.0
    """How long the last pause was, in seconds."""

    def wait(self, now: float) -> float:
        """Seconds for which calls that have another target keep away."""
        return max(self.paused_until - now, self.probe_until - now, 0.0)

    def wants_probe(self, now: float) -> bool:
        return self.suspected and not self.wait(now)

    def is_old(self, now: float) -> bool:
        last = max((one.at for one in self.failures), default=0.0)
        return max(last, self.paused_until, self.probe_until) < now - MEMORY


HEALTHY = Health()


def probed(health: Health, now: float) -> Health:
    """The next call is the probe."""
    return replace(health, probe_until=now + LONGEST_PROBE)


def undecided(health: Health) -> Health:
    """The probe came to nothing that says anything: another one has to decide."""
    return replace(health, probe_until=0.0)


def paused(health: Health, now: float) -> Health:
    """The probe failed too."""
    pause = min(health.pause * 2, PAUSE_LONGEST) if health.pause else PAUSE_SHORTEST
    return replace(health, probe_until=0.0, paused_until=now + pause, pause=pause)


def worse(health: Health, failure: AttemptFailure) -> Health:
    """One key's, one poisonous request's or one client's failures make no provider suspected."""
    if health.suspected:
        return health
    recent = (*(one for one in health.failures if failure.at - one.at <= PAUSE_WINDOW), failure)
    keys, witnesses = {one.credential for one in recent}, {one.witness for one in recent}
    suspected = len(recent) >= PAUSE_FAILURES and len(keys) > 1 and len(witnesses) > 1
    return replace(health, failures=recent[-MOST_SCOPES:], suspected=suspected)


@dataclass(frozen=True, slots=True)
class Streak:
    """Failures of one credential in a row."""

    failures: int = 0
    """How many there were."""
    others_served: bool = False
    """Whether another credential served meanwhile."""
    at: float = 0.0
    """When the last of them was."""
    last_until: float = 0.0
    """Until when the credential is asked after all others."""


def failed(streak: Streak, now: float) -> Streak:
    """The credential failed again."""
    return _counted(replace(streak, failures=streak.failures + 1, at=now), now)


def overtaken(streak: Streak, now: float) -> Streak:
    """Another credential served."""
    return _counted(replace(streak, others_served=True), now)


def _counted(streak: Streak, now: float) -> Streak:
    is_last = streak.others_served and streak.failures >= STREAK_FAILURES
    return replace(streak, last_until=now + ASKED_LAST) if is_last and streak.last_until <= now else streak


def latest[T](entries: Mapping[str, T]) -> dict[str, T]:
    """Not more than so many, of which the last ones stay."""
    return dict(list(entries.items())[-MOST_SCOPES:])
