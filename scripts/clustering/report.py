"""What a cluster did, as text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scripts.clustering.client import Seen
from scripts.clustering.provider import Noted


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold."""

    name: str
    found: str
    holds: bool


def answered(seen: Sequence[Seen], least: int) -> Check:
    """Whether each of at least so many clients got its whole answer."""
    faults = [one.fault for one in seen if one.fault]
    found = f"{len(seen) - len(faults)} of {len(seen)}" + (f", others: {_most(faults)}" if faults else "")
    return Check("calls answered in whole", found, not faults and len(seen) >= least)


def _most(faults: Sequence[str]) -> str:
    return "; ".join(f"{number} x {fault}" for fault, number in Counter(faults).most_common(3))


def checks(found: Sequence[Check]) -> Iterator[str]:
    """A line each."""
    width = max(len(one.name) for one in found)
    return (
        f"  {one.name:<{width}}  {one.found}{'' if one.holds else '   <- not as it has to be'}"
        for one in found
    )


def proxies(noted: Sequence[Noted], names: Sequence[str]) -> Iterator[str]:
    """What each proxy did: its requests by key, and how often it was refused."""
    by_key = Counter((one.proxy, one.key) for one in noted)
    limited = Counter(one.proxy for one in noted if one.limited)
    for name in names:
        counts = [(key, number) for (proxy, key), number in sorted(by_key.items()) if proxy == name]
        total = sum(number for _, number in counts)
        keys = " ".join(f"{key.rpartition('-')[2]}:{number}" for key, number in counts)
        yield f"  {name}  {total:>5} requests, {limited[name]:>2} x 429   by key  {keys}"


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as columns of one width each."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
