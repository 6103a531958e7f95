"""What a run comes to, by credential."""

from addons.records.tally import Tally
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected, Stalled
from rewrite.values.timer import Timer


def of_attempts(*outcomes: Outcome, usage: Usage | None = None) -> Summary:
    attempts = tuple(Ended(number, "x", outcome, 0.0) for number, outcome in enumerate(outcomes, 1))
    return Summary("completed", "", attempts, Progress(usage=usage), 0.0, 1.0)


def test_attempts_are_counted_by_what_came_of_them() -> None:
    tally = Tally()
    limited = Rejected(429, Kind.RATE)
    tally.note(of_attempts(limited, Completed(), usage=Usage(3, 4)), ["openai/a", "openai/b"])
    tally.note(
        of_attempts(Stalled(Timer.FIRST_TOKEN, 3.0), Completed(), usage=Usage(1, None)),
        ["openai/a", "openai/b"],
    )
    tally.note(of_attempts(limited), ["groq/client"])
    tally.note(of_attempts(), [])
    assert list(tally.lines()) == [
        "4 calls",
        "groq/client: 1 rejected (429 rate)",
        "openai/a: 1 rejected (429 rate), 1 stalled",
        "openai/b: 2 completed; tokens: 4 in, 4 out",
    ]


def test_one_call_is_one_call() -> None:
    tally = Tally()
    tally.note(of_attempts(Completed()), ["openai/a"])
    assert list(tally.lines()) == ["1 call", "openai/a: 1 completed"]
    assert list(Tally().lines()) == []
