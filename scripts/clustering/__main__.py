"""Plays it and prints what each did:

python -m scripts.clustering [--calls N] [--at-once N] [--only ACT ...]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.clustering.acts import ACTS, Played
from scripts.clustering.cluster import Cluster
from scripts.clustering.faults import FAULTS, HEADING, happen
from scripts.clustering.programs import missing
from scripts.clustering.report import aligned, checks, proxies


def acts(names: Sequence[str], calls: int, at_once: int) -> int:
    """Play these; how many of the checks do not hold."""
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, Cluster(Path(name)) as cluster:
        print(f"{cluster.count} proxies, a balancer, a store and a fake provider on loopback")
        for act in names:
            began = time.monotonic()
            played = ACTS[act](cluster, calls, at_once)
            wrong += shown(played, [*cluster.proxies], time.monotonic() - began)
    return wrong


def shown(played: Played, names: Sequence[str], seconds: float) -> int:
    """Print it; how many of its checks do not hold."""
    first = sorted(one.first for one in played.seen if one.first)
    print(f"\n{played.heading} ({seconds:.1f} s)")
    print(*proxies(played.noted, names), *checks(played.checks), sep="\n")
    if first:
        print(
            f"  first byte: half within {first[len(first) // 2] * 1000:.0f} ms, all {first[-1] * 1000:.0f} ms"
        )
    return sum(not one.holds for one in played.checks)


def faults(names: Sequence[str]) -> int:
    """Have these happen; how many of the checks do not hold."""
    found = []
    with (
        tempfile.TemporaryDirectory(prefix="cluster-") as name,
        Cluster(Path(name), faulty=True) as cluster,
    ):
        for number, fault in enumerate(names):
            found.append(happen(cluster, fault, number))
            print(*aligned([HEADING, found[-1].row()]), *checks(found[-1].checks), "", sep="\n", flush=True)
    print(*aligned([HEADING, *(one.row() for one in found)]), sep="\n")
    return sum(not check.holds for one in found for check in one.checks)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/cluster", description="Three proxies that rotate as one.")
    parser.add_argument("--calls", type=int, default=2000, help="of each act (default 2000)")
    parser.add_argument("--at-once", type=int, default=100, help="calls at once (default 100)")
    parser.add_argument("--faults", action="store_true", help="what clients see when something goes wrong")
    parser.add_argument("--only", nargs="+", choices=[*ACTS, *FAULTS], default=[], help="some of them")
    chosen = parser.parse_args(arguments)
    if absent := missing():
        print(f"scripts/cluster: {absent}", file=sys.stderr)
        return 2
    if chosen.faults:
        wrong = faults(chosen.only or list(FAULTS))
    else:
        wrong = acts(chosen.only or list(ACTS), chosen.calls, chosen.at_once)
    print("\nall holds" if not wrong else f"\n{wrong} not as it has to be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
