"""Code of providers, from a file or by a registered name; what is wrong with it is one line."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from addons.hooks.loading import Unloadable, code_file, load_hooks
from rewrite.hooks.base import Hooks

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
from rewrite.hooks.base import Hooks

@dataclass
class Note:
    text: str

class Acme(Hooks):
    def read_part(self, part, about):
        return part

class Empty(Hooks):
    pass

class Raising(Acme):
    def __init__(self):
        raise ValueError("secret")

thing = Acme()

class Waiting(Hooks):
    async def prepare_request(self, request, about):
        return request

class Yielding(Hooks):
    def read_part(self, part, about):
        yield part

class Short(Hooks):
    def sign_request(self, request):
        return None

class Data(Hooks):
    read_error = 5
"""


class Registered(Hooks):
    def check_key(self, key: str) -> None:
        return


MISSPELT = """
from rewrite.hooks.base import Hooks

class Acme(Hooks):
    def sign_requst(self, request, key, about):
        return None

    def read_part(self, part, about):
        return self.without_id(part)

    def without_id(self, part):
        return part
"""


def test_a_class_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "quirks.py").write_text(GOOD)
    found = load_hooks("acme", "quirks.py:Acme", tmp_path, {})
    assert found is not None
    assert (found.provider, [*found.points]) == ("acme", ["read_part"])


def test_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "quirks.py").write_text(f"{GOOD}\nFOLDER = {folder!r}\n")
    found = [load_hooks("acme", f"{folder}/quirks.py:Acme", tmp_path, {}) for folder in ("one", "two")]
    modules = [sys.modules[type(each.hooks).__module__] for each in found if each]
    assert [vars(module)["FOLDER"] for module in modules] == ["one", "two"]


def test_a_registered_class() -> None:
    known = {"acme": Registered}
    by_provider, by_name = (load_hooks(*two, Path(), known) for two in (("acme", ""), ("other", "acme")))
    assert by_provider is not None
    assert by_name is not None
    assert (by_provider.provider, by_name.provider) == ("acme", "other")
    assert load_hooks("other", "", Path(), known) is None


def test_an_entry_point_is_loaded_where_it_is_needed() -> None:
    good = EntryPoint("acme", "tests.addons.hooks.test_loading:Registered", "rotator.hooks")
    broken = EntryPoint("broken", "no_such_module:Acme", "rotator.hooks")
    known = {"acme": good, "broken": broken}
    assert load_hooks("acme", "", Path(), known) is not None
    with pytest.raises(Unloadable, match=r"'broken' \(no_such_module:Acme\).*ModuleNotFoundError"):
        load_hooks("acme", "broken", Path(), known)


@pytest.mark.parametrize(
    ("text", "reference", "says"),
    [
        (GOOD, "quirks.py:Acne", "quirks.py has no Acne: define it there"),
        (GOOD, "quirks.py:thing", "quirks.py is a Acme: name a class"),
        (GOOD, "quirks.py:Empty", "the class Empty has none of check_key, prepare_request"),
        (GOOD, "quirks.py:Raising", r"quirks.py line \d+: ValueError: correct it there"),
        ("\nclass Acme(:\n", "quirks.py:Acme", "quirks.py line 2: SyntaxError: invalid syntax"),
        ("\n\nfoo()\n", "quirks.py:Acme", "quirks.py line 3: NameError: name 'foo' is not defined"),
        ("1 / 0", "quirks.py:Acme", "quirks.py line 1: ZeroDivisionError: correct it there"),
        ("class End(BaseException): pass\nraise End", "quirks.py:Acme", "quirks.py line 2: End: correct it"),
        (MISSPELT, "quirks.py:Acme", r"Acme.sign_requst is no hook: did you mean sign_request\?"),
        ("raise SystemExit(3)", "quirks.py:Acme", "quirks.py line 1: SystemExit: correct it there"),
        (GOOD, "quirks.py:Waiting", "Waiting.prepare_request is asynchronous or a generator: define it"),
        (GOOD, "quirks.py:Yielding", "Yielding.read_part is asynchronous or a generator: define it"),
        (GOOD, "quirks.py:Short", "Short.sign_request is called with request and key and about: let it"),
        (GOOD, "quirks.py:Data", "Data.read_error is no method: define it with def"),
        ("", "other.py:Acme", r"other.py: cannot be read \(No such file or directory\): create it"),
        ("", "acme", r"no code is registered as 'acme' \(did you mean acne\?\): install"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, reference: str, says: str) -> None:
    (tmp_path / "quirks.py").write_text(text)
    with pytest.raises(Unloadable, match=says) as error:
        load_hooks("acme", reference, tmp_path, {"acne": Registered})
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "quirks.py"
    file.write_text(GOOD)
    file.chmod(0o666)
    with pytest.raises(Unloadable, match=r"can be written by other users .* chmod go-w"):
        load_hooks("acme", "quirks.py:Acme", tmp_path, {})


def test_the_file_is_found_from_the_folder_of_the_config(tmp_path: Path) -> None:
    assert code_file("quirks.py:Acme", tmp_path) == tmp_path / "quirks.py"
    assert code_file("/srv/quirks.py:Acme", tmp_path) == Path("/srv/quirks.py")
    assert code_file("acme", tmp_path) is None
    assert code_file("", tmp_path) is None
