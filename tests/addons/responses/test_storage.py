"""Where kept responses are: the same in memory and in a folder, and a folder outlives the proxy."""

import os
import resource
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from addons.responses.storage import Folder, Keeper, Memory, StateError, Storage, keeper_at
from rewrite.responses.store import Bounds, Stored, sized

SCOPE, OTHER = "0a1b2c3d4e5f-openai", "anonymous-openai"


def stored(number: int, scope: str = SCOPE, created: float = 1_000.0, text: str = "hi") -> Stored:
    name = f"resp_rot{number:024x}"
    response = {"id": name, "status": "completed", "output": [{"type": "message", "content": text}]}
    return sized(Stored(name, scope, None, "gpt-5", "anthropic", ({"id": "m"},), response, created))


class Clock:
    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "folder"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    return Memory() if request.param == "memory" else Folder(tmp_path)


def file_of(folder: Path, one: Stored) -> Path:
    return folder / "responses" / one.scope / f"{one.id}.json"


# -- both -------------------------------------------------------------------------------------------------


def test_what_is_kept_is_found(keeper: Keeper) -> None:
    state = Storage(keeper, Clock())
    state.keep(stored(1))
    assert state.find(SCOPE, stored(1).id) == stored(1)
    assert state.find(SCOPE, stored(2).id) is None


def test_ids_do_not_mix_between_scopes(keeper: Keeper) -> None:
    state = Storage(keeper, Clock())
    state.keep(stored(1))
    assert state.find(OTHER, stored(1).id) is None
    assert not state.remove(OTHER, stored(1).id)
    assert state.find(SCOPE, stored(1).id) is not None


def test_what_is_removed_is_gone(keeper: Keeper) -> None:
    state = Storage(keeper, Clock())
    state.keep(stored(1))
    assert state.remove(SCOPE, stored(1).id)
    assert not state.remove(SCOPE, stored(1).id)
    assert state.find(SCOPE, stored(1).id) is None


def test_an_id_that_is_not_ours_is_nowhere(keeper: Keeper) -> None:
    state = Storage(keeper, Clock())
    assert state.find(SCOPE, "../../x") is None
    assert not state.remove(SCOPE, "../../x")


def test_the_same_id_is_kept_once(keeper: Keeper) -> None:
    state = Storage(keeper, Clock(), Bounds(max_count=2))
    for one in (stored(1), stored(2), stored(2, text="again")):
        state.keep(one)
    assert state.find(SCOPE, stored(1).id) is not None
    assert state.find(SCOPE, stored(2).id) == stored(2, text="again")


def test_what_is_too_old_is_gone(keeper: Keeper) -> None:
    clock = Clock()
    state = Storage(keeper, clock, Bounds(ttl=60.0))
    state.keep(stored(1))
    clock.now += 59.0
    assert state.find(SCOPE, stored(1).id) is not None
    clock.now += 1.0
    assert state.find(SCOPE, stored(1).id) is None
    assert keeper.read(SCOPE, stored(1).id) is None


def test_a_clock_that_jumps_ahead_and_back_costs_nothing(keeper: Keeper) -> None:
    clock = Clock()
    state = Storage(keeper, clock, Bounds(ttl=3600.0))
    state.keep(stored(1))
    clock.now += 1_000_000.0
    state.keep(stored(2))
    found = [state.find(SCOPE, stored(number).id) for number in (1, 2)]
    clock.now -= 1_000_000.0
    assert found == [state.find(SCOPE, stored(number).id) for number in (1, 2)] == [stored(1), stored(2)]


def test_what_is_used_stays_longer_than_what_is_not(keeper: Keeper) -> None:
    clock = Clock()
    state = Storage(keeper, clock, Bounds(max_count=2))
    for number in (1, 2):
        clock.now += 1
        state.keep(stored(number, created=clock.now))
    clock.now += 1
    state.find(SCOPE, stored(1).id)
    state.keep(stored(3, created=clock.now))
    assert [keeper.read(SCOPE, stored(n).id) is not None for n in (1, 2, 3)] == [True, False, True]


def test_one_that_is_too_large_costs_no_other_its_place(keeper: Keeper) -> None:
    state = Storage(keeper, Clock(), Bounds(max_bytes=2 * stored(1).size))
    state.keep(stored(1))
    state.keep(stored(2, text="x" * 10_000))
    assert state.find(SCOPE, stored(1).id) is not None
    assert state.find(SCOPE, stored(2).id) is None


def test_other_bounds_hold_at_once(keeper: Keeper) -> None:
    state = Storage(keeper, Clock())
    state.keep(stored(1))
    state.configure(Bounds(max_count=0))
    assert keeper.read(SCOPE, stored(1).id) is None


# -- a folder ---------------------------------------------------------------------------------------------


def test_a_folder_outlives_the_proxy(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    assert Storage(Folder(tmp_path), Clock()).find(SCOPE, stored(1).id) == stored(1)


def test_a_run_that_begins_with_a_wrong_clock_costs_nothing(tmp_path: Path) -> None:
    bounds = Bounds(ttl=3600.0)
    Storage(Folder(tmp_path), Clock(), bounds).keep(stored(1))
    Storage(Folder(tmp_path), Clock(1_000_000.0), bounds).keep(stored(2))
    assert Storage(Folder(tmp_path), Clock(), bounds).find(SCOPE, stored(1).id) == stored(1)


def test_limits_hold_for_what_an_earlier_run_left(tmp_path: Path) -> None:
    first = Storage(Folder(tmp_path), Clock())
    for number in (1, 2, 3):
        first.keep(stored(number, created=1_000.0 + number))
    keeper = Folder(tmp_path)
    Storage(keeper, Clock(1_010.0), Bounds(ttl=9.0, max_count=1))
    assert [keeper.read(SCOPE, stored(n).id) is not None for n in (1, 2, 3)] == [False, False, True]


def test_files_are_their_owners_alone(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    file = file_of(tmp_path, stored(1))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _of_another_scope(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(SCOPE.encode(), OTHER.encode()))


@pytest.mark.parametrize("breaking", [_cut, _emptied, _of_another_scope])
def test_a_broken_file_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, breaking: Callable[[Path], None]
) -> None:
    first = Storage(Folder(tmp_path), Clock())
    first.keep(stored(1))
    first.keep(stored(2))
    breaking(file_of(tmp_path, stored(1)))
    state = Storage(Folder(tmp_path), Clock())
    assert state.find(SCOPE, stored(1).id) is None
    assert f"{stored(1).id}.json: does not hold the response" in caplog.text
    assert state.find(SCOPE, stored(2).id) == stored(2)


def test_what_was_never_finished_is_cleared_away(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    left = file_of(tmp_path, stored(2)).with_suffix(".part")
    left.write_bytes(b'{"form":')
    Storage(Folder(tmp_path), Clock())
    assert not left.exists()
    assert file_of(tmp_path, stored(1)).exists()


def test_a_file_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    other = file_of(tmp_path, stored(1)).with_name("notes.json")
    other.write_text("mine")
    Storage(Folder(tmp_path), Clock(), Bounds(ttl=0.0))
    assert other.read_text() == "mine"
    assert not file_of(tmp_path, stored(1)).exists()


def test_no_other_file_is_written_through_a_link(tmp_path: Path) -> None:
    keeper = Folder(tmp_path)
    other = tmp_path / "other"
    other.write_text("of somebody")
    unfinished = file_of(tmp_path, stored(1)).with_suffix(".part")
    unfinished.parent.mkdir()
    unfinished.symlink_to(other)
    assert keeper.write(stored(1))
    assert other.read_text() == "of somebody"


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    keeper = keeper_at(str(tmp_path / "state"), tmp_path)
    shutil.rmtree(tmp_path / "state")
    assert keeper.write(stored(1))
    assert keeper.read(SCOPE, stored(1).id) is not None


def test_what_cannot_be_written_is_reported_and_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = Storage(Folder(tmp_path), Clock())
    (tmp_path / "responses" / SCOPE).write_text("a file where a folder should be")
    state.keep(stored(1))
    assert "the response is not kept" in caplog.text
    state.keep(stored(1, OTHER))
    assert state.find(OTHER, stored(1).id) is not None


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = Storage(Folder(tmp_path), Clock())
    state.keep(stored(1))
    with files_of_at_most(64):
        state.keep(stored(2))
    assert "cannot be written (File too large): the response is not kept" in caplog.text
    assert [each.name for each in file_of(tmp_path, stored(2)).parent.iterdir()] == [f"{stored(1).id}.json"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write more, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_that_is_odd_in_the_folder_stops_the_start(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    scope = file_of(tmp_path, stored(1)).parent
    (scope / "a-folder.part").mkdir()
    (scope / f"{stored(2).id}.json").mkdir()
    (scope / f"{stored(3).id}.json").symlink_to("nowhere")
    (scope / f"{stored(4).id}.json").symlink_to(f"{stored(4).id}.json")
    os.mkfifo(scope / f"{stored(5).id}.json")
    (scope.parent / "a file").touch()
    (scope.parent / "loop").symlink_to(scope.parent)
    (scope.parent / os.fsdecode(b"\xff")).mkdir()
    os.utime(file_of(tmp_path, stored(1)), (2**33, 2**33))
    state = Storage(Folder(tmp_path), Clock())
    assert state.find(SCOPE, stored(1).id) == stored(1)
    assert [state.find(SCOPE, stored(number).id) for number in (2, 3, 4, 5)] == [None] * 4


def test_two_proxies_may_share_a_folder(tmp_path: Path) -> None:
    one, other = Storage(Folder(tmp_path), Clock()), Storage(Folder(tmp_path), Clock())
    one.keep(stored(1))
    assert other.find(SCOPE, stored(1).id) == stored(1)
    other.remove(SCOPE, stored(1).id)
    assert one.find(SCOPE, stored(1).id) is None


def test_the_size_of_what_was_read_counts(tmp_path: Path) -> None:
    Storage(Folder(tmp_path), Clock()).keep(stored(1))
    keeper = Folder(tmp_path)
    state = Storage(keeper, Clock(), Bounds(max_bytes=stored(1).size + 1))
    state.find(SCOPE, stored(1).id)
    state.keep(replace(stored(2), created=2_000.0))
    assert sum(keeper.read(SCOPE, stored(n).id) is not None for n in (1, 2)) == 1


# -- the option -------------------------------------------------------------------------------------------


def test_nothing_is_written_unless_a_folder_is_named(tmp_path: Path) -> None:
    assert isinstance(keeper_at("", tmp_path), Memory)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_named_from_where_the_proxy_runs(tmp_path: Path) -> None:
    Storage(keeper_at("kept", tmp_path), Clock()).keep(stored(1))
    assert file_of(tmp_path / "kept", stored(1)).exists()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"rotator_state: .*file cannot be used"):
        keeper_at("file", tmp_path)


def test_a_file_in_the_place_of_our_folder_leaves_responses_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "responses").write_text("somebody's notes")
    assert isinstance(keeper_at(str(tmp_path), tmp_path), Memory)
    assert "responses cannot be a folder (File exists): responses are kept in memory" in caplog.text


def test_what_is_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="name one that can be written"):
        keeper_at("a\0b", tmp_path)
