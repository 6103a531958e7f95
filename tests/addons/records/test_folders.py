"""Folders of traces: for their user alone, through no link, bounded, and nothing of others removed."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from addons.config.tracing import Bounds
from addons.records.folders import PASSES, Folders, file_name

DAY = 24 * 3600.0
BEGAN = 20_000 * DAY  # 2024-10-04
BOUNDS = Bounds(max_bytes=1000, max_calls=3, max_age=DAY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "made" / "traces"


def left(root: Path) -> list[str]:
    return sorted(f"{each.parent.name}/{each.name}" for each in root.glob("*/*"))


def filled(folders: Folders, call: str, time: float, size: int = 10) -> None:
    folders.make(call, time).append(PASSES, b"x" * size, first=True)


def test_a_folder_is_named_by_time_and_call_and_is_its_users_alone(root: Path) -> None:
    made = Folders(root, BOUNDS).make("c0ffee", BEGAN + 3661.5)
    assert left(root) == ["2024-10-04/010101.500000Z-c0ffee"]
    made.append("client.bytes", b"one ", first=True)
    made.append("client.bytes", b"two", first=False)
    file = made.path / "client.bytes"
    assert (file.read_bytes(), made.size) == (b"one two", 7)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(each.stat().st_mode) for each in (root, made.path, made.path.parent)} == {0o700}


@pytest.mark.parametrize(("name", "file"), [("adapter:a/b", "adapter_a_b"), ("a" * 99, "a" * 80), ("ä", "_")])
def test_names_that_files_cannot_have(name: str, file: str) -> None:
    assert file_name(name) == file


def test_a_folder_that_somebody_removed_is_made_again(root: Path) -> None:
    folders = Folders(root, BOUNDS)
    folders.make("c1", BEGAN).path.rmdir()
    (root / "2024-10-04").rmdir()
    root.rmdir()
    folders.make("c2", BEGAN)
    assert [name[-2:] for name in left(root)] == ["c2"]


# -- links ----------------------------------------------------------------------------------------------


def test_no_link_is_followed(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "theirs"
    target.mkdir()
    root.mkdir(parents=True)
    (root / "2024-10-04").symlink_to(target)
    with pytest.raises(OSError, match="2024-10-04 in it is no folder"):
        Folders(root, BOUNDS).make("c", BEGAN)
    assert list(target.iterdir()) == []


def test_no_file_that_is_there_is_written_to(root: Path, tmp_path: Path) -> None:
    made = Folders(root, BOUNDS).make("c", BEGAN)
    (tmp_path / "theirs").write_text("theirs")
    for name in ("client.bytes", PASSES):
        (made.path / name).symlink_to(tmp_path / "theirs")
    with pytest.raises(FileExistsError):
        made.append("client.bytes", b"ours", first=True)
    with pytest.raises(OSError, match="symbolic links"):
        made.append(PASSES, b"ours", first=False)
    assert (tmp_path / "theirs").read_text() == "theirs"


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_day_that_others_can_write_to_is_not_used(root: Path, mode: int) -> None:
    (root / "2024-10-04").mkdir(parents=True)
    (root / "2024-10-04").chmod(mode)
    with pytest.raises(OSError, match="others can write to 2024-10-04"):
        Folders(root, BOUNDS).make("c", BEGAN)


def test_a_root_that_others_can_write_to_is_used_where_they_cannot_rename_in_it(root: Path) -> None:
    root.mkdir(parents=True)
    root.chmod(0o777)
    with pytest.raises(OSError, match="every user can write to it"):
        Folders(root, BOUNDS).make("c", BEGAN)
    root.chmod(0o1777)
    assert Folders(root, BOUNDS).make("c", BEGAN).path.is_dir()


# -- bounds ---------------------------------------------------------------------------------------------


def test_the_oldest_go_first_where_there_are_too_many(root: Path) -> None:
    folders = Folders(root, BOUNDS)
    for number in (2, 1, 3, 4, 5):
        filled(folders, f"c{number}", BEGAN + number)
    folders.prune(BEGAN + 9)
    assert [name[-2:] for name in left(root)] == ["c3", "c4", "c5"]


def test_the_oldest_go_first_where_they_are_too_large(root: Path) -> None:
    folders = Folders(root, BOUNDS)
    for number in (1, 2, 3):
        filled(folders, f"c{number}", BEGAN + number, 400)
    folders.prune(BEGAN + 9)
    assert [name[-2:] for name in left(root)] == ["c2", "c3"]


def test_what_is_too_old_goes_with_its_day(root: Path) -> None:
    folders = Folders(root, BOUNDS)
    filled(folders, "c1", BEGAN - 1)
    filled(folders, "c2", BEGAN + 1)
    folders.prune(BEGAN + DAY)
    assert [each.name for each in root.iterdir()] == ["2024-10-04"]


def test_a_call_whose_folder_went_knows(root: Path) -> None:
    folders = Folders(root, replace(BOUNDS, max_calls=1))
    first, second = folders.make("c1", BEGAN), folders.make("c2", BEGAN + 1)
    folders.prune(BEGAN + 2)
    assert (first.removed, second.removed) == (True, False)


def test_those_of_runs_before_are_counted(root: Path) -> None:
    for number in range(3):
        filled(Folders(root, BOUNDS), f"c{number}", BEGAN + number, 400)
    Folders(root, BOUNDS).prune(BEGAN + 9)
    assert [name[-2:] for name in left(root)] == ["c1", "c2"]


def test_nothing_that_is_not_ours_by_name_is_removed(root: Path, tmp_path: Path) -> None:
    filled(Folders(root, BOUNDS), "c1", BEGAN)
    (ours,) = root.glob("*/*")
    (ours / "notes.txt").write_text("the user's")
    others = [
        root / "2024-10-04" / "notes",
        root / "backup" / "000000.000000Z-c1",
        root / "2024-10-05" / "000000.000000Z-c1-copy of mine",
    ]
    for folder in others:
        folder.mkdir(parents=True)
        (folder / PASSES).write_text("the user's")
    elsewhere = tmp_path / "000000.000001Z-c9"
    elsewhere.mkdir()
    (elsewhere / PASSES).write_text("the user's")
    (root / "2024-10-04" / elsewhere.name).symlink_to(elsewhere)
    (root / "2023-01-01").symlink_to(tmp_path)
    Folders(root, BOUNDS).prune(BEGAN + 9 * DAY)
    assert [each.name for each in ours.iterdir()] == ["notes.txt"]
    assert all((folder / PASSES).exists() for folder in [*others, elsewhere])


def test_a_folder_that_is_gone_is_no_error(root: Path) -> None:
    folders = Folders(root, replace(BOUNDS, max_calls=1))
    first = folders.make("c1", BEGAN)
    folders.make("c2", BEGAN + 1)
    first.path.rmdir()
    folders.prune(BEGAN + 2)
    assert [name[-2:] for name in left(root)] == ["c2"]


def test_what_cannot_be_removed_is_an_error_once(root: Path) -> None:
    folders = Folders(root, replace(BOUNDS, max_calls=1))
    for number in (1, 2):
        filled(folders, f"c{number}", BEGAN + number)
    (folder,) = root.glob("*/*-c1")
    (folder / "client.bytes").mkdir()
    with pytest.raises(OSError, match="directory"):
        folders.prune(BEGAN + 3)
    folders.prune(BEGAN + 3)
