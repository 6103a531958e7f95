"""How the log looks where it is printed."""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedWriter, RawIOBase, StringIO, TextIOWrapper
from typing import Any

import pytest
from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.log import ALERT

from addons.records.terminal import CALL, Columns, lay_out, layout_of, line_in, write_whole_lines
from tests.rewrite.records.test_texts import RECORD

log = logging.getLogger("rotator.test_terminal")


@contextmanager
def printed() -> Iterator[StringIO]:
    """What mitmproxy prints of the log. (No fixture: its handler hears nothing of other phases of a test.)"""
    handler = TermLogHandler(out := StringIO())
    handler.install()
    log.setLevel(logging.INFO)
    try:
        yield out
    finally:
        handler.uninstall()


def say_of_a_call(layout: str, record: Mapping[str, Any] = RECORD) -> None:
    log.info("%s", line_in(layout)(record), extra={CALL: record})


def test_in_columns_the_time_stands_once_and_the_level_where_calls_have_their_verdict() -> None:
    with printed() as out:
        lay_out("columns")
        say_of_a_call("columns")
        log.warning("a key was refused", extra={"client": ("127.0.0.1", 80)})
        log.log(ALERT, "a call waits")
    call, warning, notice = out.getvalue().splitlines()
    assert call[2:6:3] == "::"
    assert call[9:19] == "ok        "
    assert warning[9:] == "warning   [127.0.0.1:80] a key was refused"
    assert notice[9:] == "notice    a call waits"


def fail() -> None:
    raise KeyError("x")


@pytest.mark.parametrize("layout", ["columns", "json"])
def test_a_traceback_is_shown(layout: str) -> None:
    with printed() as out:
        lay_out(layout)
        try:
            fail()
        except KeyError:
            log.exception("mitmproxy has crashed!")
    assert "KeyError: 'x'" in out.getvalue()


@pytest.mark.parametrize(
    ("verdict", "colour"), [("ok", 32), ("spare", 36), ("truncated", 33), ("failed", 31), ("left", 90)]
)
def test_the_verdict_alone_is_coloured(verdict: str, colour: int) -> None:
    line = line_in("columns")({**RECORD, "verdict": verdict})
    said = logging.LogRecord("rotator", logging.INFO, "", 0, line, None, None)
    setattr(said, CALL, {"verdict": verdict})
    assert f"\x1b[{colour}m{line[:9]}\x1b[0m{line[9:]}" in Columns(colorize=True).format(said)


def test_as_json_each_line_is_an_object() -> None:
    with printed() as out:
        lay_out("json")
        say_of_a_call("json", {**RECORD, "model": "m" * 5000})
        log.warning("a key was refused")
    call, warning = map(json.loads, out.getvalue().splitlines())
    assert (call["level"], call["verdict"], call["model"]) == ("info", "ok", "m" * 5000)
    assert call["attempts"] == RECORD["attempts"]
    assert warning.pop("time").endswith("+00:00")
    assert warning == {"level": "warning", "message": "a key was refused"}


def test_logfmt_has_the_time_of_mitmproxy() -> None:
    with printed() as out:
        lay_out("columns")
        lay_out("logfmt")
        say_of_a_call("logfmt")
    assert out.getvalue().startswith("[")
    assert "] call=c0ffee " in out.getvalue()


@pytest.mark.parametrize(("tty", "layout"), [(True, "columns"), (False, "logfmt")])
def test_by_itself_it_is_columns_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, layout: str, *, tty: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: tty, raising=False)
    assert layout_of("auto") == layout
    assert layout_of("json") == "json"


class Written(RawIOBase):
    """Each system call that a file would get."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.pieces.append(bytes(data))
        return len(data)


def test_a_line_is_one_write_where_python_buffers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, write_through=True))  # type: ignore[type-var]  # so does python -u
    record = logging.makeLogRecord({"msg": "said"})
    TermLogHandler().emit(record)
    assert len(written.pieces) == 2
    write_whole_lines()
    TermLogHandler().emit(record)
    assert written.pieces[2:] == [b"".join(written.pieces[:2])]


def test_what_python_buffers_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    monkeypatch.setattr(sys, "stdout", out := TextIOWrapper(BufferedWriter(written)))
    write_whole_lines()
    TermLogHandler().emit(logging.makeLogRecord({"msg": "said"}))
    assert not written.pieces
    out.flush()
    assert len(written.pieces) == 1
