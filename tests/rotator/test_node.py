"""Which Node runs a tool, and what is said of it."""

import os
from pathlib import Path

import pytest

from rotator.node import Version, node_of, uses_proxy, warning


@pytest.mark.parametrize(
    ("version", "uses"),
    [
        ((18, 20, 8), False),
        ((20, 20, 2), False),
        ((22, 20, 0), False),
        ((22, 21, 0), True),
        ((23, 11, 1), False),
        ((24, 0, 0), True),
        ((25, 1, 0), True),
    ],
)
def test_which_versions_take_a_proxy_from_the_environment(version: Version, uses: bool) -> None:
    assert uses_proxy(version) is uses


def program(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o755)
    return file


def test_the_node_of_a_script_is_that_of_path(tmp_path: Path) -> None:
    node = program(tmp_path / "node", "#!/bin/sh\necho v20.1.2\n")
    tool = program(tmp_path / "tool", "#!/usr/bin/env node\n")
    other = program(tmp_path / "other", "#!/usr/bin/env python3\n# node\n")
    assert node_of(tool, str(tmp_path)) == node_of(node, "") == node
    assert node_of(other, str(tmp_path)) is None
    assert node_of(tmp_path / "nothing", str(tmp_path)) is None
    said = warning(tool, os.pathsep.join((str(tmp_path), os.defpath)))
    assert said.startswith(f"Node 20.1.2 ({node}) takes no proxy from the environment, so the calls of tool")
    assert "use Node 24, or 22.21 or later of Node 22" in said


def test_nothing_is_said_of_a_tool_that_reads_the_variable_itself(tmp_path: Path) -> None:
    program(tmp_path / "node", "#!/bin/sh\necho v20.1.2\n")
    assert warning(program(tmp_path / "gemini", "#!/usr/bin/env node\n"), str(tmp_path)) == ""


@pytest.mark.parametrize("says", ["echo v24.1.0", "echo v22.21.0", "echo what", "exit 1"])
def test_nothing_is_said_of_another(tmp_path: Path, says: str) -> None:
    program(tmp_path / "node", f"#!/bin/sh\n{says}\n")
    assert warning(tmp_path / "node", "") == ""
