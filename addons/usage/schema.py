"""The tables of a ledger, and how its file is opened. Nothing of prompts, answers or keys is in it.

Each call is a row. What calls of one kind came to in half an hour, and on a day of this place, are rows too,
so that a month is read in a few milliseconds.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from addons.runtime.private_folder import make_private
from rewrite.usage.entry import Tokens

NAME = "usage.sqlite"
"""Of the file in a folder of ours."""

VERSION = 1
"""Of these tables, in `user_version`."""

SLOT = 1800
"""Seconds of a slot. A day begins with one nearly everywhere."""

CLASSES: Sequence[str] = Tokens.__struct_fields__
"""The columns of tokens. One that is new makes a new version."""

PATIENCE = 5.0
"""Seconds for which another proxy's write is waited for."""

_PRIVATE_FILE = 0o600
_MAGIC = b"SQLite format 3\0"
"""How each of its files begins. One of zeros was lost in a power cut."""

BOUNDS: Sequence[float] = tuple(round(0.05 * 1.25**step, 3) for step in range(33))
"""Seconds to the first token up to which a call counts in one column, and later in the next."""

SUMS: Sequence[str] = (
    *("calls", "retried", "repaired", "failed"),
    *CLASSES,
    *("cost", "unpriced", "failed_tokens", "failed_cost", "estimated"),
    *(f"first_{step}" for step in range(len(BOUNDS) + 1)),
)
"""What is kept of several calls. `unpriced`: those with tokens and no cost; `first_0` and so on: those with a
first token, by how long it took."""

OF_KIND: Sequence[str] = (
    *("provider", "protocol", "operation", "client_model", "model", "served", "credential", "user"),
)
"""What is kept of a kind of calls. `client_model` is the one that the client named, `model` the one that the
provider was asked for."""

CALL: Sequence[str] = (
    *("at INTEGER", "call TEXT", "kind INTEGER", "verdict TEXT"),
    *("status INTEGER", "ms INTEGER", "first_ms INTEGER", "attempts INTEGER"),
    *(f"{name} INTEGER" for name in CLASSES),
    *("estimated INTEGER", "cost REAL", "cost_source TEXT", "failed_tokens INTEGER", "failed_cost REAL"),
)
"""What is kept of a call. `at` is in milliseconds since the epoch, `ms` how long it took."""

_KIND = ", ".join(f"{name} TEXT" for name in OF_KIND)
_SUMS = ", ".join(f"{name} NUMERIC" for name in SUMS)
_TABLES = (
    f"CREATE TABLE kind (id INTEGER PRIMARY KEY, {_KIND}, last INTEGER, UNIQUE ({', '.join(OF_KIND)}))",
    f"CREATE TABLE call ({', '.join(CALL)}, PRIMARY KEY (at, call)) WITHOUT ROWID",
    f"CREATE TABLE slot (slot INTEGER, kind INTEGER, {_SUMS}, PRIMARY KEY (slot, kind)) WITHOUT ROWID",
    f"CREATE TABLE day (day TEXT, kind INTEGER, {_SUMS}, PRIMARY KEY (day, kind)) WITHOUT ROWID",
)
"""`kind.last` is when there was such a call; `slot.slot` are half hours since the epoch, `day.day` dates."""


class Unusable(Exception):
    """A file that is no ledger of ours; says why."""


class Damaged(Unusable):
    """It was one, or should be."""


class OfLaterVersion(Unusable):
    """A later version of rotator wrote it."""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is to blame, and not what is around it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more precisely where
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_to_write(file: Path | None) -> sqlite3.Connection:
    """The ledger in `file`, made if it is not there; None: in memory. For any one thread at a time. Raises
    Unusable, OSError and sqlite3.Error."""
    if file is not None:
        _make_private(file)
    connection = sqlite3.connect(
        file or ":memory:", timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        with _judged():
            _check_version(connection)  # one of a later version stays as it is
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "PRAGMA synchronous = NORMAL"
            )  # whole at any time; a power cut may cost a second
            _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(file: Path) -> sqlite3.Connection:
    """The ledger in `file`, for this thread, while others write. Raises Unusable, FileNotFoundError and
    sqlite3.Error."""
    if not file.exists():
        raise FileNotFoundError(2, "there is no such file", str(file))
    connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", timeout=PATIENCE, uri=True)
    try:
        with _judged():
            _check_written(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_written(connection: sqlite3.Connection) -> None:
    if _check_version(connection) == 0:
        raise Unusable("nothing is kept in it as yet")


def is_sound(file: Path) -> bool:
    """Reads all of it."""
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", timeout=PATIENCE, uri=True)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
        finally:
            connection.close()
    except sqlite3.Error as error:
        return not is_damage(error)


@contextmanager
def _judged() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise


def _check_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise OfLaterVersion(f"it is of a later version ({version}; this one knows {VERSION})")
    return int(version)


def _make_tables(connection: sqlite3.Connection) -> None:
    """Of several processes one does."""
    if _check_version(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _check_version(connection) == 0:
            _check_empty(connection)
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _check_empty(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise Unusable("it is a database of another program")


def _make_private(file: Path) -> None:
    """Only its user can read it, and what SQLite puts beside it. Raises OSError, and Unusable where it is
    another file of the user's, which stays as it is."""
    make_private(file.parent)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
    try:
        found = os.fstat(descriptor)
        if hasattr(os, "geteuid") and found.st_uid not in (os.geteuid(), 0):
            raise Unusable("it belongs to another user")
        begins = os.read(descriptor, len(_MAGIC))
        if begins.strip(b"\0") and begins != _MAGIC:
            raise Unusable("it is another file than those where usage is kept")
        if hasattr(os, "fchmod") and found.st_mode & 0o077:
            os.fchmod(descriptor, _PRIVATE_FILE)
    finally:
        os.close(descriptor)
