"""Which credential the next attempt is to have."""

import pytest
from msgspec import structs

from rewrite.policies.rotation import acquire
from rewrite.values.decision import Retry
from rewrite.values.events import Acquire
from rewrite.values.outcome import Kind
from tests.rewrite.histories import STALLED, history, rejected

SO_FAR = history(("a", rejected(Kind.AUTH, 401)), ("b", rejected(Kind.RATE, 429)), ("c", STALLED))
ASKED = Acquire(4, refused=frozenset("a"), resting=frozenset("b"))


@pytest.mark.parametrize(
    ("decision", "command"),
    [
        (Retry(rotate=True), structs.replace(ASKED, avoid=frozenset("abc"))),
        (Retry(delay=0.5), structs.replace(ASKED, prefer="c")),
        (Retry(credential="d"), structs.replace(ASKED, prefer="d", insist=True)),
    ],
    ids="rotate same former".split(),
)
def test_keys_that_named_themselves_are_distinguished_from_those_that_failed(
    decision: Retry, command: Acquire
) -> None:
    assert acquire(4, SO_FAR, decision) == command


def test_a_conversation_s_own_key_is_asked_again_though_its_rate_was_used_up() -> None:
    decision = Retry(awaits="b")
    so_far = history(("a", STALLED), ("b", rejected(Kind.RATE, 429)))
    assert acquire(3, so_far, decision) == Acquire(3, avoid=frozenset("a"), prefer="b")
