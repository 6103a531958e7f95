"""Traces as they lie on the disk: the folders of calls, their passes, and what came of the call."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Raw, Struct, field

from addons.records.folders import CALL_FILE, PASSES, call_folders, size_of
from addons.secrets.printable import escaped
from rewrite.records.verdict import Verdict


class Pass(Struct, frozen=True):
    """One line of `transform_trace.jsonl`: see docs/trace.md. What a line lacks keeps the defaults."""

    sequence: int
    """Counted from 1 within the call."""
    name: str = field(name="pass")
    direction: str = ""
    stage: str = ""
    call: str = ""
    attempt: int = 0
    time: float = 0.0
    """In epoch seconds."""
    protocol: str = ""
    provider: str = ""
    model: str = ""
    credential: str = ""
    changed: bool = False
    data: Raw = Raw(b"null")
    """JSON, not yet parsed."""

    @property
    def asked(self) -> str:
        """Whom it is about, as one line: provider/model."""
        return escaped(f"{self.provider}/{self.model}" if self.model else self.provider)


@dataclass(frozen=True, slots=True)
class Trace:
    """That of one call, as far as it was written."""

    folder: Path
    began: datetime
    """In UTC."""
    call: str
    """Its id."""
    passes: Sequence[Pass]
    unread: int
    """Lines that are broken, or not whole."""
    size: int
    """Bytes of all its files."""

    def data(self, one: Pass) -> object:
        """What a pass came to; from its file, where it is too long for a line. Raises OSError and ValueError
        where that file cannot be read."""
        data = msgspec.json.decode(one.data)
        file = data.get("file") if isinstance(data, dict) and data.keys() == {"file", "bytes"} else None
        if not isinstance(file, str) or not CALL_FILE.fullmatch(file):
            return data
        return msgspec.json.decode((self.folder / file).read_bytes())


class NoTrace(Exception):
    """No trace is meant, or several are: a message for the user."""


def folders(directory: Path) -> list[Path]:
    """Those of all calls under `directory`, the oldest first."""
    return sorted(call_folders(directory))


def find(directory: Path, prefix: str) -> Path:
    """The folder of the one call whose id begins with `prefix`. Raises NoTrace."""
    found = [each for each in folders(directory) if _id(each).startswith(prefix)]
    found = [each for each in found if _id(each) == prefix] or found
    if not found:
        raise NoTrace(
            f"no trace of a call {prefix}... in {directory}: `rotator trace list` shows those there are"
        )
    if len(found) > 1:
        ids = ", ".join(_id(each) for each in found[-5:])
        raise NoTrace(f"{len(found)} calls begin with {prefix!r}: name one in full, such as {ids}")
    return found[0]


def _id(folder: Path) -> str:
    return folder.name.partition("Z-")[2]


def read(folder: Path) -> Trace:
    """As much as there is. What is broken is left out, and counted."""
    passes, unread = [], 0
    for line in _lines(folder / PASSES):
        try:
            passes.append(_DECODER.decode(line))
        except msgspec.DecodeError:
            unread += 1
    return Trace(folder, _began(folder), _id(folder), passes, unread, size_of(folder))


_DECODER = msgspec.json.Decoder(Pass)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        yield from file.read_bytes().splitlines()
    except OSError:  # nothing is written yet, or another proxy has removed it
        return


def _began(folder: Path) -> datetime:
    stamp = f"{folder.parent.name}T{folder.name.partition('-')[0]}"
    try:
        return datetime.strptime(stamp, "%Y-%m-%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:  # a day or a time that there is not
        return datetime.min.replace(tzinfo=UTC)


def pass_named(trace: Trace, named: str) -> Pass:
    """The pass by its number, or the first one of that name. Raises NoTrace."""
    number = int(named) if named.isdecimal() else 0
    found = (one for one in trace.passes if one.sequence == number or one.name == named)
    if one := next(found, None):
        return one
    names = ", ".join(dict.fromkeys(each.name for each in trace.passes)) or "none"
    raise NoTrace(f"{trace.call} has no pass {named}: name its number, or one of {names}")


def opened(data: object) -> object:
    """As a reader wants it: headers as lines, and a body that is JSON in a text as what it says."""
    if not isinstance(data, dict):
        return data
    return {key: _OPENED[key](value) if key in _OPENED else value for key, value in data.items()}


def _header_lines(headers: object) -> object:
    pairs = headers if isinstance(headers, list) else []
    return [": ".join(str(part) for part in pair) for pair in pairs]


def _body(body: object) -> object:
    if not isinstance(body, str) or not body.startswith(("{", "[")):
        return body
    try:
        return json.loads(body)
    except ValueError:  # it only looks like it
        return body


_OPENED = {"headers": _header_lines, "body": _body}


# -- what came of the call ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """What came of a call, as its trace says."""

    verdict: Verdict | None
    """None: the request was passed on."""
    status: int | None
    """Of the answer that the client got."""
    detail: str


def ending(trace: Trace) -> Ending | None:
    """Read off the last pass that left for the client. None: the call is under way, or its trace ends before
    it does."""
    sent = next((one for one in reversed(trace.passes) if one.name == "sent_response"), None)
    data = msgspec.json.decode(sent.data) if sent else None
    if not isinstance(data, dict):
        return None
    status, detail = data.get("status"), data.get("detail")
    return Ending(
        _VERDICTS.get(str(data.get("verdict"))),
        status if isinstance(status, int) else None,
        detail if isinstance(detail, str) else "",
    )


_VERDICTS = {one.value: one for one in Verdict}
