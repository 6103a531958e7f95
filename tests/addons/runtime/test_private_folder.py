import os
from pathlib import Path

import pytest

from addons.runtime.private_folder import make_private


@pytest.fixture
def _no_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_no_umask")
def test_what_is_made_is_for_its_user_alone_and_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    make_private(tmp_path / "there" / "a" / "b")
    make_private(tmp_path / "there" / "a" / "b")
    made = [tmp_path / "there" / "a" / "b", tmp_path / "there" / "a", tmp_path / "there"]
    assert [each.stat().st_mode & 0o777 for each in made] == [0o700, 0o700, 0o777]


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_private(tmp_path / "file" / "a")
