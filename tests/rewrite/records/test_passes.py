"""Entries: numbered, dated, and about the attempt that is under way."""

from dataclasses import replace

from protocols.model.call import Call, Operation
from rewrite.records.passes import Asked, Direction, Entry, Stage, TargetTrace, fields_of
from tests.rewrite.records.traces import Kept, trace_of

CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, None, True, ())
ASKED = Asked("anthropic_messages", "anthropic", "claude-x", 1, "work")


def test_an_entry_says_of_which_call_and_when() -> None:
    kept = Kept()
    trace_of(kept, CALL).note("raw_request", Direction.REQUEST, Stage.CLIENT, b"{}", changed=True)
    assert kept.entries == [
        Entry(
            1,
            "raw_request",
            Direction.REQUEST,
            Stage.CLIENT,
            "c0ffee",
            0,
            1005.0,
            "openai_chat",
            "openai",
            "",
            "",
            "",
            True,
            b"{}",
        )
    ]


def test_entries_are_numbered_and_have_the_time_that_it_is() -> None:
    kept = Kept()
    trace = trace_of(kept)
    for now in (5.0, 5.0, 7.5):
        trace.now = now
        trace.note("retry", Direction.REQUEST, Stage.PROXY)
    assert [(entry.sequence, entry.time) for entry in kept.entries] == [(1, 1005.0), (2, 1005.0), (3, 1007.5)]


def test_an_entry_is_about_the_attempt_under_way() -> None:
    """At the client all is in the client's own protocol."""
    kept = Kept()
    trace = trace_of(kept)
    trace.asks(ASKED)
    trace.note("sent_request", Direction.REQUEST, Stage.PROVIDER)
    trace.note("sent_response", Direction.RESPONSE, Stage.CLIENT)
    (sent, given) = kept.entries
    assert (sent.protocol, sent.provider, sent.model) == ("anthropic_messages", "anthropic", "claude-x")
    assert (sent.attempt, sent.credential) == (1, "work")
    assert (given.protocol, given.provider, given.attempt) == ("openai_chat", "anthropic", 1)


def test_bytes_go_to_the_files_of_the_client_and_of_each_attempt() -> None:
    kept = Kept()
    trace = trace_of(kept)
    for attempt in (1, 2):
        trace.asks(replace(ASKED, attempt=attempt))
        trace.from_provider(b"a")
        trace.from_provider(b"b")
    trace.to_client(b"c")
    assert kept.files == {"provider-1": b"ab", "provider-2": b"ab", "client": b"c"}


def test_a_trace_is_closed_once() -> None:
    kept = Kept()
    trace = trace_of(kept)
    trace.close()
    trace.close()
    assert kept.closed == 1


def test_what_is_planned_for_a_target_is_noted_once_when_it_is_asked() -> None:
    kept = Kept()
    trace = trace_of(kept)
    asked, never_asked = TargetTrace(trace), TargetTrace(trace)
    asked.planned("built_request", {"a": 1})
    asked.planned("adapter:clamp_params", {"a": 2}, changed=True)
    never_asked.planned("built_request", {"b": 1})
    assert kept.entries == []
    trace.asks(ASKED)
    asked.asked()
    asked.asked()
    assert [(entry.name, entry.changed, entry.data) for entry in kept.entries] == [
        ("built_request", False, {"a": 1}),
        ("adapter:clamp_params", True, {"a": 2}),
    ]
    assert {entry.provider for entry in kept.entries} == {"anthropic"}


def test_headers_are_pairs_in_order() -> None:
    assert fields_of((("a", "1"), ("b", "2"), ("a", "3"))) == [["a", "1"], ["b", "2"], ["a", "3"]]
