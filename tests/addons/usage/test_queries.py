"""What a ledger says of the calls that were written into it."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from addons.usage.queries import MEMORY, Row, Usage, as_data, by_of, by_user, from_data, since_of, usage
from addons.usage.schema import Unusable, open_to_read, open_to_write
from addons.usage.store import write
from rewrite.policies.user_caps import Use
from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens
from tests.addons.usage.calls import NOON, call

DAY = 86_400.0
LONG_AGO = NOON - 1000 * DAY


@pytest.fixture
def ledger() -> Iterator[sqlite3.Connection]:
    connection = open_to_write(None)
    yield connection
    connection.close()


def said(ledger: sqlite3.Connection, *by: str, since: float = LONG_AGO) -> dict[tuple[str, ...], Row]:
    return {row.group: row for row in usage(ledger, since, by).rows}


def test_a_call_counts_with_its_tokens_its_cost_and_its_first_token(ledger: sqlite3.Connection) -> None:
    write(ledger, [call()])
    (row,) = usage(ledger, LONG_AGO, ("provider", "model")).rows
    assert row.group == ("openai", "gpt-4o")
    assert (row.calls, row.tokens) == (1, Tokens(input=8, cache_read=4, output=9, reasoning=2))
    assert (row.cost, row.unpriced) == (0.25, 0)
    assert row.first_token == pytest.approx(0.5, rel=0.1)


def test_calls_add_up_over_transactions(ledger: sqlite3.Connection) -> None:
    for number in range(5):
        write(ledger, [call(2 * number), call(2 * number + 1, cost=None, tokens=Tokens(input=1))])
    total = usage(ledger, LONG_AGO, ()).total
    assert (total.calls, total.tokens.input, total.cost, total.unpriced) == (10, 45, 1.25, 5)
    assert ledger.execute("SELECT count(*) FROM call").fetchone() == (10,)


@pytest.mark.parametrize(
    ("verdict", "counted"),
    [
        (Verdict.OK, (0, 0, 0)),
        (Verdict.RETRIED, (1, 0, 0)),
        (Verdict.SPARE, (1, 0, 0)),
        (Verdict.FALLBACK, (1, 0, 0)),
        (Verdict.CONTINUED, (0, 1, 0)),
        (Verdict.TRUNCATED, (0, 1, 0)),
        (Verdict.FAILED, (0, 0, 1)),
        (Verdict.REFUSED, (0, 0, 1)),
        (Verdict.LEFT, (0, 0, 0)),
    ],
)
def test_what_came_of_a_call(
    ledger: sqlite3.Connection, verdict: Verdict, counted: tuple[int, int, int]
) -> None:
    write(ledger, [call(verdict=verdict)])
    total = usage(ledger, LONG_AGO, ()).total
    assert (total.retried, total.repaired, total.failed) == counted


def test_a_call_without_tokens_lacks_no_price(ledger: sqlite3.Connection) -> None:
    refused = call(tokens=None, cost=None, cost_source="", first_token=None, verdict=Verdict.REFUSED)
    write(ledger, [refused])
    total = usage(ledger, LONG_AGO, ()).total
    assert (total.calls, total.unpriced, total.tokens, total.first_token) == (1, 0, Tokens(), None)


def test_calls_whose_tokens_are_estimates_are_counted(ledger: sqlite3.Connection) -> None:
    write(ledger, [call(1, estimated=True), call(2)])
    assert usage(ledger, LONG_AGO, ()).total.estimated == 1


def test_what_failed_attempts_used_is_counted_apart(ledger: sqlite3.Connection) -> None:
    write(ledger, [call(failed_tokens=7, failed_cost=0.5)])
    total = usage(ledger, LONG_AGO, ()).total
    assert (total.failed_tokens, total.failed_cost, total.cost) == (7, 0.5, 0.25)


def test_calls_are_counted_by_what_they_have_in_common(ledger: sqlite3.Connection) -> None:
    entries = [
        call(1),
        call(2, credential="spare", cost=1.0),
        call(3, provider="anthropic", model="claude", asked="claude-opus", user="alice"),
    ]
    write(ledger, entries)
    by_all = said(ledger, "provider", "model", "credential", "user")
    assert {group: row.calls for group, row in by_all.items()} == {
        ("openai", "gpt-4o", "spare", ""): 1,
        ("openai", "gpt-4o", "work", ""): 1,
        ("anthropic", "claude-opus", "work", "alice"): 1,
    }
    assert [row.group for row in usage(ledger, LONG_AGO, ("credential",)).rows] == [("spare",), ("work",)]


def test_the_model_is_the_one_that_the_provider_was_asked_for(ledger: sqlite3.Connection) -> None:
    write(ledger, [call(1, asked="gpt-5", served="gpt-5-2025"), call(2, asked="", served="")])
    assert set(said(ledger, "model")) == {("gpt-5",), ("gpt-4o",)}


def test_days_and_hours_are_those_of_this_place_and_in_their_order(ledger: sqlite3.Connection) -> None:
    hours = [call(number, at=NOON + number * 3600) for number in range(-24, 24)]
    write(ledger, hours)
    days = usage(ledger, LONG_AGO, ("day",)).rows
    counted = [(row.group, row.calls) for row in days]
    assert counted == [(("2026-11-22",), 12), (("2026-11-23",), 24), (("2026-11-24",), 12)]
    first, *_ = usage(ledger, LONG_AGO, ("hour",)).rows
    assert first.group == ("2026-11-22 12:00",)
    assert sum(row.calls for row in usage(ledger, LONG_AGO, ("hour",)).rows) == 48


@pytest.mark.parametrize("by", [(), ("day",), ("hour",), ("provider", "hour")])
def test_a_time_in_the_midst_of_a_day_leaves_out_what_was_before(
    ledger: sqlite3.Connection, by: tuple[str, ...]
) -> None:
    write(ledger, [call(number, at=NOON + number * 3600) for number in range(-24, 24)])
    found = usage(ledger, NOON, by)
    assert (found.total.calls, sum(row.calls for row in found.rows)) == (24, 24)
    assert usage(ledger, NOON + 6 * 3600, by).total.calls == 18
    assert usage(ledger, NOON + 24 * 3600, by).total.calls == 0


def test_since_is_the_half_hour_before(ledger: sqlite3.Connection) -> None:
    assert usage(ledger, NOON, ()).since == NOON - 600


def test_an_empty_ledger_has_no_rows(ledger: sqlite3.Connection) -> None:
    found = usage(ledger, LONG_AGO, ())
    assert (found.rows, found.total.calls, found.total.first_token) == ((), 0, None)


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.3, 1.0, 7.7, 60.0])
def test_the_median_is_right_to_a_tenth(ledger: sqlite3.Connection, seconds: float) -> None:
    spread = [call(number, first_token=seconds * (0.5 + number / 100)) for number in range(101)]
    write(ledger, spread)
    found = usage(ledger, LONG_AGO, ()).total.first_token
    assert found is not None
    assert abs(found - seconds) <= max(0.12 * seconds, 0.05)


def test_what_others_named_can_be_any_text_and_any_number(ledger: sqlite3.Connection) -> None:
    odd = [
        call(1, model="\ud83d", served="'; DROP TABLE call; --"),
        call(2, tokens=Tokens(input=10**30), cost=float("nan")),
        call(3, cost=float("inf")),
    ]
    write(ledger, odd)
    total = usage(ledger, LONG_AGO, ()).total
    assert (total.calls, total.unpriced) == (3, 2)
    assert ("?",) in said(ledger, "model")


def test_it_survives_json(ledger: sqlite3.Connection) -> None:
    write(ledger, [call(1), call(2, provider="anthropic", first_token=None)])
    found = usage(ledger, LONG_AGO, ("provider", "day"))
    data = as_data(found, MEMORY)
    assert (data["kept"], from_data(json.loads(json.dumps(data)))) == ("memory", found)


def test_times(ledger: sqlite3.Connection) -> None:
    now = datetime.fromtimestamp(NOON)  # noqa: DTZ006  # of this place
    assert since_of("7d", now) == (now - timedelta(days=7)).timestamp()
    assert since_of("24h", now) == NOON - DAY
    assert since_of("2w", now) == (now - timedelta(weeks=2)).timestamp()
    assert since_of("2026-11-01", now) == datetime(2026, 11, 1).timestamp()  # noqa: DTZ001


@pytest.mark.parametrize("text", ["", "7", "d", "yesterday", "-7d", "2026-13-01", "99999999d"])
def test_what_is_no_time_is_refused_with_what_there_is(text: str) -> None:
    with pytest.raises(ValueError, match="say 24h, 7d, 4w, or a date such as 2026-11-01"):
        since_of(text, datetime.fromtimestamp(NOON))  # noqa: DTZ006


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59:59-23:00", "2030-01-01"])
def test_a_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is still to come|is no time"):
        since_of(text, datetime.fromtimestamp(NOON))  # noqa: DTZ006


def test_by() -> None:
    assert by_of(" provider,model, provider ") == ("provider", "model")
    assert by_of("") == by_of("all") == ()
    with pytest.raises(ValueError, match="by 'key': name some of provider, model, credential"):
        by_of("provider,key")


def test_the_same_call_is_a_row_once(ledger: sqlite3.Connection) -> None:
    found: list[CallEntry] = [call(1), call(1)]
    write(ledger, found)
    assert ledger.execute("SELECT count(*) FROM call").fetchone() == (1,)


def test_usage_has_a_total_of_all_rows(ledger: sqlite3.Connection) -> None:
    write(ledger, [call(number, provider=f"p{number % 3}") for number in range(9)])
    found: Usage = usage(ledger, LONG_AGO, ("provider",))
    assert found.total.calls == sum(row.calls for row in found.rows) == 9


def test_a_file_that_nobody_has_written_to_says_so(tmp_path: Path) -> None:
    """As one is for a moment that a proxy has just made."""
    (tmp_path / "usage.sqlite").touch()
    with pytest.raises(Unusable, match="nothing is kept in it as yet"):
        open_to_read(tmp_path / "usage.sqlite")


def test_what_users_used_since_a_time(ledger: sqlite3.Connection) -> None:
    alice = [call(number, user="alice", at=NOON + number) for number in range(3)]
    refused = call(9, user="alice", attempts=0, tokens=None, cost=None, verdict=Verdict.REFUSED)
    unpriced = call(5, user="bob", cost=None, tokens=None)
    write(ledger, [*alice, refused, unpriced])
    assert by_user(ledger, NOON + 1) == {"alice": Use(2, 2 * (8 + 4 + 9), 0.5)}
    assert by_user(ledger, NOON)["bob"] == Use(1, 0, 0.0)
