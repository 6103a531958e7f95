"""Numbers of a run, and what they say: flat memory, nothing left, no corrupt frame."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression, median

WARM_UP = 4_000
"""Calls that are not looked at: imports, caches, and the allocator's first sizes. Counted in calls, since a
busy machine takes longer for them."""

JUDGED = 4_000
"""Calls after the warm-up that memory is judged by, at least."""

STEEPEST = 2.0
"""MB of resident memory a minute; a stream that were kept whole would be some hundred a minute."""

LARGEST_GROWTH = 8.0
"""MB between the medians of the first and the last third after the warm-up."""


NOISE = 2.0
"""MB that the allocator takes and gives back: no slope is seen in less."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the proxy's process: `at` in seconds from the start, resident memory in MB, and counts."""

    at: float
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


def after_warm_up(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.calls >= WARM_UP]


def steepness(samples: Sequence[Sample]) -> float:
    """MB a minute, by least squares."""
    return linear_regression([one.at / 60 for one in samples], [one.resident for one in samples]).slope


def growth(samples: Sequence[Sample]) -> float:
    """MB from the first third to the last."""
    third = max(len(samples) // 3, 1)
    first, last = samples[:third], samples[-third:]
    return median(one.resident for one in last) - median(one.resident for one in first)


def of_memory(samples: Sequence[Sample]) -> Iterator[str]:
    """What speaks against flat memory; nothing, if it is flat."""
    warm = after_warm_up(samples)
    calls = samples[-1].calls if samples else 0
    if calls < WARM_UP + JUDGED or len(warm) < 3:
        yield f"too few calls to judge memory by: {calls} of {WARM_UP + JUDGED}"
    elif growth(warm) > LARGEST_GROWTH:
        yield f"memory grew by {growth(warm):.1f} MB (bound {LARGEST_GROWTH:g})"
    elif steepness(warm) > STEEPEST and growth(warm) > NOISE:
        yield f"memory grows by {steepness(warm):.2f} MB a minute (bound {STEEPEST:g})"


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
