"""Which files are trusted, and what is said of the others."""

import os
import stat
from pathlib import Path

import pytest

from addons.secrets.owned_file import NotOurs, check, read_own

US, ROOT, OTHER = 1000, 0, 1001


def entry(kind: int, mode: int, owner: int) -> os.stat_result:
    return os.stat_result((kind | mode, 1, 1, 1, owner, owner, 0, 0, 0, 0))


def file(mode: int, owner: int = US) -> os.stat_result:
    return entry(stat.S_IFREG, mode, owner)


def link(owner: int) -> os.stat_result:
    return entry(stat.S_IFLNK, 0o777, owner)


def folder(mode: int = 0o755) -> os.stat_result:
    return entry(stat.S_IFDIR, mode, US)


OURS = file(0o600)


@pytest.mark.parametrize(
    ("name", "target", "around"),
    [
        (OURS, OURS, folder()),
        (file(0o644, ROOT), file(0o644, ROOT), folder()),
        (link(US), file(0o444, ROOT), folder()),
        (link(ROOT), OURS, folder()),
        (OURS, OURS, folder(0o1777)),
        (OURS, OURS, folder(0o775)),
    ],
)
def test_what_we_or_root_wrote_is_trusted(
    name: os.stat_result, target: os.stat_result, around: os.stat_result
) -> None:
    check(name, target, around, US)


@pytest.mark.parametrize(
    ("name", "target", "around", "message"),
    [
        (file(0o664), file(0o664), folder(), "can be written by other users (mode 664): chmod go-w it"),
        (file(0o602), file(0o602), folder(), "can be written by other users (mode 602): chmod go-w it"),
        (link(US), file(0o620), folder(), "can be written by other users (mode 620): chmod go-w it"),
        (
            file(0o600, OTHER),
            file(0o600, OTHER),
            folder(),
            "belongs to another user (uid 1001): chown -h $USER it",
        ),
        (link(OTHER), OURS, folder(), "belongs to another user (uid 1001): chown -h $USER it"),
        (
            link(US),
            file(0o600, OTHER),
            folder(),
            "is a link to a file of another user (uid 1001): chown $USER it",
        ),
        (
            OURS,
            OURS,
            folder(0o777),
            "lies in a folder that every user can write: chmod o-w the folder of it",
        ),
    ],
)
def test_what_others_could_have_written_is_not(
    name: os.stat_result, target: os.stat_result, around: os.stat_result, message: str
) -> None:
    with pytest.raises(NotOurs) as refused:
        check(name, target, around, US)
    assert str(refused.value) == message


def test_a_file_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    path.chmod(0o600)
    assert read_own(path, 4) == b"1234"
    with pytest.raises(NotOurs, match="is larger than 3 bytes: shorten it"):
        read_own(path, 3)
    path.chmod(0o606)
    with pytest.raises(NotOurs, match="can be written by other users"):
        read_own(path, 4)


def test_a_pipe_that_nobody_writes_to_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(NotOurs, match="is not a regular file"):
        read_own(tmp_path / "pipe", 4)


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(path, OTHER, OTHER)
    with pytest.raises(NotOurs, match="belongs to another user"):
        read_own(path, 4)
