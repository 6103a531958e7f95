"""What of the log a terminal shows, and how: in columns for a person, else as logfmt or JSON.

Internal of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: the handler
`TermLogHandler` of the root logger.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any

from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.contrib.click import style
from mitmproxy.log import ALERT, MitmFormatter
from mitmproxy.utils.human import format_address

from rewrite.records.texts import VERDICT, columns, logfmt

LAYOUTS = ("auto", "columns", "logfmt", "json")
"""What rotator_log may be."""

CALL = "rotator_call"
"""The attribute of what is logged of a call that is over: the record of the call."""

_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", ALERT: "notice", logging.WARNING: "warning"}
_COLOURS = {ALERT: "magenta", logging.WARNING: "yellow", logging.ERROR: "red"}
_VERDICTS = {"ok": "green", "truncated": "yellow", "failed": "red", "refused": "red", "left": "bright_black"}
"""Colours. Others are of calls that were answered, though not by the first attempt."""

_RESCUED = "cyan"


def layout_of(option: str) -> str:
    """Which layout the value of rotator_log is."""
    if option != "auto":
        return option
    return "columns" if sys.stdout.isatty() else "logfmt"


def line_in(layout: str) -> Callable[[Mapping[str, Any]], str]:
    """What makes a line of the record of a call. Where the log is JSON, that is for mitmweb."""
    return columns if layout == "columns" else logfmt


def write_whole_lines() -> None:
    """Each line is one system call where Python is asked to buffer nothing (PYTHONUNBUFFERED, as in
    containers). By itself it sends the end of a line in a second one, and wakes the reader twice."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.write_through:
        sys.stdout.reconfigure(line_buffering=True, write_through=False)


def lay_out(layout: str) -> None:
    """What is printed of the log looks so from now on."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, TermLogHandler):
            formatter = _FORMATTERS.get(layout, MitmFormatter)
            handler.setFormatter(formatter(handler.has_vt_codes))


class Columns(logging.Formatter):
    """The time, the verdict of a call or the level of any other line, and the message."""

    default_time_format = "%H:%M:%S"
    default_msec_format = None

    def __init__(self, colorize: bool) -> None:
        super().__init__()
        self._paint = style if colorize else _plain

    def format(self, record: logging.LogRecord) -> str:
        time = self._paint(self.formatTime(record), fg="cyan", dim=True)
        message = _message(record, self)
        if call := getattr(record, CALL, None):
            colour = _VERDICTS.get(call["verdict"], _RESCUED)
            return f"{time} {self._paint(message[:VERDICT], fg=colour)}{message[VERDICT:]}"
        return (
            f"{time} {self._paint(f'{_level(record):<{VERDICT}} {message}', fg=_COLOURS.get(record.levelno))}"
        )


class Objects(logging.Formatter):
    """A JSON object a line: the time (UTC, as in RFC 3339), the level, and a call's record or the message."""

    def __init__(self, colorize: bool) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = getattr(record, CALL, None) or {"message": _message(record, self)}
        return json.dumps({"time": time, "level": _level(record), **said}, ensure_ascii=False)


_FORMATTERS: Mapping[str, Callable[[bool], logging.Formatter]] = {"columns": Columns, "json": Objects}


def _plain(text: str, **_: object) -> str:
    return text


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelno, "error")


def _message(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    """With the client that it is about, where mitmproxy names one, and the traceback of what it caught."""
    message = record.getMessage()
    if client := getattr(record, "client", None):
        message = f"[{format_address(client)}] {message}"
    return f"{message}\n{formatter.formatException(record.exc_info)}" if record.exc_info else message
