"""The ledger of a proxy: what its thread writes, what it does about trouble, and several at one file."""

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from addons.secrets.redaction import Redactor
from addons.usage import database
from addons.usage import ledger as ledgers
from addons.usage.ledger import Ledger
from addons.usage.queries import usage
from addons.usage.schema import VERSION, Unusable, open_to_read, open_to_write
from addons.usage.store import drop_before, write
from rewrite.usage.entry import CallEntry
from tests.addons.usage.calls import NOON, call

DAY = 86_400.0
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "GATHER", 0.01)
    monkeypatch.setattr(ledgers, "AGAIN", 0.01)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger(Redactor(), lambda: NOON)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "usage.sqlite"


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until it is. Raises AssertionError if it never is."""
    due = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < due, "it never came"
        time.sleep(0.005)


def count(ledger: Ledger) -> int:
    """How many calls are written."""
    try:
        return ledger.usage(0.0, ()).total.calls
    except (OSError, sqlite3.Error, Unusable):
        return 0


def rows(file: Path) -> int:
    """How many calls are in it as rows, and no fewer counted."""
    connection = open_to_read(file)
    try:
        connection.execute("BEGIN")  # both at the same moment
        (found,) = connection.execute("SELECT count(*) FROM call").fetchone()
        assert usage(connection, 0.0, ()).total.calls == found
        return int(found)
    finally:
        connection.close()


def test_calls_are_written_by_a_thread_and_read_by_anybody(ledger: Ledger, file: Path) -> None:
    ledger.configure(file)
    for number in range(10):
        ledger.take([call(number)])
    eventually(lambda: count(ledger) == 10)
    assert rows(file) == 10


def test_what_waits_is_written_at_the_end(
    ledger: Ledger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "GATHER", 600.0)
    ledger.configure(file)
    ledger.take([call(1)])
    eventually(file.exists)
    ledger.take([call(2)])
    ledger.close()
    assert rows(file) == 2


def test_only_its_user_can_read_it(ledger: Ledger, file: Path) -> None:
    ledger.configure(file)
    ledger.take([call()])
    eventually(lambda: count(ledger) == 1)
    modes = {stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()}
    assert (modes, stat.S_IMODE(file.parent.stat().st_mode)) == ({0o600}, 0o700)


def test_one_that_others_could_read_is_made_private(ledger: Ledger, file: Path) -> None:
    file.parent.mkdir()
    file.touch(mode=0o644)
    ledger.configure(file)
    eventually(lambda: stat.S_IMODE(file.stat().st_mode) == 0o600)


def test_without_a_folder_it_is_in_memory(ledger: Ledger) -> None:
    ledger.configure(None)
    ledger.take([call()])
    eventually(lambda: count(ledger) == 1)
    assert ledger.file is None


@pytest.mark.parametrize(
    ("option", "state", "expected"),
    [
        ("", "", None),
        ("", "state", "state/usage.sqlite"),
        ("mine.sqlite", "state", "mine.sqlite"),
        ("mine.sqlite", "", "mine.sqlite"),
    ],
)
def test_where_it_is(ledger: Ledger, tmp_path: Path, option: str, state: str, expected: str | None) -> None:
    ledger.follow(option, state, tmp_path)
    assert ledger.file == (tmp_path / expected if expected else None)


def test_off_keeps_nothing(ledger: Ledger, tmp_path: Path) -> None:
    ledger.follow("off", str(tmp_path), tmp_path)
    ledger.take([call()])
    with pytest.raises(Unusable, match="no usage is kept"):
        ledger.usage(0.0, ())
    assert list(tmp_path.iterdir()) == []


def test_it_can_move_while_the_proxy_runs(ledger: Ledger, tmp_path: Path) -> None:
    for name in ("one.sqlite", "two.sqlite"):
        ledger.follow(name, "", tmp_path)
        ledger.take([call()])
        eventually(lambda: count(ledger) == 1)
    assert rows(tmp_path / "one.sqlite") == rows(tmp_path / "two.sqlite") == 1


# -- trouble --------------------------------------------------------------------------------------------


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_disk_that_cannot_be_written_is_one_warning_and_is_tried_again(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.touch()
    ledger.configure(in_the_way / "usage.sqlite")
    ledger.take([call(1)])
    eventually(lambda: len(warnings(caplog)) == 1)
    ledger.take([call(2)])
    in_the_way.unlink()
    eventually(lambda: count(ledger) == 2)
    assert len(warnings(caplog)) == 1
    assert "usage cannot be kept" in warnings(caplog)[0]


def test_a_full_disk_loses_nothing(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own limit on the pages of a file raises what a full disk does."""
    is_full = True
    opened = open_to_write

    def limited(where: Path | None) -> sqlite3.Connection:
        connection = opened(where)
        if is_full:
            connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(database, "open_to_write", limited)
    ledger.configure(file)
    for number in range(300):
        ledger.take([call(number, provider=f"provider-{number}-{'x' * 200}")])
    eventually(lambda: len(warnings(caplog)) == 1)
    assert "full" in warnings(caplog)[0]
    is_full = False
    eventually(lambda: count(ledger) == 300)
    assert len(warnings(caplog)) == 1


def test_what_waits_is_bounded(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.touch()
    ledger.configure(in_the_way / "usage.sqlite")
    for number in range(ledgers.MOST_WAITING + 5):
        ledger.take([call(number)])
    in_the_way.unlink()
    eventually(lambda: count(ledger) > 0)
    assert count(ledger) <= ledgers.MOST_WAITING


@pytest.mark.parametrize("damage", [b"SQLite format 3\0" + b"\xaa" * 4096, b"\0" * 4096])
def test_a_damaged_file_is_set_aside(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    file.parent.mkdir()
    file.write_bytes(damage)
    ledger.configure(file)
    ledger.take([call()])
    eventually(lambda: count(ledger) == 1)
    assert file.with_name("usage.sqlite.damaged").read_bytes() == damage
    assert ["it is now usage.sqlite.damaged" in line for line in warnings(caplog)] == [True]


def test_one_that_is_damaged_while_it_is_open_is_set_aside(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.configure(file)
    ledger.take([call(1)])
    eventually(lambda: count(ledger) == 1)
    other = sqlite3.connect(file)
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xaa" * (file.stat().st_size - 4096))
    for number in range(2, 50):
        ledger.take([call(number, at=NOON + number * 1800, provider=f"p{number}")])
    eventually(lambda: file.with_name("usage.sqlite.damaged").exists())
    eventually(lambda: count(ledger) == 48)
    assert len(warnings(caplog)) == 1


def test_one_of_a_later_version_is_left_alone(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    later = sqlite3.connect(file)
    later.execute(f"PRAGMA user_version = {VERSION + 1}")
    later.close()
    before = file.read_bytes()
    ledger.configure(file)
    ledger.take([call()])
    eventually(lambda: ledger.file is None and count(ledger) == 1)
    assert file.read_bytes() == before
    (warning,) = warnings(caplog)
    assert f"of a later version ({VERSION + 1}; this one knows {VERSION})" in warning
    assert "--set rotator_usage=FILE" in warning


def test_a_database_of_another_program_is_left_alone(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.commit()
    other.close()
    ledger.configure(file)
    ledger.take([call()])
    eventually(lambda: ledger.file is None and count(ledger) == 1)
    assert "it is a database of another program" in warnings(caplog)[0]


def test_another_file_of_the_user_is_left_alone(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("what I must not forget, at some length " * 9)
    notes.chmod(0o644)
    ledger.configure(notes)
    ledger.take([call()])
    eventually(lambda: ledger.file is None and count(ledger) == 1)
    assert notes.read_text().startswith("what I must not forget")
    assert notes.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    assert "notes.txt: it is another file than those where usage is kept" in warnings(caplog)[0]


def test_a_call_that_cannot_be_written_costs_no_other_round(
    ledger: Ledger, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.configure(file)
    ledger.take([call(1, status={})])
    eventually(lambda: len(warnings(caplog)) == 1)
    ledger.take([call(2)])
    eventually(lambda: count(ledger) == 1)


# -- old calls ------------------------------------------------------------------------------------------


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    opened = open_to_write(file)
    yield opened
    opened.close()


def test_old_calls_go_and_new_ones_stay(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("addons.usage.store.STEP", 100)
    days = [call(number, at=NOON - number * DAY, provider=f"p{number % 3}") for number in range(500)]
    write(connection, days)
    before = datetime.fromtimestamp(NOON - 100 * DAY).replace(hour=0, minute=0)  # noqa: DTZ006
    rounds = 1
    while drop_before(connection, before.timestamp()):
        rounds += 1
    assert rounds == 4
    assert connection.execute("SELECT count(*) FROM call").fetchone() == (101,)
    assert usage(connection, 0.0, ()).total.calls == 101
    assert usage(connection, 0.0, ("hour",)).total.calls == 101
    assert connection.execute("SELECT count(*) FROM kind").fetchone() == (3,)
    while drop_before(connection, NOON + 10 * DAY):
        pass
    assert connection.execute("SELECT count(*) FROM kind").fetchone() == (0,)


def test_the_thread_takes_old_calls_out(connection: sqlite3.Connection, ledger: Ledger, file: Path) -> None:
    write(connection, [call(1, at=NOON - 40 * DAY), call(2)])
    ledger.configure(file, kept=30 * DAY)
    eventually(lambda: rows(file) == 1)


# -- several processes ----------------------------------------------------------------------------------

_WRITING = """
import sys, time
from pathlib import Path
from addons.secrets.redaction import Redactor
from addons.usage.ledger import Ledger
from tests.addons.usage.calls import NOON, call

first, number = int(sys.argv[2]), int(sys.argv[3])
ledger = Ledger(Redactor(), lambda: NOON)
ledger.configure(Path(sys.argv[1]))
for each in range(first, first + number):
    ledger.take([call(each, at=NOON + each)])
    print(time.time(), each, flush=True)
    time.sleep(0.001)
ledger.close()
"""


def writing(file: Path, first: int, number: int) -> subprocess.Popen[str]:
    """Another process that notes so many calls, and prints when it did."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", _WRITING, str(file), str(first), str(number)]
    return subprocess.Popen(command, cwd=root, env={**os.environ}, stdout=subprocess.PIPE, text=True)


def test_two_read_while_two_write(file: Path) -> None:
    writers = [writing(file, 0, 400), writing(file, 1000, 400)]
    eventually(file.exists)
    seen = [0, 0]
    while any(each.poll() is None for each in writers):
        for reader in range(2):
            found = read_or_none(file)
            assert found is None or found >= seen[reader]
            seen[reader] = found or seen[reader]
    assert [each.wait() for each in writers] == [0, 0]
    for each in writers:
        each.communicate()
    assert rows(file) == 800


def read_or_none(file: Path) -> int | None:
    """None: its tables are not there as yet."""
    try:
        connection = open_to_read(file)
    except Unusable:
        return None
    try:
        return usage(connection, 0.0, ("provider", "day")).total.calls
    finally:
        connection.close()


def test_a_killed_proxy_loses_the_last_second_at_most(file: Path) -> None:
    """Killed in the middle of its writing, again and again."""
    for first in (0, 100_000):
        writer = writing(file, first, 50_000)
        assert writer.stdout is not None
        noted = [writer.stdout.readline() for _ in range(1500)]
        writer.send_signal(signal.SIGKILL)
        noted += writer.communicate()[0].splitlines()
        times = [float(line.split()[0]) for line in noted if len(line.split()) == 2]
        sure = sum(at < times[-1] - 1.0 for at in times)
        connection = open_to_read(file)
        query = "SELECT count(*) FROM call WHERE call BETWEEN ? AND ?"
        (found,) = connection.execute(query, (f"{first:08x}", f"{first + 50_000:08x}")).fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        assert 0 < sure <= found
    rows(file)


def test_no_text_of_a_call_is_kept_but_names(connection: sqlite3.Connection) -> None:
    """Nothing of prompts, and no key: what is kept is what an entry has."""
    columns = {
        row[1]
        for table in ("kind", "call", "slot", "day")
        for row in connection.execute(f"PRAGMA table_info({table})")
        if row[2] == "TEXT"
    }
    names = {"provider", "protocol", "operation", "client_model", "model", "served", "credential", "user"}
    assert columns == names | {"call", "verdict", "cost_source", "day"}


@pytest.mark.thorough
def test_a_month_of_a_million_calls_is_read_in_a_tenth_of_a_second(
    connection: sqlite3.Connection, file: Path
) -> None:
    step = 365 * DAY / 1_000_000
    for begin in range(0, 1_000_000, 5000):
        write(connection, [_one_of_many(number, step) for number in range(begin, begin + 5000)])
    assert min(_month_read(file) for _ in range(5)) < 0.1


def _month_read(file: Path) -> float:
    """The seconds that it takes."""
    began = time.perf_counter()
    reader = open_to_read(file)
    found = usage(reader, NOON - 30 * DAY, ("provider", "model", "day"))
    reader.close()
    assert found.total.calls > 80_000
    return time.perf_counter() - began


def _one_of_many(number: int, step: float) -> CallEntry:
    return call(
        number,
        at=NOON - (1_000_000 - number) * step,
        provider=f"p{number % 3}",
        model=f"m{number % 7}",
        credential=f"k{number % 5}",
        first_token=0.2 + number % 1000 / 200,
    )
