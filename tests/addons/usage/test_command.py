"""What the command says of a ledger."""

from collections.abc import Iterator

import pytest
from mitmproxy.exceptions import CommandError

from addons.secrets.redaction import Redactor
from addons.usage.command import UsageCommand, usage_lines
from addons.usage.ledger import Ledger
from addons.usage.queries import usage
from addons.usage.schema import open_to_write
from addons.usage.store import write
from rewrite.records.verdict import Verdict
from tests.addons.usage.calls import call


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger(Redactor())
    yield made
    made.close()


def test_a_row_is_a_line_that_says_all_by_itself() -> None:
    connection = open_to_write(None)
    write(connection, [call(), call(verdict=Verdict.SPARE), call(model="gpt-x", served="gpt-x", cost=None)])
    lines = list(usage_lines(usage(connection, 0.0, ("provider", "model"))))
    connection.close()
    assert lines == [
        "openai gpt-4o: 2 calls, 24>18 tokens, $0.5000, 1 retried",
        "openai gpt-x: 1 call, 12>9 tokens, no known price",
        "in all: 3 calls, 36>27 tokens, $0.5000 without 1 of no known price, 1 retried",
    ]


def test_where_nothing_is_kept_that_is_said(ledger: Ledger) -> None:
    with pytest.raises(CommandError, match="no usage is kept"):
        UsageCommand(ledger).usage()


def test_a_time_that_is_none_is_named(ledger: Ledger) -> None:
    with pytest.raises(CommandError, match="'soon' is no time"):
        UsageCommand(ledger).usage("soon")


def test_no_calls_are_said_to_be_none() -> None:
    connection = open_to_write(None)
    assert list(usage_lines(usage(connection, 0.0, ()))) == ["no calls are kept of that time"]
    connection.close()
