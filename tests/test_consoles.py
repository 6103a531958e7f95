"""What the documents say that a command prints is what it prints."""

import os
import re
import sys
from pathlib import Path

import pytest

from tests.consoles import Typed, examples, fits, played
from tests.test_scripts import free_port

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_EXAMPLES = [each for each in DOCUMENTS if examples(each.read_text(encoding="utf-8"))]
PORT = "9911"
"""Of the fake provider in all examples. Each test takes a free one."""


@pytest.mark.parametrize("document", WITH_EXAMPLES, ids=lambda path: path.name)
def test_its_examples_do_what_it_says(document: Path, tmp_path: Path) -> None:
    text = document.read_text(encoding="utf-8").replace(PORT, str(free_port()))
    typed = examples(text)
    given(text, tmp_path)
    outputs = played(typed, tmp_path, environment(tmp_path))
    wrong = [
        f"$ {each.command}\n{output}\n--- where the document has:\n{each.output}"
        for each, output in zip(typed, outputs, strict=True)
        if not fits(each.output, output)
    ]
    assert not wrong, "\n".join(wrong)


def given(text: str, folder: Path) -> None:
    """The example of a config that comes before the first command stands beside the reader."""
    config = re.search(r"```toml\n(.*?)```", text.split("```console", maxsplit=1)[0], re.DOTALL)
    if config:
        (folder / "rotator.toml").write_text(config[1], encoding="utf-8")
        (folder / "rotator.toml").chmod(0o600)
    command(folder / "bin" / "rotator", f"exec {sys.executable} -P {ROOT}/rotator/__main__.py")
    command(folder / "scripts" / "vendor", f"cd {ROOT} && exec {sys.executable} -m tests.vendor")


def command(path: Path, line: str) -> None:
    """One that does what the script of that name does, once all is installed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n{line} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    """That of somebody who has the command and nothing else."""
    kept = {name: os.environ[name] for name in ("LANG", "ROTATOR_SDKS") if name in os.environ}
    return {
        **kept,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "COLUMNS": "100",
    }


def test_a_command_may_go_over_lines_and_its_output_may_have_gaps() -> None:
    text = "a\n```console\n$ one \\\n    two\nout\n$ three &\n```\n```console\n$ four\na ... d\n```\n"
    assert examples(text) == [Typed("one \\\n    two", "out"), Typed("three &", ""), Typed("four", "a ... d")]
    assert fits("a ... d", "a b\nc d  \n")
    assert not fits("a ... d", "a b c")
    assert not fits("", "said")


def test_a_block_that_is_left_out_says_why() -> None:
    text = "<!-- not run: it takes a minute -->\n```console\n$ one\n```\n"
    assert examples(text) == []
    with pytest.raises(ValueError, match="begins with output: said"):
        examples("```console\nsaid\n```\n")
