"""Runs the table and prints the matrix: python -m scripts.agentkit [--only AGENT] [--scenario GLOB]"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.agentkit import install, report
from scripts.agentkit.run import run
from scripts.agentkit.scenarios import ROWS, Row, chosen
from scripts.agentkit.verdict import Result


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 if every row that was chosen is ok, 2 if none was."""
    options = _parser().parse_args(arguments)
    rows = chosen(ROWS, options.only, options.scenario)
    if not rows:
        print("rotator: no agent and scenario match: see scripts/agents --list", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{row.agent.name} {row.scenario}" for row in rows))
        return 0
    return _run_all(rows, options.keep)


def _run_all(rows: Sequence[Row], keep: Path | None) -> int:
    versions, missing = _prepared(rows)
    results = []
    for row in rows:
        result = _run_one(row, missing.get(row.agent.package.program, ""), keep)
        results.append(result)
        print(report.line(result), flush=True)
    print(f"\n{report.matrix(results, versions)}")
    return int(any(result.reason for result in results))


def _prepared(rows: Sequence[Row]) -> tuple[dict[str, str], dict[str, str]]:
    """Versions by agent, and for programs that are missing the reason."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for package in dict.fromkeys(row.agent.package for row in rows):
        try:
            if not install.installed(package):
                print(f"installing {package.name} {package.version}", flush=True)
                install.install(package)
            said = install.said_version(package)
        except install.NotInstalled as reason:
            missing[package.program] = f"not installed: {reason}"
            continue
        versions |= {row.agent.name: said for row in rows if row.agent.package == package}
    return versions, missing


def _run_one(row: Row, missing: str, keep: Path | None) -> Result:
    if missing:
        return Result(row.agent.name, row.scenario, missing)
    with _folder(row, keep) as folder:
        return run(row, install.program(row.agent.package), folder)


@contextmanager
def _folder(row: Row, keep: Path | None) -> Iterator[Path]:
    if keep is None:
        # What an agent leaves running may still write there while it is cleared away.
        with tempfile.TemporaryDirectory(prefix="agents-", ignore_cleanup_errors=True) as made:
            yield Path(made)
        return
    kept = keep.absolute() / row.name
    kept.mkdir(parents=True)
    yield kept


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/agents")
    parser.add_argument(
        "--only", action="append", default=[], metavar="AGENT", help="a name or glob, repeatable"
    )
    parser.add_argument("--scenario", action="append", default=[], metavar="GLOB", help="repeatable")
    parser.add_argument("--list", action="store_true", help="print what would be run")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="leave each run's files in a new folder there"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
