"""Numbers of a run, and what they say: flat memory, nothing left, no corrupt frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

WARM_UP = 4_000
"""Calls that are not looked at: imports, caches, and the allocator's first sizes. Counted in calls, since a
busy machine takes longer for them."""

JUDGED = 4_000
"""Calls after the warm-up that memory is judged by, at least."""

LARGEST_GROWTH = 8.0
"""MB from the end of the warm-up to the end; a stream that were kept whole would be some hundred a minute.
Both are read when all clients have left: while they are there, memory is what is on its way to them, up to
3 MB for each of the large answers, of which there are ten at a time or fifty."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the proxy's process: resident memory in MB, and counts."""

    resident: float
    descriptors: int
    tasks: int
    calls: int


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is there when all clients are gone, or was before they came. `idle`: connections to the provider
    that are kept for the next call."""

    descriptors: int
    tasks: int
    calls: int
    idle: int


def growth(rests: Sequence[Sample]) -> float:
    """MB from the first rest to the last."""
    return rests[-1].resident - rests[0].resident


def of_memory(rests: Sequence[Sample]) -> Iterator[str]:
    """What speaks against flat memory, by what was there at each rest; nothing, if it is flat."""
    warm = [rest for rest in rests if rest.calls >= WARM_UP]
    judged = warm[-1].calls - warm[0].calls if warm else 0
    if judged < JUDGED:
        yield f"too few calls to judge memory by: {judged} of {JUDGED} after {WARM_UP}"
    elif growth(warm) > LARGEST_GROWTH:
        yield f"memory grew by {growth(warm):.1f} MB (bound {LARGEST_GROWTH:g})"


def of_leftovers(before: Leftovers, after: Leftovers, streams: int) -> Iterator[str]:
    """What is left of calls that are over, when never more than `streams` clients asked at once."""
    if after.idle > streams:
        yield f"{after.idle} connections to the provider are kept, more than there were streams at once"
    if after.calls:
        yield f"{after.calls} objects of calls that are over are left"
    if after.tasks > before.tasks:
        yield f"{after.tasks - before.tasks} tasks are left"
    if (more := after.descriptors - after.idle - before.descriptors + before.idle) > 0:
        yield f"{more} sockets or files are left"


def minute(number: int, samples: Sequence[Sample], calls: int) -> str:
    """A line of the table."""
    if not samples:
        return f"{number:>6}{calls:>9}"
    resident = fmean(one.resident for one in samples)
    most = (max(getattr(one, name) for one in samples) for name in ("resident", "descriptors", "tasks"))
    top, descriptors, tasks = most
    return f"{number:>6}{calls:>9}{resident:>11.1f}{top:>11.1f}{descriptors:>13}{tasks:>8}"


HEADING = f"{'minute':>6}{'calls':>9}{'MB, mean':>11}{'MB, most':>11}{'descriptors':>13}{'tasks':>8}"
