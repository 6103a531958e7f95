"""Plays the suite and prints it: python -m scripts.faulttable [--all] [--only S6 ...] [--protocol NAME]"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.faulttable.bare import bare_bench
from scripts.faulttable.report import Line, table
from scripts.sdks import SdkMissing, interpreter
from tests.e2e.suite.bench import Cell, bench, cells_of
from tests.e2e.suite.rows import ELSEWHERE, PROTOCOLS, ROWS
from tests.e2e.translation.clients import CLIENTS, Client

PATIENCE = 12.0
"""Seconds after which a client has to give up; rotator's timers are shorter where a row is silent."""


def played(cells: Sequence[Cell]) -> list[Line]:
    """All cells, through both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with bare_bench(folder, cells, PATIENCE) as bare, bench(folder, cells, PATIENCE) as ours:
            return [Line(cell, bare.play(cell), ours.play(cell)) for cell in cells]


def report(cells: Sequence[Cell]) -> int:
    """Print the table; the exit status."""
    lines = played(cells)
    ids = {cell.row.id for cell in cells}
    print(*table(lines, ELSEWHERE if ids >= {row.id for row in ROWS} else ()), sep="\n")
    wrong = sum(bool(line.wrong) for line in lines)
    print(f"{len(lines) - wrong} of {len(lines)} as expected")
    return 1 if wrong or not lines else 0


def clients(protocols: Sequence[str], *, every: bool) -> list[Client]:
    """Those whose SDK is there: all, or the newest of each protocol."""
    found = [client for client in CLIENTS if client.protocol in protocols and _is_there(client)]
    newest = {client.protocol: client for client in reversed(found)}
    return found if every else [newest[protocol] for protocol in PROTOCOLS if protocol in newest]


def _is_there(client: Client) -> bool:
    try:
        interpreter(client.sdk)
    except SdkMissing as missing:
        print(f"left out: {missing}", file=sys.stderr)
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/faults", description="Every fault of a provider, as SDKs see it."
    )
    parser.add_argument("--all", action="store_true", help="every SDK, and asynchronous use of it")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="rows by their place, such as S6")
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    chosen = parser.parse_args()
    rows = [row for row in ROWS if not chosen.only or row.id in chosen.only]
    who = clients(chosen.protocol, every=chosen.all)
    return report(cells_of(rows, who, *([] if chosen.all else [("raw",)])))


if __name__ == "__main__":
    sys.exit(main())
