"""When calls begin to fall back, and when they no longer do."""

from dataclasses import replace

from addons.records import fallbacks
from addons.records.fallbacks import Fallbacks
from protocols.model.call import Call, Operation
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider
from rewrite.targets.target import Target
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Completed, Kind, Rejected
from tests.rewrite.scenes import own

CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt-4o", True, ())


def targets(*providers: str, model: str = "gpt-4o") -> list[Target]:
    call = replace(CALL, model=model)
    return [
        own(call, provider=Provider(name, "https://a.example", (), ("openai_chat",))) for name in providers
    ]


def answered(target: int, *attempts: Ended, end: str = "completed") -> Summary:
    return Summary(end, "", attempts, Progress(), 0.0, 1.0, target=target)


LIMITED = Ended(1, "work", Rejected(429, Kind.RATE), 0.5)
ELSEWHERE = Ended(2, "main", Completed(), 0.9, target=1)
THREE = targets("openai", "groq", "mistral")


def test_it_is_said_when_it_begins_when_it_goes_elsewhere_and_when_it_is_over() -> None:
    known = Fallbacks()
    said = [
        known.note(THREE, answered(0)),
        known.note(THREE, answered(1, LIMITED, ELSEWHERE)),
        known.note(THREE, answered(1, LIMITED, ELSEWHERE)),
        known.note(THREE, answered(2)),
        known.note(THREE, answered(0, end="failed")),
        known.note(THREE, answered(0)),
        known.note(THREE, answered(0)),
    ]
    assert said == [
        "",
        "groq/gpt-4o answers in place of openai/gpt-4o: work 429 rate",
        "",
        "mistral/gpt-4o answers in place of openai/gpt-4o: none of its keys is free",
        "",
        "openai/gpt-4o answers again",
        "",
    ]


def test_what_is_known_is_bounded() -> None:
    known = Fallbacks()
    for number in range(fallbacks.MOST + 1):
        known.note(targets("openai", "groq", model=f"m{number}"), answered(1))
    assert known.note(targets("openai", "groq", model="m0"), answered(0)) == ""
    assert known.note(targets("openai", "groq", model="m1"), answered(0)) == "openai/m1 answers again"
