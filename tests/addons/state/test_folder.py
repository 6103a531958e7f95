"""State in a folder: two proxies on it lose nothing, and nothing that is odd there stops them."""

import asyncio
import json
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from addons.state.folder import FILES, LARGE, FolderStore
from rewrite.credentials.entries import Clearing, Entries, Entry, Key, Kind, amount, clearing, merged
from rewrite.credentials.stored_file import VERSION, Moment

COOLED = Key(Kind.COOLDOWN, "p", "one", "m", "whole")
USED = Key(Kind.USED, "p", "one", "m", "minute|7")
BOUND = Key(Kind.BINDING, "p", "", "", "5f0e")


@dataclass(slots=True)
class Clock:
    epoch: float = 1_000_000.0
    steady: float = 0.0
    boot: str = "a"

    def __call__(self) -> Moment:
        return Moment(self.epoch, self.steady, self.boot)

    def sleep(self, seconds: float) -> None:
        self.epoch += seconds
        self.steady += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def cooled(clock: Clock, seconds: float = 60.0) -> Entries:
    return {COOLED: Entry(clock.epoch, clock.epoch + seconds)}


def used(clock: Clock, count: float) -> Entries:
    return {USED: Entry(clock.epoch, clock.epoch + 3600, count)}


@contextmanager
def no_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", _full)
        yield


def _full(self: Path, target: Path) -> Path:
    raise OSError(28, "No space left on device")


def pool(folder: Path) -> Path:
    return folder / "pool"


def test_what_one_proxy_knows_the_next_one_knows(tmp_path: Path, clock: Clock) -> None:
    bound = {BOUND: Entry(clock.epoch, clock.epoch + 3600, "one")}
    own = {**cooled(clock), **used(clock, 3), **bound}
    assert FolderStore(tmp_path, clock).exchange_now(own) == {}
    assert FolderStore(tmp_path, clock).exchange_now({}) == own


def test_two_proxies_see_each_others_changes_once(tmp_path: Path, clock: Clock) -> None:
    one, two = FolderStore(tmp_path, clock), FolderStore(tmp_path, clock)
    one.exchange_now({})
    two.exchange_now({})
    one.exchange_now({**cooled(clock), **used(clock, 2)})
    assert two.exchange_now({}) == {**cooled(clock), **used(clock, 2)}
    assert two.exchange_now({}) == {}
    two.exchange_now(used(clock, 5))
    assert one.exchange_now(used(clock, 1)) == used(clock, 5)
    assert one.exchange_now({}) == {}
    assert two.exchange_now({}) == used(clock, 1)
    assert amount(FolderStore(tmp_path, clock).exchange_now({})[USED]) == 8


def test_what_one_clears_is_cleared_for_the_other(tmp_path: Path, clock: Clock) -> None:
    one, two = FolderStore(tmp_path, clock), FolderStore(tmp_path, clock)
    one.exchange_now(cooled(clock))
    known = two.exchange_now({})
    clock.sleep(1)
    mark = {clearing(COOLED, Clearing.RESUMED): Entry(clock.epoch, clock.epoch + 3600)}
    one.exchange_now(mark)
    assert two.exchange_now({}) == mark
    assert merged(known, mark) == mark
    assert FolderStore(tmp_path, clock).exchange_now({}) == mark


def test_many_at_once_lose_no_update(tmp_path: Path, clock: Clock) -> None:
    def count(_: int) -> None:
        store = FolderStore(tmp_path, clock)
        for _ in range(20):
            store.exchange_now(used(clock, 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    assert amount(FolderStore(tmp_path, clock).exchange_now({})[USED]) == 160


def test_all_who_share_it_have_one_salt(tmp_path: Path, clock: Clock) -> None:
    stores = [FolderStore(tmp_path, clock) for _ in range(3)]
    for store in stores:
        store.exchange_now({})
    assert len({store.salt for store in stores}) == 1
    assert len(stores[0].salt) == 32


def test_what_is_over_is_not_kept(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path, clock)
    store.exchange_now(cooled(clock))
    clock.sleep(60)
    store.exchange_now(used(clock, 1))
    assert "cooldown" not in (pool(tmp_path) / "credentials.json").read_text()


def test_a_cooldown_writes_no_conversations(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path, clock)
    store.exchange_now({BOUND: Entry(clock.epoch, clock.epoch + 3600, "one")})
    before = (pool(tmp_path) / "sessions.json").stat()
    store.exchange_now(cooled(clock))
    assert (pool(tmp_path) / "sessions.json").stat() == before


@pytest.mark.skipif(os.name == "nt", reason="files have no mode there")
def test_only_their_owner_can_read_them(tmp_path: Path, clock: Clock) -> None:
    FolderStore(tmp_path, clock).exchange_now(cooled(clock))
    assert pool(tmp_path).stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in pool(tmp_path).iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("content", "aside", "said"),
    [
        (b'{"version": 1, "entr', "damaged", "it is damaged"),
        (b"", "damaged", "it is damaged"),
        (
            b'{"version": 1, "moment": {"epoch": 1, "steady": 1}, "salt": "no salt", "entries": []}',
            "damaged",
            "it is damaged",
        ),
        (b'{"version": %d}' % (VERSION + 1), "later", "a later rotator wrote"),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_no_use_is_set_aside(
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    name: str,
    content: bytes,
    aside: str,
    said: str,
) -> None:
    pool(tmp_path).mkdir()
    (pool(tmp_path) / f"{name}.json").write_bytes(content)
    store = FolderStore(tmp_path, clock)
    with caplog.at_level(logging.WARNING, "rotator"):
        assert store.exchange_now(cooled(clock)) == {}
    assert (pool(tmp_path) / f"{name}.{aside}").read_bytes() == content
    assert [said in each.getMessage() for each in caplog.records] == [True]
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


def test_a_file_that_is_too_large_is_set_aside_unread(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pool(tmp_path).mkdir()
    with (pool(tmp_path) / "credentials.json").open("wb") as opened:
        opened.truncate(1 << 40)
    assert FolderStore(tmp_path, clock).exchange_now(cooled(clock)) == {}
    assert "it is larger than" in caplog.text
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


@pytest.mark.skipif(os.name == "nt", reason="there are no such pipes there")
def test_a_pipe_in_its_place_is_set_aside(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pool(tmp_path).mkdir()
    os.mkfifo(pool(tmp_path) / "sessions.json")
    assert FolderStore(tmp_path, clock).exchange_now(cooled(clock)) == {}
    assert "it is not a regular file" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="files have no owners there")
def test_what_another_user_put_there_is_set_aside(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    FolderStore(tmp_path, clock).exchange_now(cooled(clock))
    if os.geteuid() == 0:
        os.chown(pool(tmp_path) / "credentials.json", 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert FolderStore(tmp_path, clock).exchange_now({}) == {}
    assert "it belongs to another user" in caplog.text


def test_no_other_file_is_written_through_a_link(tmp_path: Path, clock: Clock) -> None:
    pool(tmp_path).mkdir()
    other = tmp_path / "other"
    other.write_text("of somebody")
    (pool(tmp_path) / "credentials.part").symlink_to(other)
    FolderStore(tmp_path, clock).exchange_now(cooled(clock))
    assert other.read_text() == "of somebody"
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "state").mkdir()
    store = FolderStore(tmp_path / "state", clock)
    store.exchange_now(cooled(clock))
    shutil.rmtree(tmp_path / "state")
    assert store.exchange_now({}) == {}
    assert FolderStore(tmp_path / "state", clock).exchange_now({}) == cooled(clock)
    assert pool(tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_what_is_known_survives_damage_while_we_run(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path, clock)
    store.exchange_now(cooled(clock))
    (pool(tmp_path) / "credentials.json").write_bytes(b"{")
    assert store.exchange_now({}) == {}
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


def test_a_file_that_is_gone_is_written_again(tmp_path: Path, clock: Clock) -> None:
    store = FolderStore(tmp_path, clock)
    store.exchange_now(cooled(clock))
    (pool(tmp_path) / "credentials.json").unlink()
    assert store.exchange_now({}) == {}
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


def test_what_cannot_be_written_is_written_later_and_counts_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = FolderStore(tmp_path, clock), FolderStore(tmp_path, clock)
    one.exchange_now(used(clock, 1))
    with caplog.at_level(logging.WARNING, "rotator"), no_room(monkeypatch):
        for _ in range(3):
            assert one.exchange_now(used(clock, 1)) == {}
    assert ["No space left" in each.getMessage() for each in caplog.records] == [True]
    assert not list(pool(tmp_path).glob("*.part"))
    assert amount(two.exchange_now(used(clock, 10))[USED]) == 1
    assert amount(one.exchange_now({})[USED]) == 10
    assert amount(two.exchange_now({})[USED]) == 3


def test_a_folder_that_there_cannot_be(tmp_path: Path, clock: Clock) -> None:
    pool(tmp_path).write_text("a file")
    with pytest.raises(OSError, match="exists"):
        FolderStore(tmp_path, clock)


@pytest.mark.parametrize("jump", [-1e5, 0.0, 1e5])
def test_proxies_whose_clocks_differ_agree_on_how_long(tmp_path: Path, clock: Clock, jump: float) -> None:
    one = FolderStore(tmp_path, clock)
    one.exchange_now(cooled(clock))
    later = Clock(clock.epoch + jump + 10, clock.steady + 10)
    found = FolderStore(tmp_path, later).exchange_now({})
    assert found[COOLED].until - later.epoch == pytest.approx(50.0)


def test_a_clock_that_is_corrected_moves_what_is_held(tmp_path: Path, clock: Clock) -> None:
    one, two = FolderStore(tmp_path, clock), FolderStore(tmp_path, clock)
    one.exchange_now(cooled(clock))
    clock.epoch += 5000
    one.moved(5000)
    one.exchange_now(used(clock, 1))
    assert two.exchange_now({})[COOLED].until == clock.epoch + 60


def test_no_lock_stays_after_a_proxy_that_ended(tmp_path: Path, clock: Clock) -> None:
    FolderStore(tmp_path, clock).exchange_now(cooled(clock))
    assert (pool(tmp_path) / "credentials.lock").exists()
    assert FolderStore(tmp_path, clock).exchange_now({}) == cooled(clock)


def test_the_file_can_be_read_by_people(tmp_path: Path, clock: Clock) -> None:
    FolderStore(tmp_path, clock).exchange_now(cooled(clock))
    found = json.loads((pool(tmp_path) / "credentials.json").read_bytes())
    assert found["version"] == VERSION
    assert (
        found["entries"][0] | {"kind": "cooldown", "provider": "p", "credential": "one"}
        == found["entries"][0]
    )


def test_a_large_file_is_not_written_all_the_time(tmp_path: Path, clock: Clock) -> None:
    store, other = FolderStore(tmp_path, clock), FolderStore(tmp_path, clock)
    many = {
        BOUND._replace(scope=f"{n:032x}"): Entry(clock.epoch, clock.epoch + 3600, "one") for n in range(9000)
    }
    file = pool(tmp_path) / "sessions.json"
    store.exchange_now(many)
    assert 2 <= file.stat().st_size // LARGE < 4
    assert other.exchange_now({}) == many
    one = {BOUND: Entry(clock.epoch, clock.epoch + 3600, "two")}
    store.exchange_now({**one, **cooled(clock)})
    assert other.exchange_now({}) == cooled(clock)
    clock.sleep(4)
    store.exchange_now({})
    assert other.exchange_now({}) == one
    two = {BOUND: Entry(clock.epoch, clock.epoch + 3600, "one")}
    store.exchange_now(two)
    asyncio.run(store.close())
    assert other.exchange_now({}) == two
