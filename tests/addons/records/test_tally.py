"""What a run comes to, by credential."""

from addons.records.tally import Tally
from protocols.model.parts import Usage

COMPLETED, STALLED, LIMITED = "completed", "stalled", "rejected (429 rate)"


def test_attempts_are_counted_by_what_came_of_them() -> None:
    tally = Tally()
    tally.note([("openai/a", LIMITED), ("openai/b", COMPLETED)], Usage(3, 4))
    tally.note([("openai/a", STALLED), ("openai/b", COMPLETED)], Usage(1, None))
    tally.note([("groq/client", LIMITED)], None)
    tally.note([], None)
    assert list(tally.lines()) == [
        "4 calls",
        "groq/client: 1 rejected (429 rate)",
        "openai/a: 1 rejected (429 rate), 1 stalled",
        "openai/b: 2 completed; tokens: 4 in, 4 out",
    ]


def test_one_call_is_one_call() -> None:
    tally = Tally()
    tally.note([("openai/a", COMPLETED)], None)
    assert list(tally.lines()) == ["1 call", "openai/a: 1 completed"]
    assert list(Tally().lines()) == []
