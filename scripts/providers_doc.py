"""Writes the names of the built-in providers into docs/routes.md and rotator.example.toml.

`python -m scripts.providers_doc`
"""

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from addons.config.provider_files import built_in

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lists the names: from `before` to `after`, which stay."""

    file: str
    before: str
    after: str
    width: int
    """The longest line, in characters."""
    indent: str = ""
    """What each line of the list begins with."""


PLACES = (
    Place("docs/routes.md", "Built in:\n", "\n\nTheir files", 130),
    Place("rotator.example.toml", "# Built in:\n", "\n# Their hosts", 110, "# "),
)


def documents(names: Iterable[str], root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each file that lists the names, with its text as it has to be."""
    for place in PLACES:
        path = root / place.file
        yield path, listed(path.read_text(encoding="utf-8"), place, ", ".join(sorted(names)) + ".")


def listed(text: str, place: Place, names: str) -> str:
    """`text` with these names in their place. Raises ValueError where it has no such place."""
    wrapper = textwrap.TextWrapper(place.width, place.indent, place.indent, break_on_hyphens=False)
    pattern = f"(?<={re.escape(place.before)}).*?(?={re.escape(place.after)})"
    written, count = re.subn(pattern, lambda _: wrapper.fill(names), text, count=1, flags=re.DOTALL)
    if not count:
        raise ValueError(f"{place.file} has no {place.before!r} before {place.after!r}")
    return written


if __name__ == "__main__":
    for path, text in documents(built_in()):
        path.write_text(text, encoding="utf-8")
