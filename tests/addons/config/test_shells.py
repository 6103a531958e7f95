"""Lines that shells take: by the shells themselves, where they are installed."""

import os
import shutil
import subprocess

import pytest

from addons.config.shells import Shell, removing, setting, shell_of

AWKWARD = {
    "ONE": "/a folder/with 'quotes' and \"more\"",
    "TWO": "$HOME `id` \\ \\n \\' !x * ~ #",
    "THREE": "",
    "FOUR": "a\u2019b %PATH% (x); y & z | é",
}
SHOW = "env -0"


def variables(shell: str, script: str) -> dict[str, str]:
    """What a child of that shell has in its environment after the script."""
    if not (program := shutil.which(shell)):
        pytest.skip(f"{shell} is not installed")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, "-c", f"{script}\n{SHOW}"], env=environment, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


@pytest.mark.parametrize("shell", [Shell.BASH, Shell.ZSH, Shell.FISH])
def test_a_shell_takes_any_value(shell: Shell) -> None:
    got = variables(shell, "\n".join(setting(shell, AWKWARD)))
    assert {name: got[name] for name in AWKWARD} == AWKWARD


@pytest.mark.parametrize("shell", [Shell.BASH, Shell.ZSH, Shell.FISH])
def test_a_shell_removes_them(shell: Shell) -> None:
    lines = (*setting(shell, AWKWARD), *removing(shell, (*AWKWARD, "NEVER_SET")))
    assert not set(AWKWARD) & set(variables(shell, "\n".join(lines)))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (r"C:\Users\me", r"$env:X = 'C:\Users\me'"),
        ('$a `b "c"', "$env:X = '$a `b \"c\"'"),
        ("it's", "$env:X = 'it''s'"),
        ("it\u2019s \u201bso", "$env:X = 'it\u2019\u2019s \u201b\u201bso'"),
    ],
)
def test_powershell_takes_all_in_single_quotes(value: str, line: str) -> None:
    assert list(setting(Shell.POWERSHELL, {"X": value})) == [line]


def test_powershell_removes_without_an_error() -> None:
    assert list(removing(Shell.POWERSHELL, ["X"])) == ["Remove-Item Env:X -ErrorAction SilentlyContinue"]


@pytest.mark.parametrize(
    ("path", "shell"),
    [
        ("/bin/zsh", Shell.ZSH),
        ("/usr/local/bin/fish", Shell.FISH),
        ("/usr/bin/pwsh", Shell.POWERSHELL),
        ("/bin/bash", Shell.BASH),
        ("/bin/dash", Shell.BASH),
        ("", Shell.BASH),
    ],
)
def test_the_shell_of_a_path(path: str, shell: Shell) -> None:
    assert shell_of(path) is shell
