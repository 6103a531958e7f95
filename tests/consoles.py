"""The console examples of the documents: what a reader types, and what has to come of it.

The blocks of a document that begin with ```console are one session of bash, from the first to the last. A
line that begins with `$ ` is typed; lines below it that are indented by four spaces continue it while it
ends with a backslash. All other lines are its output. In these `...` stands for anything, also over several
lines. A block with the line `<!-- not run: REASON -->` before it is left out.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?P<left><!-- not run: [^\n]+ -->\n)?```console\n(?P<text>.*?)```", re.DOTALL)
_MARK = "--- end of command"
_PATIENCE = 120.0
"""Seconds for all commands of a document."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of an example."""

    command: str
    output: str
    """What it prints, with `...` for anything."""


def examples(text: str) -> list[Typed]:
    """The commands of a document, in order. Raises ValueError for a block that begins with output."""
    return [each for found in _BLOCK.finditer(text) if not found["left"] for each in _commands(found["text"])]


def _commands(block: str) -> Iterator[Typed]:
    before, *parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    if before.strip():
        raise ValueError(f"a console example begins with output: {before.splitlines()[0]}")
    for part in parts:
        lines = part.splitlines()
        end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        yield Typed("\n".join(lines[: end + 1]), "\n".join(lines[end + 1 :]))


def played(typed: list[Typed], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """The output of each command, in one bash in `folder`. Whatever they leave running is ended."""
    script = "\n".join(f"{each.command}\nprintf '%s\\n' {_quoted(_MARK)}" for each in typed)
    bash = shutil.which("bash") or "/bin/bash"
    log = folder / "console.log"
    with log.open("wb") as output:
        shell = subprocess.Popen(
            [bash, "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            shell.wait(_PATIENCE)
        finally:
            with suppress(ProcessLookupError):  # it left nothing running
                os.killpg(shell.pid, signal.SIGTERM)
            shell.wait(_PATIENCE)
    return log.read_text(encoding="utf-8").split(f"{_MARK}\n")[: len(typed)]


def _quoted(text: str) -> str:
    return f"'{text}'"


def fits(expected: str, output: str) -> bool:
    """Whether `output` is what a document says, but for `...` and spaces at ends of lines."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("..."))
    lines = "\n".join(line.rstrip() for line in output.strip().splitlines())
    return re.fullmatch(pattern, lines, re.DOTALL) is not None
