"""The comment of a call."""

from typing import Any

import pytest

from rewrite.records.comment import BETWEEN, VERDICT, comment
from tests.rewrite.records.test_line import RECORD, tried


def test_a_comment_begins_with_the_verdict_and_stays_readable_in_one_line() -> None:
    found = comment({**RECORD, "first_token": 0.531})
    assert found.replace("\n", " ") == (
        "ok 12k>850 · attempt 1 with work: completed after 12.40 s · first token after 0.53 s "
        "· $0.0312, by list prices"
    )


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"verdict": "spare"}, "spare x4 12k>850"),
        ({"verdict": "truncated", "usage_estimated": True}, "truncated x4 >~850"),
        ({"verdict": "fallback", "tokens_in": None, "tokens_out": None}, "fallback x4"),
        ({"verdict": "continued", "tokens_in": 199_000, "tokens_out": 12_000}, "continued x4 >12k"),
    ],
)
def test_the_verdict_is_said_in_a_few_characters(changed: dict[str, Any], verdict: str) -> None:
    four = tried(*[("a", "stalled")] * 4)["attempts"]
    found = comment({**RECORD, "attempts": [{**one, "ended": 1.0} for one in four], **changed})
    assert found.partition(BETWEEN)[0] == verdict
    assert len(verdict) <= VERDICT


def test_how_it_ended_is_said_where_that_is_not_all_well() -> None:
    ended = {**RECORD, "verdict": "left", "end": "abandoned"}
    assert "abandoned" in comment(ended).split(BETWEEN)
    assert "abandoned: the client left" in comment({**ended, "detail": "the client left"}).split(BETWEEN)


def test_what_is_not_sent_is_said_of_the_target_that_answered() -> None:
    lost = {"losses": ["seed: no such field"], "headers_dropped": ["x-a", "x-b"]}
    assert comment({**RECORD, **lost}).split(BETWEEN)[-2:] == [
        "not sent to openai/gpt-4o: seed: no such field",
        "headers not sent to openai/gpt-4o: x-a, x-b",
    ]
    elsewhere = comment({**RECORD, **lost, "target": "groq/llama openai_chat"})
    assert elsewhere.endswith("headers not sent to groq/llama: x-a, x-b")
