"""How a call is counted."""

import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace

import pytest
from mitmproxy import http
from mitmproxy.test import tflow
from msgspec import structs
from pydantic import SecretStr

from addons.records.entries import GATHER, Entries, over_of
from addons.records.journal import Journal
from addons.records.record import Record
from addons.secrets.redaction import Redactor
from protocols.model.call import Call, Operation
from protocols.model.http import WireResponse
from protocols.model.parts import MessageStart, Usage
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider
from rewrite.credentials.evidence import hash_of_session
from rewrite.records.verdict import Verdict
from rewrite.usage.costs import Rates
from rewrite.usage.entry import CallEntry, Tokens
from rewrite.usage.own_prices import OwnPrices
from rewrite.usage.prices import Prices
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Completed, Kind, Rejected
from tests.addons.entries import ended
from tests.rewrite.scenes import own

SECRET = "the-secret-of-a-pool"
CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt-4o", True, ())
TARGET = own(CALL, provider=Provider("openai", "https://api.openai.com", (), ("openai_chat",)))
HEAD = MessageStart("chatcmpl-1", "gpt-4o-2024-08-06")
USAGE = Usage(input=12, output=9, cache_read=4, reasoning=2)
ANSWERED = Ended(2, "two", Completed(), 12.0, usage=USAGE, given=True, served="gpt-4o-2024-08-06")
SUMMARY = Summary(
    end="completed",
    detail="",
    attempts=(Ended(1, "one", Rejected(429, Kind.RATE), 10.25), ANSWERED),
    progress=Progress(head=HEAD, usage=USAGE),
    began=10.0,
    seconds=2.0,
    first_token=0.5,
    status=200,
)


class Timer:
    """One that a test fires."""

    def cancel(self) -> None: ...


PRICES = Prices(own=[OwnPrices("openai/gpt-4o-2024-08-06", Rates.of({"input": 1e6, "output": 1e6}))])
"""A dollar a token of the one model that they know."""


@pytest.fixture
def flow() -> http.HTTPFlow:
    return tflow.tflow()


def entry(flow: http.HTTPFlow, summary: Summary = SUMMARY, call: Call = CALL) -> CallEntry:
    """What those who count calls get of one."""
    redactor, heard = Redactor(), list[CallEntry]()
    redactor.learn([SecretStr(SECRET)])
    entries = Entries([heard.extend])
    journal = Journal(redactor, entries=entries, prices=PRICES)
    journal.end(Record(flow, call, "openai", [replace(TARGET, call=call)]), summary)
    entries.drain()
    (only,) = heard
    return only


def test_the_entry_of_a_call(flow: http.HTTPFlow) -> None:
    found = entry(flow)
    assert found == CallEntry(
        at=found.at,
        call="c0ffee",
        provider="openai",
        protocol="openai_chat",
        operation="generate",
        model="gpt-4o",
        served="gpt-4o-2024-08-06",
        credential="two",
        user="",
        verdict=Verdict.SPARE,
        status=200,
        seconds=2.0,
        first_token=0.5,
        attempts=2,
        tokens=Tokens(input=8, cache_read=4, output=9, reasoning=2),
        estimated=False,
        cost=21.0,
        cost_source="own",
        asked="gpt-4o",
    )


def test_the_cost_is_the_one_that_the_provider_states(flow: http.HTTPFlow) -> None:
    stated = replace(SUMMARY, attempts=(structs.replace(ANSWERED, usage=structs.replace(USAGE, cost=0.25)),))
    assert (entry(flow, stated).cost, entry(flow, stated).cost_source) == (0.25, "provider")


def test_no_cost_is_invented(flow: http.HTTPFlow) -> None:
    nameless = replace(SUMMARY, attempts=(structs.replace(ANSWERED, served=""),), progress=Progress())
    unknown = entry(flow, nameless)
    assert (unknown.served, unknown.cost, unknown.cost_source) == ("", None, "")
    assert entry(flow, replace(nameless, attempts=(structs.replace(ANSWERED, usage=None),))).tokens is None


def test_what_the_client_got_nothing_of_is_counted_apart(flow: http.HTTPFlow) -> None:
    lost = Ended(1, "one", Completed(), 11.0, usage=Usage(input=12, output=1), served=ANSWERED.served)
    found = entry(flow, replace(SUMMARY, attempts=(lost, ANSWERED)))
    assert (found.tokens, found.cost) == (entry(flow).tokens, 21.0)
    assert (found.failed_tokens, found.failed_cost) == (13, 13.0)


def test_a_call_that_nobody_was_asked_for(flow: http.HTTPFlow) -> None:
    refused = replace(SUMMARY, end="refused", attempts=(), progress=Progress(), first_token=None)
    found = entry(flow, refused)
    assert (found.credential, found.attempts, found.verdict) == ("", 0, Verdict.REFUSED)


def test_what_is_answered_from_memory_is_no_call(flow: http.HTTPFlow) -> None:
    heard = list[CallEntry]()
    entries = Entries([heard.extend])
    prepared = replace(SUMMARY, attempts=(), progress=Progress())
    Journal(Redactor(), entries=entries).end(Record(flow, CALL, "openai", ()), prepared)
    entries.drain()
    assert heard == []


def test_the_user_is_the_one_of_proxyauth_without_the_password(flow: http.HTTPFlow) -> None:
    flow.metadata["proxyauth"] = ("alice", "her password")
    assert entry(flow).user == "alice"


def test_a_user_is_called_as_the_client_likes(flow: http.HTTPFlow) -> None:
    flow.metadata["proxyauth"] = (f"eve\n\x1b[31m{SECRET}", "")
    assert entry(flow).user == r"eve\x0a\x1b[31m[redacted]"


def test_a_call_that_its_user_killed_was_left(flow: http.HTTPFlow) -> None:
    flow.error = tflow.terr("Connection killed.")
    assert entry(flow, replace(SUMMARY, end="abandoned")).verdict is Verdict.LEFT


def test_what_others_named_is_redacted(flow: http.HTTPFlow) -> None:
    head = MessageStart("chatcmpl-1", f"gpt {SECRET}")
    leaky = structs.replace(ANSWERED, served=head.model)
    summary = replace(SUMMARY, attempts=(leaky,), progress=Progress(head=head, usage=USAGE))
    found = entry(flow, summary, replace(CALL, model=f"say-{SECRET}"))
    assert (found.model, found.asked, found.served) == ("say-[redacted]", "say-[redacted]", "gpt [redacted]")


def test_a_call_that_went_elsewhere_has_the_model_that_was_asked_for_there(flow: http.HTTPFlow) -> None:
    heard = list[CallEntry]()
    entries = Entries([heard.extend])
    there = replace(TARGET, call=replace(CALL, model="gpt-5"))
    Journal(Redactor(), entries=entries).end(Record(flow, CALL, "openai", [there]), SUMMARY)
    entries.drain()
    assert [(one.model, one.asked) for one in heard] == [("gpt-4o", "gpt-5")]


def test_the_conversation_of_an_entry_is_a_hash(flow: http.HTTPFlow) -> None:
    named = replace(CALL, headers=(("session-id", "a-long-session-of-a-client"),))
    assert (entry(flow).session, entry(flow, call=named).session) == (
        "",
        hash_of_session("a-long-session-of-a-client"),
    )


def test_entries_are_counted_together_when_it_is_time_or_somebody_looks() -> None:
    """Each once, in their order, and by one timer."""
    heard, timers = list[list[CallEntry]](), list[tuple[float, Callable[[], None]]]()

    def later(seconds: float, callback: Callable[[], None]) -> Timer:
        timers.append((seconds, callback))
        return Timer()

    entries = Entries([lambda found: heard.append([*found])], later)
    one, two, three = (over_of(ended(call=name), SUMMARY, [TARGET]) for name in ("one", "two", "three"))
    entries.note(one)
    entries.note(two)
    assert ([seconds for seconds, _ in timers], heard) == ([GATHER], [])
    assert dict(entries.tally().outcomes()["openai/one"]) == {"rejected (429 rate)": 2}
    assert heard == [[one.entry, two.entry]]
    entries.note(three)
    for _, fire in timers:
        fire()
    assert heard == [[one.entry, two.entry], [three.entry]]


def test_until_then_nothing_of_a_call_is_kept_but_its_counts() -> None:
    """Bodies are megabytes, and there may be a hundred calls in that time."""
    target, rejected = copy(TARGET), Rejected(429, Kind.RATE, answer=WireResponse(429, (), b"no"))
    summary = replace(SUMMARY, attempts=(structs.replace(SUMMARY.attempts[0], outcome=rejected),))
    held = target, rejected, summary, summary.progress
    before = [*map(sys.getrefcount, held)]
    entries = Entries()
    entries.note(over_of(None, summary, [target]))
    assert [*map(sys.getrefcount, held)] == before
    assert dict(entries.tally().outcomes()) == {"openai/one": {"rejected (429 rate)": 1}}
