"""What came of a call, of the record in its flow."""

from rewrite.views.call_data import call_data, verdict_line

RECORD = {
    "call": "c1",
    "provider": "openai",
    "target": "openai/gpt-5 openai_chat",
    "verdict": "spare",
    "end": "completed",
    "detail": "",
    "seconds": 1.234,
    "first_token": 0.5,
    "tokens_in": 12_000,
    "tokens_out": 850,
    "usage_estimated": True,
    "cost": 0.0123,
    "cost_source": "prices",
    "attempts": [
        {"attempt": 1, "credential": "main", "outcome": "rejected(429 rate)", "ended": 0.3, "reason": "Why."},
        {"attempt": 2, "target": "openai/gpt-5", "credential": "spare", "outcome": "completed", "ended": 1.2},
    ],
    "losses": ["top_k: OpenAI refuses it"],
    "headers_dropped": ["x-mine"],
    "skipped": {"gone": "no key"},
}


def test_all_of_it() -> None:
    assert call_data(RECORD) == {
        "call": "c1",
        "verdict": "spare",
        "asked": "openai/gpt-5 openai_chat with spare",
        "took": "1.23 s, first token after 0.50 s",
        "tokens": "12,000 in, 850 out (estimated)",
        "cost": "$0.0123 (prices)",
        "attempts": [
            {"1 main: rejected(429 rate) after 0.30 s": ["Why."]},
            "2 openai/gpt-5 spare: completed after 1.20 s",
        ],
        "skipped": {"gone": "no key"},
        "not sent": ["top_k: OpenAI refuses it"],
        "headers not sent": ["x-mine"],
    }


def test_in_a_line() -> None:
    asked = "openai/gpt-5 openai_chat with spare"
    assert verdict_line(RECORD) == f"spare; {asked}; 1.23 s, first token after 0.50 s; $0.0123 (prices)"


def test_why_a_call_ended_otherwise() -> None:
    record = {"end": "truncated", "detail": "cut after 3 s", "provider": "openai"}
    assert verdict_line(record) == "truncated: cut after 3 s; openai; 0.00 s"
    assert verdict_line({**record, "verdict": "failed"}).startswith("failed: truncated: cut after 3 s")


def test_a_call_that_is_not_over_says_nothing() -> None:
    assert call_data({"provider": "openai"}) == {}
    assert verdict_line({}) == ""


def test_an_attempt_that_is_a_flow_of_its_own() -> None:
    record = {"of_call": "c1", "attempt": 2, "target": "openai/gpt-5", "protocol": "openai_chat"}
    assert call_data({**record, "credential": "spare", "outcome": "completed"}) == {
        "attempt": "2 of c1",
        "asked": "openai/gpt-5 (openai_chat) with spare",
        "outcome": "completed",
    }
