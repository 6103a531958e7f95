"""Keys: from what the config says of them (env:NAME, file:PATH, cmd:COMMAND) to secrets.

No message here holds what stands in the config after the colon, unless it can only be the name of a
variable: people write secrets in the oddest places.
"""

import os
import re
import selectors
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from addons.secrets.owned_file import NotOurs, read_own

LITERAL_KEY = "a literal secret in the file is refused: write env:NAME, file:PATH or cmd:COMMAND"
NOT_EXPANDED = "variables are not filled in here: write env:NAME, without $"
COMMAND_TIMEOUT = 10.0
"""Seconds that a cmd: key may take."""

_LONGEST_KEY = 65_536
_VISIBLE = re.compile(r"[!-~]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*|[A-Za-z_]{1,32}")
_FILE = "file:"
_REFERENCE = re.compile(r"\$(\{[A-Z_][A-Z0-9_]*\}|[A-Z_][A-Z0-9_]*)")


class UnusableKey(Exception):
    """A key that cannot be had or used; the text says why and what to do, never the key."""


def resolve(reference: str, environ: Mapping[str, str], folder: Path) -> SecretStr:
    """The secret that `reference` names; `folder` is where relative paths and commands start.

    Blocks for as long as a command takes, at most COMMAND_TIMEOUT. Raises UnusableKey.
    """
    scheme, colon, argument = reference.partition(":")
    source = _SOURCES.get(scheme + colon)
    if source is None:
        raise UnusableKey(NOT_EXPANDED if _REFERENCE.fullmatch(reference) else LITERAL_KEY)
    if not argument.strip():
        raise UnusableKey("nothing stands after the colon: write env:NAME, file:PATH or cmd:COMMAND")
    return usable(*source(argument.strip(), environ, folder))


def usable(text: str, what: str) -> SecretStr:
    """`text` as a secret, without the white space around it; `what` names its source in errors.

    Raises UnusableKey if it is empty or cannot stand in a header.
    """
    key = text.strip()
    if not key:
        raise UnusableKey(f"{what} is empty: put the key there")
    if not _VISIBLE.fullmatch(key):
        raise UnusableKey(
            f"the key in {what} has white space or characters other than ASCII inside: "
            "leave nothing there but the key"
        )
    return SecretStr(key)


def numbered(variable: str, environ: Mapping[str, str]) -> dict[int, str]:
    """The names of the numbered forms of `variable` that are set, by their number, in its order."""
    form = re.compile(re.escape(variable) + r"_(0|[1-9][0-9]{0,8})")
    found = {int(m[1]): name for name in environ if environ[name].strip() and (m := form.fullmatch(name))}
    return dict(sorted(found.items())) if variable else {}


def unnumbered(variable: str, environ: Mapping[str, str]) -> list[str]:
    """The names of `variable`, and of what is made of it for several keys, that are set and make no pool."""
    form = re.compile(re.escape(variable) + r"(S|_[A-Z])?")
    return sorted(name for name in environ if variable and environ[name].strip() and form.fullmatch(name))


def key_file(reference: str, folder: Path) -> Path | None:
    """The file that a file: key is read from, None for other keys."""
    if not reference.startswith(_FILE):
        return None
    return located(reference.removeprefix(_FILE).strip(), folder)


def located(path: str, folder: Path) -> Path:
    """`path` from `folder`, or from a home directory where it begins with `~`."""
    try:
        return folder / Path(path).expanduser()
    except RuntimeError:  # no such user: then it is a name like any other
        return folder / path


type _Found = tuple[str, str]
"""The text of a key, and how errors name where it was found."""


def _variable(name: str, environ: Mapping[str, str], _folder: Path) -> _Found:
    what = f"environment variable {name}" if _VARIABLE.fullmatch(name) else "the environment variable"
    if name not in environ:
        raise UnusableKey(f"{what} is not set: set it, or take out what names it")
    return environ[name], what


def _file(path: str, _environ: Mapping[str, str], folder: Path) -> _Found:
    try:
        return _decoded(read_own(located(path, folder), _LONGEST_KEY)), "the file"
    except NotOurs as error:
        raise UnusableKey(f"the file {error}") from None
    except (OSError, ValueError) as error:
        raise UnusableKey(
            f"the file cannot be read ({_reason(error)}): create it or correct its path, "
            f"which starts at {folder} unless it is absolute"
        ) from None


def _command(command: str, environ: Mapping[str, str], folder: Path) -> _Found:
    try:
        words = shlex.split(command)
    except ValueError:
        raise UnusableKey("the command has a quote that is not closed: close it") from None
    return _decoded(_output(words, environ, folder)), "the command's output"


def _output(words: list[str], environ: Mapping[str, str], folder: Path) -> bytes:
    """What the command prints. What it says of its failure is not repeated: it may hold the key."""
    end = time.monotonic() + COMMAND_TIMEOUT
    try:
        with subprocess.Popen(  # no shell: nothing in the config is expanded
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=dict(environ),
        ) as process:
            try:
                data = _printed(process, end)
                status = process.wait(max(end - time.monotonic(), 0))
            except (UnusableKey, subprocess.TimeoutExpired):
                process.kill()
                raise
    except subprocess.TimeoutExpired:
        raise UnusableKey(
            f"the command did not end within {COMMAND_TIMEOUT:g} s: run it by hand to see what it waits for"
        ) from None
    except (OSError, ValueError) as error:
        raise UnusableKey(f"the command cannot be run ({_reason(error)}): correct it") from None
    if status:
        raise UnusableKey(f"the command failed with exit status {status}: run it by hand to see why")
    return data


def _printed(process: subprocess.Popen[bytes], end: float) -> bytes:
    """All that it prints until `end`, in monotonic seconds. Raises TimeoutExpired, and UnusableKey if that is
    more than a key can be."""
    data = b""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(max(end - time.monotonic(), 0)):
            more = os.read(process.stdout.fileno(), _LONGEST_KEY)
            if not more:
                return data
            data += more
            if len(data) > _LONGEST_KEY:
                raise UnusableKey(
                    f"the command printed more than {_LONGEST_KEY} bytes: have it print the key alone"
                )
    raise subprocess.TimeoutExpired(process.args, COMMAND_TIMEOUT)


def _decoded(data: bytes) -> str:
    """Bytes that are not ASCII become a character that `usable` refuses."""
    return data.decode("ascii", errors="replace")


def _reason(error: Exception) -> str:
    """Why, in the system's words, which unlike `str(error)` do not hold the path."""
    return (isinstance(error, OSError) and error.strerror) or "not a usable name"


_SOURCES: Mapping[str, Callable[[str, Mapping[str, str], Path], _Found]] = {
    "env:": _variable,
    _FILE: _file,
    "cmd:": _command,
}
