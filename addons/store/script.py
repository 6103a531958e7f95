"""Scripts that the store runs, each of them whole or not at all: the files of the folder `lua`."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

_FOLDER = files("addons.store") / "lua"
_SUFFIX = ".lua"


@dataclass(frozen=True, slots=True)
class Script:
    """One of them. It never answers nil, by which an answer would look like none."""

    name: str
    text: str
    sha: str
    """By which a server that has loaded it knows it: SHA-1 of the text, as hexadecimal digits."""


def script(name: str) -> Script:
    """The one in the file `lua/NAME.lua`."""
    text = (_FOLDER / f"{name}{_SUFFIX}").read_text("utf-8")
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def scripts() -> list[Script]:
    """All that there are."""
    names = [each.name.removesuffix(_SUFFIX) for each in _FOLDER.iterdir() if each.name.endswith(_SUFFIX)]
    return [script(name) for name in sorted(names)]
