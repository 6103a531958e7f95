"""Keys: from references to secrets, and what is said of those that cannot be had."""

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from addons.secrets.keys import UnusableKey, key_file, located, numbered, resolve, unnumbered

INSIDE = "has white space or characters other than ASCII inside: leave nothing there but the key"


def python(code: str) -> str:
    return f"cmd:{shlex.quote(sys.executable)} -c {json.dumps(code)}"


def refusal(reference: str, environ: Mapping[str, str], folder: Path) -> str:
    with pytest.raises(UnusableKey) as refused:
        resolve(reference, environ, folder)
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("env:WORK_KEY", "key-of-variable"),
        ("env: WORK_KEY ", "key-of-variable"),
        ("file:secrets/spare", "key-of-file"),
        (python("import os; print('key-of-' + os.environ['WHO'])"), "key-of-command"),
        (python("print(open('secrets/spare').read())"), "key-of-file"),
    ],
)
def test_a_key_comes_from_a_variable_a_file_or_a_command(tmp_path: Path, reference: str, key: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/spare").write_text("key-of-file\n")
    secret = resolve(reference, {"WORK_KEY": " key-of-variable\n", "WHO": "command"}, tmp_path)
    assert secret.get_secret_value() == key
    assert key not in repr(secret)


def test_a_command_is_run_without_a_shell(tmp_path: Path) -> None:
    reference = python("import sys; print(sys.argv[1])") + " $HOME;id"
    assert resolve(reference, {"HOME": "/elsewhere"}, tmp_path).get_secret_value() == "$HOME;id"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "sk-ant-api03-Zq7",
            "a literal secret in the file is refused: write env:NAME, file:PATH or cmd:COMMAND",
        ),
        (
            "literal:Zq7",
            "a literal secret in the file is refused: write env:NAME, file:PATH or cmd:COMMAND",
        ),
        ("env:", "nothing stands after the colon: write env:NAME, file:PATH or cmd:COMMAND"),
        ("env:ABSENT", "environment variable ABSENT is not set: set it, or take out what names it"),
        ("env:sk-ant-Zq7", "the environment variable is not set: set it, or take out what names it"),
        ("env:EMPTY", "environment variable EMPTY is empty: put the key there"),
        ("env:TWO_LINES", f"the key in environment variable TWO_LINES {INSIDE}"),
        ("env:ACCENT", f"the key in environment variable ACCENT {INSIDE}"),
        ("file:empty", "the file is empty: put the key there"),
        ("file:bytes", f"the key in the file {INSIDE}"),
        ("cmd:'unclosed", "the command has a quote that is not closed: close it"),
        ("cmd:/absent/command Zq7", "the command cannot be run (No such file or directory): correct it"),
        (python("print(1 / 0)"), "the command failed with exit status 1: run it by hand to see why"),
        (python("pass"), "the command's output is empty: put the key there"),
        (python("print('a b')"), f"the key in the command's output {INSIDE}"),
        ("file:long", "the file is larger than 65536 bytes: shorten it"),
        ("file:shared", "the file can be written by other users (mode 606): chmod go-w it"),
        (
            python("while True: print('k' * 65536)"),
            "the command printed more than 65536 bytes: have it print the key alone",
        ),
        (python("print(chr(233))"), f"the key in the command's output {INSIDE}"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "bytes").write_bytes(b"key\xff")
    (tmp_path / "long").write_bytes(b"k" * 65537)
    (tmp_path / "shared").write_bytes(b"key")
    (tmp_path / "shared").chmod(0o606)
    variables = {"EMPTY": " ", "TWO_LINES": "a\nb", "ACCENT": "clé", "PYTHONIOENCODING": "utf-8"}
    assert refusal(reference, variables, tmp_path) == message


def test_a_file_that_is_absent_names_the_folder_that_paths_start_at(tmp_path: Path) -> None:
    assert refusal("file:secrets/absent", {}, tmp_path) == (
        "the file cannot be read (No such file or directory): create it or correct its path, "
        f"which starts at {tmp_path} unless it is absolute"
    )


def test_a_command_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.secrets.keys.COMMAND_TIMEOUT", 0.2)
    assert refusal(python("import threading; threading.Event().wait()"), {}, tmp_path) == (
        "the command did not end within 0.2 s: run it by hand to see what it waits for"
    )


def test_numbered_variables_are_found_in_the_order_of_their_numbers() -> None:
    names = ["KEY", "KEY_10", "KEY_2", "KEY_02", "KEY_X", "MY_KEY_1", "key_1", "KEY_1_1"]
    assert numbered("KEY", dict.fromkeys(names, "x")) == {2: "KEY_2", 10: "KEY_10"}
    assert numbered("KEY", {"KEY_1": " ", "KEY_2": "x"}) == {2: "KEY_2"}
    assert numbered("", {"_1": "x"}) == {}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [("file:a/b", "/etc/a/b"), ("file:/c", "/c"), ("env:A", None), ("cmd:file:a", None)],
)
def test_the_file_of_a_key(reference: str, expected: str | None) -> None:
    assert key_file(reference, Path("/etc")) == (Path(expected) if expected else None)


def test_a_path_may_begin_at_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert located("~/key", Path("/etc")) == Path("/home/someone/key")
    assert located("~no-such-user/key", Path("/etc")) == Path("/etc/~no-such-user/key")


def test_variables_that_make_no_pool_are_found() -> None:
    environ = {"K": "a", "KS": "b", "K_A": "c", "K_1": "d", "K_FILE": "e", "OTHER": "f"}
    assert unnumbered("K", environ) == ["K", "KS", "K_A"]
    assert unnumbered("K", {"K": " "}) == unnumbered("", {"": "x"}) == []
