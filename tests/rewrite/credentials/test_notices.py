"""What a user learns of a credential, and how often."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.model.http import WireResponse
from rewrite.credentials.credential import Credential
from rewrite.credentials.notices import Notice, notices
from rewrite.credentials.settling import Attempted, is_news, settle
from rewrite.credentials.state import PoolState
from rewrite.values.outcome import Completed, Kind, Outcome, Rejected, Truncated

BODY = b'{"error": {"message": "who?", "code": "invalid_api_key"}}'
AUTH = Rejected(401, Kind.AUTH, "who?", None, WireResponse(401, (), BODY))
FORBIDDEN = Rejected(403, Kind.FORBIDDEN, "not yours")


def noted(*events: tuple[float, Outcome]) -> list[Notice]:
    """What is said after each of these outcomes of one key, which came at these seconds."""
    state = PoolState((Credential("OPENAI_API_KEY_1", "openai"),))
    said: list[Notice] = []
    attempted = Attempted("OPENAI_API_KEY_1", "model:gpt-5", "talk")
    for at, outcome in events:
        before, state = state, settle(state, attempted, outcome, at)
        said += notices(before, state, attempted, at)
    return said


def test_a_refused_key_is_a_warning_with_its_name_the_reason_the_remedy_and_the_next_try() -> None:
    (notice,) = noted((0.0, AUTH))
    assert notice.warning
    for part in ("openai/OPENAI_API_KEY_1 was refused (401 invalid_api_key: who?)", "check the key", "300 s"):
        assert part in notice.text
    assert "rotator.resume" in notice.text


def test_it_is_said_once_for_calls_that_were_under_way_together() -> None:
    assert len(noted((0.0, AUTH), (0.5, AUTH), (299.0, AUTH))) == 1


def test_a_key_that_is_refused_again_is_one_line_and_no_second_warning() -> None:
    first, again = noted((0.0, AUTH), (300.0, AUTH))
    assert (first.warning, again.warning) == (True, False)
    assert again.text == (
        "openai/OPENAI_API_KEY_1 is refused again (401 invalid_api_key); it is tried again in 600 s"
    )


def test_an_attempt_that_says_nothing_of_a_key_is_no_refusal() -> None:
    """Though the key was refused before, and is tried again."""
    assert len(noted((0.0, AUTH), (301.0, Truncated("cut")), (302.0, Rejected(400, Kind.REQUEST)))) == 1


def test_what_a_healthy_key_does_is_no_news() -> None:
    fresh = PoolState((Credential("one", "openai"), Credential("two", "openai")))
    attempted = Attempted("one", "model:gpt-5", "talk")
    served = settle(fresh, attempted, Completed(), 0.0)
    assert not is_news(fresh, served)
    assert not is_news(served, settle(served, attempted, Completed(), 1.0))
    for outcome in (AUTH, FORBIDDEN, Rejected(429, Kind.RATE), Rejected(500, Kind.SERVER), Truncated("cut")):
        assert is_news(served, settle(served, attempted, outcome, 2.0))


def test_a_key_that_works_again_is_said_to_and_may_be_warned_of_once_more() -> None:
    said = noted((0.0, AUTH), (300.0, Completed()), (400.0, Completed()), (500.0, AUTH))
    assert [one.warning for one in said] == [True, False, True]
    assert said[1].text == "openai/OPENAI_API_KEY_1 works again"


def test_a_key_that_may_not_use_a_model_is_named_with_the_model() -> None:
    said = noted((0.0, FORBIDDEN), (301.0, Completed()))
    assert said[0].text.startswith("openai/OPENAI_API_KEY_1 for model gpt-5 was refused (403: not yours)")
    assert said[1].text == "openai/OPENAI_API_KEY_1 for model gpt-5 works again"


def test_a_rate_limit_and_a_failure_are_nobody_s_to_mend() -> None:
    assert (
        noted((0.0, Rejected(429, Kind.RATE)), (1.0, Rejected(500, Kind.SERVER)), (90.0, Completed())) == []
    )


def test_a_key_that_fails_while_others_serve_is_one_line_when_it_becomes_the_last() -> None:
    state = PoolState((Credential("one", "openai"), Credential("two", "openai")))
    said: list[Notice] = []
    for at in range(12):
        name, outcome = ("two", Completed()) if at % 2 else ("one", Rejected(500, Kind.SERVER))
        attempted = Attempted(name, "model:gpt-5", f"talk {at}")
        before, state = state, settle(state, attempted, outcome, float(at))
        said += notices(before, state, attempted, float(at))
    (line,) = said
    assert line.text.startswith("openai/one for model gpt-5 failed 3 times in a row while other keys served")
    assert line.text.endswith("it is asked last for 60 s")


def test_a_key_that_lacks_a_model_is_one_line_once_another_key_serves_it() -> None:
    state = PoolState((Credential("one", "openai"), Credential("two", "openai")))
    said: list[Notice] = []
    unknown = Rejected(404, Kind.MODEL, "no such model")
    for at, name, outcome in ((0.0, "one", unknown), (1.0, "two", Completed()), (2.0, "two", Completed())):
        attempted = Attempted(name, "model:gpt-5", "talk")
        before, state = state, settle(state, attempted, outcome, at)
        said += notices(before, state, attempted, at)
    (line,) = said
    assert line.text == (
        "openai/one for model gpt-5 was refused (404) and another key served; it is tried again in 3600 s"
    )


OUTCOMES: list[Outcome] = [
    AUTH,
    FORBIDDEN,
    Rejected(402, Kind.QUOTA),
    Rejected(404, Kind.MODEL),
    Rejected(429, Kind.RATE),
    Rejected(500, Kind.SERVER),
    Rejected(400, Kind.REQUEST),
    Truncated("cut"),
    Completed(),
]


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["one", "two"]), st.sampled_from(OUTCOMES))))
def test_only_what_is_news_is_sent(steps: list[tuple[int, str, Outcome]]) -> None:
    """So nobody has to ask for notices where nothing changed."""
    state = PoolState((Credential("one", "openai"), Credential("two", "openai")))
    now = 0.0
    for seconds, name, outcome in steps:
        now += seconds
        attempted = Attempted(name, "model:gpt-5", "talk")
        before, state = state, settle(state, attempted, outcome, now)
        assert is_news(before, state) or not list(notices(before, state, attempted, now))


def test_a_pause_is_news_once_and_so_is_its_end() -> None:
    """Three failures of two keys in two conversations make a provider suspected, and a probe decides."""
    state = PoolState((Credential("one", "openai"), Credential("two", "openai")))
    down, said = Rejected(503, Kind.SERVER), list[str]()
    turns: list[tuple[str, str, Outcome, bool]] = [
        ("one", "a", down, False),
        ("two", "a", down, False),
        ("one", "b", down, False),
        ("two", "b", down, True),
        ("one", "a", down, True),
        ("one", "c", Completed(), False),
    ]
    for at, (name, witness, outcome, probe) in enumerate(turns):
        attempted = Attempted(name, "model:gpt-5", witness, probe=probe)
        before, state = state, settle(state, attempted, outcome, float(at))
        said += [notice.text for notice in notices(before, state, attempted, float(at))]
    paused, again = said
    assert paused == (
        "openai for model gpt-5 is paused for 30 s: several keys failed one after the other; "
        "calls that have another target go there meanwhile"
    )
    assert again == "openai for model gpt-5 answers again"
