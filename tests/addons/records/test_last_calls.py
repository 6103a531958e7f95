"""Which call of a conversation was the last."""

import pytest
from msgspec.structs import replace

from addons.records import last_calls
from addons.records.last_calls import LastCalls
from tests.addons.entries import ended

ENTRY = ended(
    at=90.0,
    provider="anthropic",
    protocol="anthropic_messages",
    model="claude-opus-4-5",
    served="claude-opus-4-5-20251101",
    credential="work",
    tokens=None,
    cost=None,
    cost_source="",
    session="aa",
)
SMALL = replace(ENTRY, call="beef", model="claude-haiku-4-5")


@pytest.fixture
def last() -> LastCalls:
    return LastCalls()


def test_it_is_that_of_the_model_that_is_asked_for_or_else_of_any(last: LastCalls) -> None:
    last.take([ENTRY])
    last.take([SMALL])
    found = [last.find("aa", model) for model in ("claude-opus-4-5", "another", "")]
    assert found == [ENTRY, SMALL, SMALL]
    assert last.find("bb", "claude-opus-4-5") is None


def test_only_answers_of_stated_conversations_count(last: LastCalls) -> None:
    last.take([replace(ENTRY, session="")])
    last.take([replace(ENTRY, operation="count_tokens")])
    assert (last.find("", ""), last.find("aa", "")) == (None, None)


def test_what_was_used_least_recently_is_forgotten(last: LastCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_calls, "MOST_SESSIONS", 2)
    monkeypatch.setattr(last_calls, "MOST_MODELS", 2)
    for session in ("aa", "bb", "aa", "cc"):
        last.take([replace(ENTRY, session=session)])
    assert [bool(last.find(session, "")) for session in ("aa", "bb", "cc")] == [True, False, True]
    for model in ("two", "three"):
        last.take([replace(ENTRY, model=model)])
    models = [
        found.model for model in ("claude-opus-4-5", "two", "three") if (found := last.find("aa", model))
    ]
    assert models == ["three", "two", "three"]
