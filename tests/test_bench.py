"""The comparison of the benchmark, its report and the tables of figures; the measuring itself is no test."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rewrite.catalog.providers import Rotation
from scripts.benchmark import profile, selection, stated
from scripts.benchmark.comparison import Comparison, turned
from scripts.benchmark.loads import NOTHING, Bulk, Load, load_of, request_body
from scripts.benchmark.measures import NotMeasured
from scripts.benchmark.provider import CHAT, stamped
from scripts.benchmark.report import Row, is_worse, number, percentile, table
from scripts.benchmark.rows import ALL, TRANSLATED, Group, Quantity, chosen, groups
from scripts.benchmark.ways import WAYS, Lab

TEXT = """
Before.

| load | direct | bare mitmdump | rotator | rotator / bare |
|---|---|---|---|---|
| a call | | 7.02 ms | 11.1 ms | 1.58 |
| an event | 0.25 ms | 1.00 ms | | |

| load | rotator | translated | translated / rotator |
|---|---|---|---|
| a call, translated | 11.1 ms | 12.2 ms | 1.10 |

| other | rotator |
|---|---|
| a call | 9.99 |
"""


def row(title: str = "a call", **values: list[float]) -> Row:
    return Row(title, "ms", ALL, values)


def test_a_ratio_is_within_a_round_so_that_drift_cancels() -> None:
    assert row(bare=[1, 10, 2], rotator=[2, 20, 8]).ratios == [2, 2, 4]
    assert row(bare=[1, 10, 2], rotator=[2, 20, 8]).ratio == 2
    assert row(bare=[1]).ratio is None


@pytest.mark.parametrize(
    ("measured", "said", "worse"),
    [
        (row(bare=[1], rotator=[1.14]), {"a call": 1.0}, False),
        (row(bare=[1], rotator=[1.16]), {"a call": 1.0}, True),
        (row(bare=[1, 1, 1], rotator=[9, 1, 1]), {"a call": 1.0}, False),
        (row(bare=[1], rotator=[9]), {"another": 1.0}, False),
        (row(rotator=[9]), {"a call": 1.0}, False),
    ],
    ids=["within 15 %", "above", "one round above", "not stated", "nothing to compare with"],
)
def test_a_row_is_worse_by_its_median_alone(measured: Row, said: dict[str, float], worse: bool) -> None:
    assert is_worse(measured, said) is worse


def test_a_line_has_medians_with_their_spread_and_what_is_stated() -> None:
    heading, line = table([row(bare=[1, 3, 2], rotator=[4, 6, 5])], {"a call": 2.0})
    assert heading.split() == ["direct", "bare", "rotator", "rotator", "/", "bare", "stated"]
    assert " ".join(line.split()) == (
        "a call - 2.00 ms (1.00..3.00) 5.00 ms (4.00..6.00) 2.50 (2.00..4.00) 2.00 WORSE"
    )


def test_other_ways_get_another_heading() -> None:
    other = Row("a call, translated", "ms", TRANSLATED, {"rotator": [1], "translated": [2]})
    lines = list(table([row(), row(), other], {}))
    assert [line.split()[0] for line in lines] == ["direct", "a", "a", "rotator", "a"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "0.031"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (4914.2, "4914")]
)
def test_a_number_has_three_digits_that_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([*range(100)], 0.99) == 99
    assert percentile([3, 1, 2], 0.5) == 2


def test_the_document_states_the_last_column_of_its_tables_of_loads() -> None:
    assert stated.ratios(TEXT) == {"a call": 1.58, "a call, translated": 1.10}
    assert stated.titles(TEXT) == ["a call", "an event", "a call, translated"]


def test_what_was_measured_is_written_into_the_document_and_nothing_else_changes() -> None:
    measured = [
        row("an event", direct=[0.2], bare=[2], rotator=[3]),
        row("unknown", bare=[1], rotator=[1]),
        row("a call", bare=[1]),
        Row("a call, translated", "ms", TRANSLATED, {"rotator": [10, 10, 10], "translated": [11, 12, 13]}),
    ]
    changed = stated.written(TEXT, measured)
    expected = TEXT.replace(
        "| an event | 0.25 ms | 1.00 ms | | |", "| an event | 0.200 ms | 2.00 ms | 3.00 ms | 1.50 |"
    ).replace(
        "| a call, translated | 11.1 ms | 12.2 ms | 1.10 |",
        "| a call, translated | 10.0 ms | 12.0 ms | 1.20 |",
    )
    assert changed == expected


def test_the_document_has_a_line_for_each_row_in_their_order() -> None:
    rows = [each.title for group in groups(quick=False) for each in group.rows]
    assert stated.titles(stated.DOCUMENT.read_text(encoding="utf-8")) == rows
    assert [each.title for group in groups(quick=True) for each in group.rows] == rows


def named(*texts: str, quick: bool = False) -> list[str]:
    return [group.rows[0].title for group in chosen(texts, quick=quick)]


def test_litellm_has_rows_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(WAYS, "litellm", raising=False)
    without = named()
    monkeypatch.setitem(WAYS, "litellm", WAYS["rotator"])
    assert named() == [*without, "LiteLLM, 50 events, a write each: CPU a call"]
    assert "LiteLLM" not in " ".join(named(quick=True))


def test_rows_are_chosen_by_a_text_in_their_title(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(WAYS, "litellm", raising=False)
    assert named("one write", "487") == [
        "50 events in one write: CPU a call",
        "request of 487 KB: CPU a call",
    ]
    assert named("memory a stream", quick=True) == named("500 streams")
    assert len(named()) == len(groups(quick=False))
    assert len(named(quick=True)) == len(named()) - 1


@dataclass(frozen=True, slots=True)
class Counted:
    """Yields how often it was asked, for each of two rows, but for direct one alone."""

    asked: list[str]
    missing: str = ""

    async def take(self, lab: Lab, name: str) -> Sequence[float]:
        if self.missing:
            raise NotMeasured(self.missing)
        self.asked.append(name)
        return [len(self.asked), 10 * len(self.asked)][: 1 if name == "direct" else 2]


async def test_each_round_takes_every_way_and_another_one_first(tmp_path: Path) -> None:
    measure = Counted([])
    comparison = Comparison([Group([Quantity("one", "ms"), Quantity("two", "ms")], ALL, measure)], ALL)
    await comparison.run(Lab(tmp_path), 2)
    assert measure.asked == ["direct", "bare", "rotator", "bare", "rotator", "direct"]
    one, two = comparison.rows()
    assert one.values == {"direct": [1, 6], "bare": [2, 4], "rotator": [3, 5]}
    assert two.values == {"direct": [], "bare": [20, 40], "rotator": [30, 50]}


async def test_a_long_measurement_has_fewer_rounds_and_ways_may_be_left_out(tmp_path: Path) -> None:
    measure = Counted([])
    group = Group([Quantity("one", "ms"), Quantity("two", "ms")], ALL, measure, most_rounds=1)
    await Comparison([group], ["rotator"]).run(Lab(tmp_path), 3)
    assert measure.asked == ["rotator"]


async def test_what_cannot_be_measured_is_said_once_and_its_row_stays_empty(tmp_path: Path) -> None:
    comparison = Comparison([Group([Quantity("one", "ms")], ALL, Counted([], "no SDK"))], ALL)
    await comparison.run(Lab(tmp_path), 2)
    assert comparison.missing == {"no SDK"}
    assert comparison.rows()[0].ratio is None


def test_nobody_is_first_where_nobody_is() -> None:
    assert turned([], 3) == []


@pytest.mark.parametrize("load", [Load(50), Load(2000, burst=50, gap=0.001), Load(9, gap=0.25, stamped=True)])
@pytest.mark.parametrize("bulk", [NOTHING, Bulk(messages=2), Bulk(lines=3)])
def test_the_provider_reads_what_a_request_asks_for(load: Load, bulk: Bulk) -> None:
    assert load_of(request_body(load, bulk)) == load


@pytest.mark.parametrize(
    ("bulk", "size"),
    [
        (Bulk(messages=400), 195e3),
        (Bulk(messages=1000), 487e3),
        (Bulk(messages=10_000), 4.9e6),
        (Bulk(lines=13_000), 1e6),
    ],
)
def test_a_request_is_as_large_as_its_row_says(bulk: Bulk, size: float) -> None:
    assert len(request_body(Load(1), bulk)) == pytest.approx(size, rel=0.03)


def test_a_stamp_changes_no_length() -> None:
    assert len(stamped(CHAT.token)) == len(CHAT.token)
    assert stamped(CHAT.token) != CHAT.token


@pytest.mark.parametrize(
    ("file", "whose"),
    [
        ("/home/me/my addons/rotator/addons/mitm/stream.py", "addons/mitm"),
        ("/a/protocols/base.py", "protocols/base"),
        ("/a/.venv/lib/python3.13/site-packages/mitmproxy/addons/dumper.py", "mitmproxy/addons"),
        ("/a/.venv/lib/python3.13/site-packages/h11/_readers.py", "h11"),
        ("/usr/lib/python3.12/asyncio/selector_events.py", "asyncio"),
        ("/usr/lib/python3.12/contextlib.py", "contextlib"),
        ("<string>", "<string>"),
    ],
)
def test_a_line_counts_for_a_part_of_the_process(file: str, whose: str) -> None:
    assert profile.part(file) == whose


def test_a_profile_shares_out_what_a_call_used() -> None:
    ours, theirs = (
        ["/a/rewrite/exchange/exchange.py", 7, "Exchange.handle"],
        ["/a/site-packages/h11/x.py", 1, "f"],
    )
    samples = profile.read(json.dumps([[ours, 3], [theirs, 1]]))
    lines = [" ".join(line.split()) for line in profile.table(samples, 2.0, 1)]
    assert lines[0] == "2.00 ms of CPU a call, 4 samples"
    assert lines[1:3] == ["1500 us 75.0% rotator", "500 us 25.0% Python and other libraries"]
    assert "1500 us 75.0% rewrite/exchange" in lines
    assert lines[-1] == "1500 us 75.0% rewrite/exchange: Exchange.handle, 7"


def test_a_selection_is_measured_in_every_rotation_for_known_and_new_conversations() -> None:
    found = selection.measured(conversations=20, samples=3)
    kinds = [f"{kind} conversation{limits}" for kind in ("known", "new") for limits in ("", ", with windows")]
    assert set(found) == {f"{rotation.value}, {kind}" for rotation in Rotation for kind in kinds}
    assert all(0 < each < 1e6 for each in found.values())


def test_a_selection_that_was_disturbed_is_measured_once_more() -> None:
    rounds = iter([[("known", 20.0), ("new", 90.0)], [("known", 30.0), ("new", 40.0)], [("known", 1.0)]])
    assert selection._undisturbed(lambda: iter(next(rounds))) == {"known": 20.0, "new": 40.0}
    assert selection._undisturbed(lambda: iter(next(rounds))) == {"known": 1.0}


def test_a_selection_is_too_slow_above_its_bound() -> None:
    fast, slow = {"a": 9.0, "b": 49.9}, {"a": 9.0, "b": 50.1}
    assert (selection.is_worse(fast), selection.is_worse(slow)) == (False, True)
    title = "selection with 100 credentials and 10,000 conversations"
    assert selection.lines(fast) == [f"{title}: 49.9 us (b), of at most 50"]
    assert selection.lines(slow) == [f"{title}: 50.1 us (b), of at most 50 WORSE"]
