"""Lines that set and remove environment variables, in the language of each shell."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath

from addons.config.client_variables import REMOVED


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@dataclass(frozen=True, slots=True)
class Language:
    set: str
    """A line that sets `{name}` to the quoted `{value}`, for the shell's children too."""
    unset: str
    """A line that removes `{name}`, and says nothing where it is not there."""
    quote: Callable[[str], str]
    """A word of any text."""


def _quote_fish(text: str) -> str:
    return "'" + re.sub(r"([\\'])", r"\\\1", text) + "'"


def _quote_powershell(text: str) -> str:
    """Typographic quotes end its strings like the plain one, and each is doubled to be meant."""
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", text) + "'"


_POSIX = Language("export {name}={value}", "unset {name}", shlex.quote)
LANGUAGES: Mapping[Shell, Language] = {
    Shell.BASH: _POSIX,
    Shell.ZSH: _POSIX,
    Shell.FISH: Language("set -gx {name} {value}", "set -e {name}", _quote_fish),
    Shell.POWERSHELL: Language(
        "$env:{name} = {value}",
        "Remove-Item Env:{name} -ErrorAction SilentlyContinue",
        _quote_powershell,
    ),
}


def setting(shell: Shell, variables: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable."""
    language = LANGUAGES[shell]
    for name, value in variables.items():
        yield language.set.format(name=name, value=language.quote(value))


def removing(shell: Shell, names: Iterable[str]) -> Iterator[str]:
    """A line for each name."""
    for name in names:
        yield LANGUAGES[shell].unset.format(name=name)


def pasted(shell: Shell, variables: Mapping[str, str]) -> Iterator[str]:
    """What a user pastes to send tools through the proxy."""
    yield from setting(shell, variables)
    yield from removing(shell, REMOVED)


def shell_of(path: str) -> Shell:
    """The shell that a path such as $SHELL names; one that we do not know is taken for bash."""
    name = PurePath(path).stem.lower()
    return {"zsh": Shell.ZSH, "fish": Shell.FISH, "pwsh": Shell.POWERSHELL}.get(name, Shell.BASH)
