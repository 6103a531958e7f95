"""Which calls are traced and where to, and that nobody waits for it."""

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from addons.config.tracing import Bounds, Tracing
from addons.records import trace
from addons.records.call_folder import TOO_FAST
from addons.records.cleaning import Cleaning
from addons.records.folders import PASSES, Folders
from addons.records.trace import Traces
from addons.records.writer import Writer
from addons.secrets.redaction import Redactor
from rewrite.catalog.routes import Rule
from rewrite.records.passes import Asked, CallTrace, Direction, Sink, Stage

POOL, OWN = "sk-pool-number-one", "own.key/of-the-client-0a1b2c3d4e5f"
NOW = 1_728_000_000.0  # 2024-10-04
WANTED, UNWANTED = Rule(trace=True), Rule(trace=False)


class Bench:
    """Traces into a folder, and what is there."""

    def __init__(self, root: Path, now: float = NOW) -> None:
        self.root, self.elsewhere = root / "traces", root / "state" / "traces"
        redactor = Redactor()
        redactor.keep([SecretStr(POOL)])
        self.traces = Traces(redactor, lambda: now)

    def configure(self, *, on: bool = True, bounds: Bounds = Bounds()) -> None:  # noqa: B008  # frozen
        self.traces.configure(Tracing(self.root if on else None, bounds=bounds), self.elsewhere)

    def begin(self, call: str, rule: Rule = Rule()) -> Sink | None:  # noqa: B008  # frozen
        return self.traces.begin(call, rule, lambda: [SecretStr(OWN)])

    def played(self, call: str, rule: Rule = Rule()) -> bool:  # noqa: B008  # frozen
        """Whether a call that has one pass is traced."""
        sink = self.begin(call, rule)
        if sink is None:
            return False
        noted(sink, call, {"a": f"{POOL} {OWN}"})
        sink.data("client", f"{POOL} {OWN}".encode())
        sink.close()
        return True

    def calls(self, root: Path | None = None) -> list[str]:
        self.traces.close()
        return sorted(each.name.rpartition("-")[2] for each in (root or self.root).glob("*/*"))


def noted(sink: Sink, call: str, data: object) -> None:
    made = CallTrace(sink, call, Asked("openai_chat", "openai", "gpt-4o"), 0.0, NOW)
    made.note("raw_request", Direction.REQUEST, Stage.CLIENT, data, changed=True)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# -- which calls ----------------------------------------------------------------------------------------


def test_all_calls_where_there_is_a_directory_but_for_those_of_a_route(bench: Bench) -> None:
    bench.configure()
    assert [bench.played("one"), bench.played("two", UNWANTED), bench.played("three", WANTED)] == [
        True,
        False,
        True,
    ]
    assert bench.calls() == ["one", "three"]


def test_none_without_one_but_for_those_of_a_route(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.configure(on=False)
    assert [bench.played("one"), bench.played("two", WANTED), bench.played("three", WANTED)] == [
        False,
        True,
        True,
    ]
    assert bench.calls(bench.elsewhere) == ["three", "two"]
    assert caplog.messages == [f"traces of calls go to {bench.elsewhere}"]


def test_the_next_calls(bench: Bench) -> None:
    bench.configure(on=False)
    assert bench.traces.trace_next(2) == bench.elsewhere
    calls = (("a", WANTED), ("b", Rule()), ("c", UNWANTED), ("d", Rule()))
    assert [bench.played(*each) for each in calls] == [True, True, True, False]
    bench.traces.trace_next(5)
    bench.traces.trace_next(0)
    assert not bench.played("e")
    assert bench.calls(bench.elsewhere) == ["a", "b", "c"]


def test_where_nothing_is_traced_there_is_no_thread_and_no_folder(bench: Bench) -> None:
    before = threading.active_count()
    bench.configure(on=False)
    assert not bench.played("one")
    bench.traces.close()
    assert threading.active_count() == before
    assert not bench.root.exists()
    assert not bench.elsewhere.exists()


def test_a_directory_that_changes_is_followed(bench: Bench, tmp_path: Path) -> None:
    bench.configure()
    bench.played("one")
    bench.traces.configure(Tracing(tmp_path / "other"), bench.elsewhere)
    bench.played("two")
    assert bench.calls(tmp_path / "other") == ["two"]
    assert bench.calls(bench.root) == ["one"]


def test_bounds_hold_across_restarts_at_the_start(bench: Bench, tmp_path: Path) -> None:
    bench.configure()
    for name in ("one", "two", "three"):
        bench.played(name)
    assert bench.calls() == ["one", "three", "two"]
    again = Bench(tmp_path)
    again.configure(bounds=Bounds(max_calls=1))
    assert len(again.calls()) == 1


def test_bounds_that_change_hold_for_calls_under_way(bench: Bench) -> None:
    bench.configure()
    bench.played("one")
    sink = bench.begin("two")
    assert sink is not None
    bench.configure(bounds=Bounds(max_calls=1))
    noted(sink, "two", {})
    assert len(bench.calls()) == 1
    (lines,) = bench.root.glob("*/*/transform_trace.jsonl")
    assert "raw_request" in lines.read_text()


def test_a_folder_that_cannot_be_looked_at_ends_no_start(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.traces.configure(Tracing(), bench.root / ("x" * 300))
    assert bench.played("one", WANTED)
    bench.traces.close()
    assert "File name too long" in caplog.messages[-1]


def test_what_is_too_old_goes_though_nothing_is_traced(bench: Bench, tmp_path: Path) -> None:
    bench.configure(on=False)
    bench.played("one", WANTED)
    assert bench.calls(bench.elsewhere) == ["one"]
    later = Bench(tmp_path, NOW + 8 * 24 * 3600)
    later.configure(on=False)
    assert later.calls(later.elsewhere) == []


# -- what is written ------------------------------------------------------------------------------------


def test_secrets_of_the_pool_and_of_the_client_are_not(bench: Bench) -> None:
    bench.configure()
    bench.played("one")
    bench.traces.close()
    (folder,) = bench.root.glob("*/*")
    assert sorted(each.name for each in folder.iterdir()) == ["001-raw_request.json", "client.bytes", PASSES]
    found = b"".join(each.read_bytes() for each in folder.iterdir())
    assert [secret for secret in (POOL, OWN) if secret.encode() in found] == []
    assert json.loads((folder / PASSES).read_text())["data"] == {"a": "[redacted] [redacted]"}


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that does not answer until it is set."""
    answers = threading.Event()
    make = Folders.make

    def slow(*args: object) -> object:
        answers.wait(30)
        return make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Folders, "make", slow)
    yield answers
    answers.set()


def test_events_of_a_call_with_a_long_request_are_not_taken_to_be_as_long(
    bench: Bench, stuck: threading.Event
) -> None:
    """Else a hundred of them, which come at once, would be too much to wait for the thread."""
    bench.configure()
    sink = bench.begin("one")
    assert sink is not None
    made = CallTrace(sink, "one", Asked("openai_chat", "openai", "gpt-4o"), 0.0, NOW)
    made.note("raw_request", Direction.REQUEST, Stage.CLIENT, {"body": b"x" * (1 << 20)}, changed=True)
    sink.data("provider-1", b"y" * 60_000)
    for number in range(1000):
        event = {"before": {"a": number}, "after": None}
        made.note("formatted_response", Direction.STREAM, Stage.PROXY, event, changed=True)
    sink.close()
    stuck.set()
    assert bench.calls() == ["one"]
    (lines,) = bench.root.glob("*/*/transform_trace.jsonl")
    assert len(lines.read_text().splitlines()) == 1001


def test_events_without_end_are_not_held(bench: Bench, stuck: threading.Event) -> None:
    bench.configure()
    sink = bench.begin("one")
    assert sink is not None
    made = CallTrace(sink, "one", Asked("openai_chat", "openai", "gpt-4o"), 0.0, NOW)
    for number in range(20_000):
        made.note("formatted_response", Direction.STREAM, Stage.PROXY, {"before": number}, changed=True)
    sink.close()
    stuck.set()
    assert bench.calls() == ["one"]
    (lines,) = bench.root.glob("*/*/transform_trace.jsonl")
    last = json.loads(lines.read_text().splitlines()[-1])
    assert last["data"] == {"reason": TOO_FAST}


def test_a_call_never_waits_for_a_disk_and_its_trace_is_cut(
    bench: Bench, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trace, "DRAINED", 0.2)
    bench.traces._writer = Writer(bench.traces._round_over, bench.traces._failed, largest=100_000)
    bench.configure()
    sink = bench.begin("one")
    assert sink is not None
    noted(sink, "one", b"x" * 70_000)
    for _ in range(100):
        sink.data("client", b"y" * 1000)
    sink.close()
    bench.traces.close()
    assert caplog.messages == ["trace: not all of it could be written within 0 s of the end"]
    stuck.set()
    assert bench.calls() == ["one"]
    (lines,) = bench.root.glob("*/*/transform_trace.jsonl")
    assert json.loads(lines.read_text().splitlines()[-1])["data"] == {"reason": TOO_FAST}


def test_a_folder_that_cannot_be_written_to_is_one_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.root.write_text("a file")
    bench.configure()
    for name in ("one", "two"):
        assert bench.played(name)
    bench.traces.close()
    assert [each.levelno for each in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith(f"trace.directory: {bench.root}: cannot be written (")


def test_a_fault_of_ours_is_a_line_and_the_next_call_is_traced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.configure()
    with monkeypatch.context() as patched:
        patched.setattr(Cleaning, "data", lambda *_: 1 / 0)
        bench.played("one")
        bench.traces.close()
    bench.played("two")
    assert "two" in bench.calls()
    assert [line for line in caplog.messages if "ZeroDivisionError" in line] == caplog.messages
