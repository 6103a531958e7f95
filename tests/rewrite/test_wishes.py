"""Which credential the next attempt is to have."""

from dataclasses import replace

import pytest

from rewrite.exchange.acquiring import next_wish
from rewrite.values.decision import Retry
from rewrite.values.events import Acquire
from rewrite.values.outcome import Kind
from tests.rewrite.histories import STALLED, history, rejected

SO_FAR = history(("a", rejected(Kind.AUTH, 401)), ("b", rejected(Kind.RATE, 429)), ("c", STALLED))
WISH = Acquire(4, refused=frozenset("a"), resting=frozenset("b"))


@pytest.mark.parametrize(
    ("decision", "wish"),
    [
        (Retry(rotate=True), replace(WISH, avoid=frozenset("abc"))),
        (Retry(delay=0.5), replace(WISH, prefer="c")),
        (Retry(credential="d"), replace(WISH, prefer="d", insist=True)),
    ],
    ids="rotate same former".split(),
)
def test_keys_that_named_themselves_are_told_apart_from_those_that_failed(
    decision: Retry, wish: Acquire
) -> None:
    assert next_wish(4, SO_FAR, decision) == wish
