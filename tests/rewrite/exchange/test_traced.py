"""The passes of conversations with the exchange. A traced one decides as any other does."""

from collections.abc import Sequence

import pytest
from msgspec import structs

from protocols.model.call import Call
from protocols.model.wirejson import JsonObject
from rewrite.exchange.traced import TracedExchange
from rewrite.targets.wanted import Terms
from rewrite.values.events import (
    CALL,
    Acquired,
    ClientGone,
    Event,
    NoneFree,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import After, handled
from tests.rewrite.asks import ask
from tests.rewrite.records.traces import Kept, trace_of
from tests.rewrite.scenes import (
    CHAT,
    DONE,
    JSON,
    SSE,
    TERMS,
    Spec,
    call,
    error_body,
    exchange_of,
    finishes,
    refused,
    says,
    targets,
    timed,
)

OPEN = ["selection", "raw_response", "stream_started"]
SEEN = [*OPEN, "stream_first_byte", "stream_first_visible"]


def played(*events: Event | After, one: Call | None = None, at: Sequence[Spec] = (TERMS,)) -> Kept:
    """The trace of a conversation. Without a trace it is the same one."""
    kept, made = Kept(), one or call()
    plain = exchange_of(made, CHAT, *at)
    traced = TracedExchange(made, CHAT, targets(made, CHAT, *at), 0.0, trace_of(kept))
    now = 0.0
    for event in (Start(), *events):
        if isinstance(event, After):
            now += event.seconds
        else:
            assert str(handled(traced, event, now)) == str(plain.handle(event, now))
    return kept


def opened(attempt: int = 1, credential: str = "a") -> list[Event]:
    return [Acquired(attempt, credential), UpstreamSent(attempt), UpstreamStarted(attempt, SSE)]


def data(kept: Kept, name: str) -> list[JsonObject]:
    found = [entry.data for entry in kept.entries if entry.name == name]
    assert all(isinstance(each, dict) for each in found)
    return [each for each in found if isinstance(each, dict)]


def test_a_stream_begins_is_seen_and_ends() -> None:
    end = UpstreamData(1, finishes("stop") + DONE), UpstreamClosed(1)
    kept = played(*opened(), After(2.5), UpstreamData(1, says("Hi")), *end)
    assert kept.names == [*SEEN, "parsed_response"]
    assert data(kept, "stream_first_visible") == [{"seconds": 2.5}]
    assert {(entry.provider, entry.credential, entry.attempt) for entry in kept.entries} == {
        ("vendor", "a", 1)
    }


def test_a_whole_answer_has_no_passes_of_a_stream() -> None:
    body = b'{"id":"c1","choices":[]}'
    begun = Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, JSON)
    kept = played(*begun, UpstreamData(1, body), UpstreamClosed(1), one=call(stream=False))
    assert kept.names == ["selection", "raw_response"]


def test_why_a_credential_was_chosen() -> None:
    kept = played(Acquired(1, "a", "b", ("c",), "a is the first that is free."))
    reason = {"reason": "a is the first that is free.", "former": "b", "asked_last": ["c"]}
    assert data(kept, "selection") == [{"chosen": "a", **reason}]


def test_a_call_that_waits_for_a_credential() -> None:
    kept = played(NoneFree(1, 7.00004, keys=("a is rate-limited",)), Acquired(1, "a"))
    none, line, found = data(kept, "selection")
    assert none == {"chosen": None, "wait": 7.0, "keys": ["a is rate-limited"]}
    assert (line["chosen"], found) == (None, {"chosen": "a"})
    assert line["waits_in_line"]


def test_a_retry_says_after_what() -> None:
    kept = played(Acquired(1, "a"), UpstreamClosed(1, "refused", connected=False))
    (retry,) = data(kept, "retry")
    assert (retry["decision"], retry["after"]) == ("retry", "unreachable(refused)")
    assert retry["delay"]


def test_a_fallback_names_the_target() -> None:
    once = structs.replace(TERMS, limits=Limits(max_attempts=1), pooled=False)
    rejected = UpstreamStarted(1, refused(503)), UpstreamData(1, error_body("busy")), UpstreamClosed(1)
    kept = played(Acquired(1, "a"), UpstreamSent(1), *rejected, Acquired(2, "b"), at=(once, once))
    assert kept.names == ["selection", "raw_response", "retry", "selection"]
    (retry,) = data(kept, "retry")
    assert (retry["decision"], retry["target"]) == ("fallback", "vendor/model")


def test_a_call_that_is_given_up() -> None:
    rejected = UpstreamStarted(1, refused(400)), UpstreamData(1, error_body("bad")), UpstreamClosed(1)
    kept = played(Acquired(1, "a"), UpstreamSent(1), *rejected)
    assert kept.names == ["selection", "raw_response", "retry"]
    (retry,) = data(kept, "retry")
    assert (retry["decision"], retry["detail"]) == ("give up", "the provider's own answer")


@pytest.mark.parametrize("committed", [True, False])
def test_heartbeats(committed: bool) -> None:
    terms = timed(TERMS, heartbeat=15.0, heartbeat_before_commit=not committed)
    if committed:
        beats = [*opened(), UpstreamData(1, says("Hi")), After(15.0), TimerFired(1, Timer.HEARTBEAT)]
    else:
        beats = [After(15.0), TimerFired(CALL, Timer.HEARTBEAT_BEFORE_COMMIT)]
    kept = played(*beats, at=(terms,))
    assert kept.names == [*(SEEN if committed else ()), "stream_heartbeat"]


def stalls(terms: Terms) -> Kept:
    silence = After(30.0), TimerFired(1, Timer.STALL)
    return played(*opened(), UpstreamData(1, says("Hi")), *silence, at=(timed(terms, stall=30.0),))


def test_a_stall() -> None:
    kept = stalls(TERMS)
    assert kept.names == [*SEEN, "stream_stall", "parsed_response"]
    assert data(kept, "stream_stall") == [{"timer": "stall", "seconds": 30.0}]


def test_a_stream_that_nothing_comes_of() -> None:
    """Its attempt was silent, too."""
    terms = timed(TERMS, first_event=30.0)
    kept = played(*opened()[:2], After(30.0), TimerFired(1, Timer.FIRST_EVENT), at=(terms,))
    assert kept.names == ["selection", "stream_stall", "retry"]
    assert data(kept, "stream_stall") == [{"timer": "first_event", "seconds": 30.0}]


def test_a_cut_that_is_continued() -> None:
    terms = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE)
    begun = *opened(), UpstreamData(1, says("Hello wor")), UpstreamClosed(1, "reset")
    rest = UpstreamData(2, says("ld.") + finishes("stop") + DONE), UpstreamClosed(2)
    kept = played(*begun, *opened(2, "b"), *rest, one=ask("openai_chat"), at=(terms,))
    again = ["stream_cut", "retry", "selection", "stream_continuation", "raw_response", "stream_started"]
    assert kept.names == [*SEEN, *again, "stream_first_byte", "parsed_response"]
    assert data(kept, "stream_cut") == [{"cause": "reset"}]
    assert [each["decision"] for each in data(kept, "retry")] == ["continue"]
    (continuation,) = data(kept, "stream_continuation")
    assert "Hello wor" in str(continuation["body"])
    (parsed,) = data(kept, "parsed_response")
    assert "Hello world." in str(parsed["parts"])


def test_a_continuation_that_comes_to_nothing() -> None:
    """No cut is noted twice."""
    terms = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE, continuations=1)
    begun = *opened(), UpstreamData(1, says("Hello wor")), UpstreamClosed(1, "reset")
    kept = played(*begun, *opened(2, "b"), UpstreamClosed(2), one=ask("openai_chat"), at=(terms,))
    assert kept.names.count("stream_cut") == 2
    assert kept.names[-2:] == ["stream_cut", "parsed_response"]


@pytest.mark.parametrize(
    ("events", "names"),
    [
        ([], ["stream_cancelled"]),
        ([*opened(), UpstreamData(1, says("Hi"))], [*SEEN, "stream_cancelled", "parsed_response"]),
    ],
    ids=["before", "in the middle"],
)
def test_a_client_that_leaves(events: list[Event], names: list[str]) -> None:
    kept = played(*events, After(3.0), ClientGone(), ClientGone())
    assert kept.names == names
    assert data(kept, "stream_cancelled") == [{"seconds": 3.0}]


def test_what_comes_of_an_attempt_that_is_over_is_not_noted() -> None:
    kept = played(Acquired(1, "a"), UpstreamClosed(1, "refused", connected=False), UpstreamStarted(1, SSE))
    assert "raw_response" not in kept.names
