"""Adapters by name: a file in the package is enough, and no two have one name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rewrite.adapters import override_model
from rewrite.adapters.chain import parse_adapters
from rewrite.adapters.registry import discover
from tests.rewrite.adapters.bodies import CHAT

SHOUT = """
from dataclasses import dataclass
from typing import ClassVar

from rewrite.adapters.base import Factory, Unchanged


@dataclass(frozen=True, slots=True)
class Shout(Unchanged):
    name: ClassVar[str] = "shout"
    words: str

    def request(self, body, context):
        return {**body, "words": self.words.upper()}


ADAPTER = Factory(Shout.name, lambda options: Shout(options.text("words")), ("words",))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new package of a name of its own."""
    folder = tmp_path / f"adapters_of_{tmp_path.name}"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    discover.cache_clear()


def test_every_adapter_of_the_package_is_found() -> None:
    found = discover()
    assert {name for name, factory in found.items() if factory.name == name} == set(found)
    assert found["override_model"] is override_model.ADAPTER
    files = Path(override_model.__file__).parent.glob("*.py")
    assert set(found) == {file.stem for file in files if "\nADAPTER = " in file.read_text()}


def test_a_file_in_a_package_is_enough(package: Path) -> None:
    (package / "helper.py").write_text("NOTHING = 1\n")
    (package / "shout.py").write_text(SHOUT)
    found = discover(package.name)
    assert list(found) == ["shout"]
    (shout,) = parse_adapters([{"name": "shout", "words": "hey"}], found)
    assert shout.request({"a": 1}, CHAT) == {"a": 1, "words": "HEY"}


def test_a_name_that_is_taken_is_refused(package: Path) -> None:
    for file in ("one.py", "two.py"):
        (package / file).write_text(SHOUT)
    with pytest.raises(ValueError, match="adapter name 'shout' is taken"):
        discover(package.name)
