"""What is written of one call: lines, files of passes, bytes; cut where there is no room."""

import errno
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from gzip import compress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from addons.config.tracing import Bounds
from addons.records.call_folder import (
    LONGEST_LINE,
    MOST_HELD,
    RESERVED,
    TOO_FAST,
    TOO_LARGE,
    CallRecord,
    Store,
)
from addons.records.cleaning import Cleaning
from addons.records.folders import PASSES, Folders
from protocols.model.wirejson import load_value
from rewrite.records.passes import Direction, Entry, Stage

OWN = "own.key/of-the-client-0a1b2c3d4e5f"
NOW = 1_728_000_000.0  # 2024-10-04
ENTRY = Entry(
    1,
    "raw_request",
    Direction.REQUEST,
    Stage.CLIENT,
    "c0ffee",
    0,
    NOW,
    "openai_chat",
    "openai",
    "gpt-4o",
    "one",
    "5e55",
    changed=True,
    data={"a": OWN},
)


class Room:
    """A root with one call in it."""

    def __init__(self, root: Path, bounds: Bounds) -> None:
        self.root, self.errors = root, list[OSError]()
        self.store = Store(Folders(root, bounds), lambda: NOW, lambda _, error: self.errors.append(error))
        self.call = self.begin("c0ffee")

    def begin(self, call: str) -> CallRecord:
        cleaning = Cleaning(tuple, [SecretStr(OWN)], signatures=False)
        return CallRecord(self.store, call, cleaning, lambda: NOW)

    @property
    def files(self) -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in self.root.glob("*/*/*")}

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(each) for each in self.files[PASSES].splitlines()]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path / "traces", Bounds())


def small(tmp_path: Path, max_bytes: int) -> Room:
    return Room(tmp_path / "traces", Bounds(max_bytes=max_bytes))


def test_a_line_has_the_fields_of_an_entry(room: Room) -> None:
    room.call.entry(ENTRY)
    room.store.round_over()
    (line,) = room.lines
    assert list(line.items()) == [
        ("sequence", 1),
        ("pass", "raw_request"),
        ("direction", "request"),
        ("stage", "client"),
        ("call", "c0ffee"),
        ("attempt", 0),
        ("time", NOW),
        ("protocol", "openai_chat"),
        ("provider", "openai"),
        ("model", "gpt-4o"),
        ("credential", "one"),
        ("session", "5e55"),
        ("changed", True),
        ("data", {"a": "[redacted]"}),
    ]


def test_a_key_in_the_place_of_a_model_is_not_written(room: Room) -> None:
    room.call.entry(replace(ENTRY, model=OWN))
    room.call.close()
    assert room.lines[0]["model"] == "[redacted]"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": NaN, "b": [Infinity, -Infinity]}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800", "\\udfff": 1}',
        b"[" * 150 + b"]" * 150,
        b"\xff\xfe{",
        b"\0",
    ],
)
def test_any_body_leaves_a_line(room: Room, body: bytes) -> None:
    """Also what parsers take and JSON has not."""
    room.call.entry(replace(ENTRY, data={"body": body}))
    room.call.entry(replace(ENTRY, sequence=2, data=load_value(body)))
    room.call.close()
    room.store.round_over()
    assert [line["sequence"] for line in room.lines] == [1, 2]
    assert b"NaN" not in room.files[PASSES]


def test_a_pass_that_changed_something_has_a_file(room: Room) -> None:
    room.call.entry(ENTRY)
    room.call.entry(replace(ENTRY, sequence=2, name="parsed_request", changed=False))
    room.call.entry(replace(ENTRY, sequence=3, name="adapter:clamp", data={"b": [1]}))
    room.call.entry(replace(ENTRY, sequence=4, name="event", direction=Direction.STREAM))
    room.call.close()
    assert sorted(room.files) == ["001-raw_request.json", "003-adapter_clamp.json", PASSES]
    assert room.files["003-adapter_clamp.json"] == b'{\n "b": [\n  1\n ]\n}'


@pytest.mark.parametrize(
    ("coding", "shown"), [("gzip", {"note": "[redacted]"}), ("br", None), ("unheard-of", None)]
)
def test_a_compressed_body_is_decoded(room: Room, coding: str, shown: dict[str, str] | None) -> None:
    body = compress(json.dumps({"note": OWN}).encode(), mtime=0)
    data = {"headers": [["Content-Encoding", coding]], "body": body}
    room.call.entry(replace(ENTRY, data=data))
    room.call.close()
    assert room.lines[0]["data"]["body"] == (shown or f"[{len(body)} bytes that are no text]")


def test_what_is_long_is_in_a_file_alone(room: Room) -> None:
    room.call.entry(replace(ENTRY, changed=False, data="x" * LONGEST_LINE))
    room.call.close()
    assert room.lines[0]["data"] == {"file": "001-raw_request.json", "bytes": LONGEST_LINE + 2}
    assert json.loads(room.files["001-raw_request.json"]) == "x" * LONGEST_LINE


def test_bytes_are_written_as_they_come_without_secrets_cut_in_two(room: Room) -> None:
    room.call.data("provider-1", b'data: 1\n\ndata: {"a":"' + OWN[:9].encode())
    room.store.round_over()
    assert room.files == {"provider-1.bytes": b"data: 1\n\n"}
    room.call.data("provider-1", OWN[9:].encode() + b'"}\n\ndata: "half')
    room.call.data("client", b"to the client")
    room.store.round_over()
    room.call.close()
    stars = b"*" * len(OWN)
    assert room.files == {
        "provider-1.bytes": b'data: 1\n\ndata: {"a":"' + stars + b'"}\n\ndata: "half',
        "client.bytes": b"to the client",
    }


def test_what_comes_faster_than_rounds_end_is_not_held(room: Room) -> None:
    for _ in range(3 * MOST_HELD // 1000):
        room.call.data("client", b"a line of a thousand bytes".ljust(999) + b"\n")
    assert len(room.files["client.bytes"]) > 2 * MOST_HELD


def test_a_call_that_leaves_nothing_has_no_folder(room: Room) -> None:
    room.call.close()
    assert not room.root.exists()


# -- no room --------------------------------------------------------------------------------------------


def test_a_trace_that_came_too_fast_says_so(room: Room) -> None:
    room.call.entry(ENTRY)
    room.call.cut()
    room.call.entry(replace(ENTRY, sequence=5))
    room.call.data("client", b"late")
    room.call.close()
    assert [(line["sequence"], line["pass"]) for line in room.lines] == [(1, "raw_request"), (2, "trace_cut")]
    assert room.lines[1]["data"] == {"reason": TOO_FAST}
    assert sorted(room.files) == ["001-raw_request.json", PASSES]


def test_a_call_keeps_within_max_bytes_and_says_so(tmp_path: Path) -> None:
    room = small(tmp_path, 10_000)
    room.call.entry(ENTRY)
    for _ in range(20):
        room.call.data("client", b"a line\n" * 100)
        room.store.round_over()
    room.call.close()
    sizes = {name: len(data) for name, data in room.files.items()}
    assert 10_000 - RESERVED - 1400 < sum(sizes.values()) < 10_000
    assert room.lines[-1]["data"] == {"reason": TOO_LARGE}
    assert room.errors == []


def test_older_calls_go_while_a_call_is_written(tmp_path: Path) -> None:
    room = small(tmp_path, 10_000)
    first, second = room.begin("one"), room.begin("two")
    for call, time in ((first, NOW), (second, NOW + 1)):
        call.entry(replace(ENTRY, time=time))
        call.data("client", b"x\n" * 2500)
        room.store.round_over()
    first.data("client", b"more")
    first.entry(ENTRY)
    room.store.round_over()
    first.close()
    assert [each.name[-3:] for each in room.root.glob("*/*")] == ["two"]
    assert room.errors == []


# -- what cannot be written -----------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_ends_the_trace(room: Room) -> None:
    room.root.write_text("a file")
    room.call.entry(ENTRY)
    room.call.data("client", b"x")
    room.store.round_over()
    room.call.entry(ENTRY)
    room.store.round_over()
    room.call.close()
    assert {each.errno for each in room.errors} <= {errno.ENOTDIR, errno.EEXIST}
    assert room.root.read_text() == "a file"


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file becomes larger than `size` bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_ends_the_trace_of_a_call_and_not_of_the_next(room: Room) -> None:
    with full_disk(1000):
        room.call.entry(ENTRY)
        room.store.round_over()
        room.call.data("client", b"x\n" * 1000)
        room.store.round_over()
        room.call.data("client", b"more")
        room.store.round_over()
        room.call.close()
    assert [each.errno for each in room.errors] == [errno.EFBIG]
    assert room.lines[0]["pass"] == "raw_request"
    other = room.begin("other")
    other.data("client", b"whole")
    room.store.round_over()
    other.close()
    assert len(room.errors) == 1
