"""What is said of a call: `key=value` pairs, columns, and its comment."""

from typing import Any

import pytest

from rewrite.records.texts import BETWEEN, VERDICT_OF_COMMENT, columns, comment, logfmt, shortened

RECORD: dict[str, Any] = {
    "call": "c0ffee",
    "provider": "openai",
    "operation": "generate",
    "model": "gpt-4o",
    "status": 200,
    "end": "completed",
    "detail": "",
    "truncated": False,
    "first_token": 0.53,
    "seconds": 12.41,
    "tokens_in": 12_345,
    "tokens_out": 850,
    "cost": 0.03123,
    "cost_source": "prices",
    "verdict": "ok",
    "usage_estimated": False,
    "attempts": [{"attempt": 1, "credential": "work", "outcome": "completed", "ended": 12.4}],
}


def tried(*given: tuple[str, str]) -> dict[str, Any]:
    """By credential and outcome."""
    return {"attempts": [{"attempt": 1, "credential": name, "outcome": outcome} for name, outcome in given]}


def test_pairs() -> None:
    assert logfmt({**RECORD, "detail": 'it said "no"'}) == (
        "call=c0ffee provider=openai operation=generate model=gpt-4o status=200 end=completed "
        "detail=\"it said 'no'\" truncated=no first_token=0.53 seconds=12.41 tokens_in=12345 tokens_out=850 "
        "cost=0.03123 cost_source=prices verdict=ok attempts=work:completed"
    )


def test_a_text_that_ends_with_a_backslash_ends_there() -> None:
    """Parsers take it for a mark that the quote after it is none."""
    assert logfmt({**RECORD, "model": "a b\\"}).startswith(
        'call=c0ffee provider=openai operation=generate model="a b\\\\" status=200 '
    )


def test_columns_of_a_call_that_went_straight() -> None:
    assert columns(RECORD) == (
        "ok        gpt-4o                     work                 0.53/12.4s     12k>850 $0.0312"
    )


USUAL = {
    "verdict": "truncated",
    "model": "claude-sonnet-4-5-20250929",
    "seconds": 599.0,
    "first_token": 59.9,
    "tokens_in": 199_999,
    "tokens_out": 63_999,
    "usage_estimated": True,
    "cost": 12.5,
    **tried(("OPENAI_API_KEY_1", "rejected(429 rate)"), ("OPENAI_API_KEY_2", "completed")),
}


def test_with_the_time_usual_names_fit_a_hundred_columns() -> None:
    line, words = columns({**RECORD, **USUAL}).split("  OPENAI", 1)
    assert line == (
        "truncated claude-sonnet-4-5-20250929 OPENAI_API_KEY_1>2    59.9/599s   199k>~63k  $12.50"
    )
    assert len("12:34:56 ") + len(line) <= 100
    assert words == "_API_KEY_1 429 rate"


@pytest.mark.parametrize(
    ("changed", "credentials"),
    [
        (tried(), "-"),
        (tried(("a", "completed")), "a"),
        (tried(("a", "stalled(first_token 30.0s)"), ("a", "completed")), "a"),
        (tried(("work", "rejected(429 rate)"), ("spare", "completed")), "work>spare"),
        (
            tried(("OPENAI_API_KEY_1", "unreachable(x)"), ("OPENAI_API_KEY_12", "completed")),
            "OPENAI_API_KEY_1>12",
        ),
        (tried(("a_rather_long_name_of_a_key", "completed")), "a_rather_.._of_a_key"),
        (tried(("work", "unreachable(x)"), ("a_rather_long_name", "completed")), "work>a_rath..ng_name"),
    ],
)
def test_the_credential_is_the_first_and_the_last_one(changed: dict[str, Any], credentials: str) -> None:
    assert columns({**RECORD, **changed})[37:57].rstrip() == credentials


@pytest.mark.parametrize(
    ("changed", "model"),
    [
        ({"target": "anthropic/claude-sonnet-4-5 anthropic_messages"}, "gpt-4o>claude-sonnet-4-5"),
        ({"target": "openrouter/gpt-4o openai_chat"}, "gpt-4o>openrouter"),
        ({"model": None, "operation": "models"}, "models"),
        ({"model": "accounts/fireworks/models/llama-v3p1-405b"}, "accounts/fir..ma-v3p1-405b"),
    ],
)
def test_the_model_is_the_one_that_was_asked_for_and_the_one_that_answered(
    changed: dict[str, Any], model: str
) -> None:
    assert columns({**RECORD, **changed})[10:37].rstrip() == model


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            tried(("a", "rejected(429 rate)"), ("a", "rejected(429 rate)"), ("b", "completed")),
            "a 429 rate x2",
        ),
        (tried(("a", "stalled(first_token 30.0s)"), ("b", "completed")), "a stalled: first_token 30.0s"),
        ({"verdict": "refused", "status": 401, "detail": "no such key"}, "401 no such key"),
        ({"operation": "embeddings"}, "embeddings"),
        (
            {"skipped": {"groq/x": "no key"}, "losses": ["seed: no", "n: no"]},
            "skipped groq/x: no key; lost seed, n",
        ),
    ],
)
def test_words_stand_only_where_something_happened(changed: dict[str, Any], said: str) -> None:
    assert columns({**RECORD, **changed})[90:] == said


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"tokens_in": None, "tokens_out": None, "cost": None, "first_token": None}, "12.4s"),
        ({"tokens_in": None}, "0.53/12.4s       ?>850 $0.0312"),
        ({"tokens_in": 1_234_567, "tokens_out": 1_500}, "0.53/12.4s   1.2M>1.5k $0.0312"),
    ],
)
def test_what_is_unknown_is_left_out(changed: dict[str, Any], shown: str) -> None:
    assert columns({**RECORD, **changed})[57:].strip() == shown


def test_a_name_is_shortened_in_its_middle() -> None:
    assert shortened("abcdefgh", 8) == "abcdefgh"
    assert shortened("abcdefghi", 8) == "abc..ghi"


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
    assert len(verdict) <= VERDICT_OF_COMMENT


@pytest.mark.parametrize(("credential", "named"), [("work", "work"), ("client", "the tool's own key")])
def test_a_key_that_is_refused_is_to_be_checked(credential: str, named: str) -> None:
    (tried_once,) = tried((credential, "rejected(401 auth)"))["attempts"]
    found = comment({**RECORD, "verdict": "refused", "attempts": [{**tried_once, "ended": 1.0}]})
    assert f"the provider refuses {named}: check it" in found.split(BETWEEN)


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
