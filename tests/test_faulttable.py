"""The fault suite as a command: the table tells both ways apart, and a row that fails makes the status."""

from dataclasses import replace

import pytest

from scripts.faulttable.__main__ import clients, report
from tests.e2e.suite.bench import cells_of
from tests.e2e.suite.rows import PROTOCOLS, ROWS, Expected

REJECTED = next(row for row in ROWS if row.name == "429 with Retry-After")


def test_a_row_that_is_not_as_expected_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    who = clients(["openai_chat"], every=False)
    if not who:
        pytest.skip("the SDK is not installed")
    wrong = replace(REJECTED, name="wrong", expected=Expected(keys="two"))
    assert report(cells_of([REJECTED, wrong], who, ["raw"])) == 1
    right, other = (line for line in capsys.readouterr().out.splitlines() if "openai-current" in line)
    assert (
        right.split()[2:] == "nothing, RateLimitError 429 (asked 1) all, stop (one two) as expected".split()
    )
    assert other.endswith("keys is 'one two', not 'two'; attempts is 2, not 1")


def test_one_client_speaks_for_a_protocol_unless_all_are_wanted() -> None:
    every, newest = clients(PROTOCOLS, every=True), clients(PROTOCOLS, every=False)
    if not every:
        pytest.skip("no SDK is installed")
    assert len({client.protocol for client in newest}) == len(newest)
    assert all(not client.sdk.endswith("-older") for client in newest)
    assert {client.name for client in newest} < {client.name for client in every}


def test_nothing_played_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([]) == 1
    assert "0 of 0" in capsys.readouterr().out
