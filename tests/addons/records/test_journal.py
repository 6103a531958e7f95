"""Records: the line, the flow, and what must not be in them."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import flowfilter, http
from mitmproxy.log import ALERT
from mitmproxy.test import tflow
from mitmproxy.utils.emoji import emoji
from msgspec import structs
from pydantic import SecretStr

from addons.records import terminal
from addons.records.journal import _MARKERS, _RESCUED, BETWEEN_TURNS, LAST_TURNS, Journal
from addons.records.record import KEY, Record
from addons.secrets.redaction import Redactor
from protocols import anthropic_messages, openai_chat
from protocols.model.call import Call, Operation
from protocols.model.parts import Usage
from protocols.model.progress import Progress
from rewrite.catalog.providers import Provider
from rewrite.credentials.notices import Notice
from rewrite.exchange.exchange import UnexpectedEvent
from rewrite.records.texts import BETWEEN
from rewrite.translation.translate import Loss
from rewrite.values.decision import Ended
from rewrite.values.events import Summary, UpstreamSent
from rewrite.values.outcome import Completed, Kind, Rejected
from tests.rewrite.scenes import TERMS, exchange_of, own

SECRET = "the-secret-of-a-pool"
CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt-4o", True, ())
SUMMARY = Summary(
    end="completed",
    detail="",
    attempts=(
        Ended(1, "one", Rejected(429, Kind.RATE), 10.25),
        Ended(2, "two", Completed(), 12.0),
    ),
    progress=Progress(usage=Usage(input=12, output=9)),
    began=10.0,
    seconds=2.0,
    first_token=0.5,
    status=200,
)


OPENAI = Provider("openai", "https://api.openai.com", (), ("openai_chat",))
ANTHROPIC = Provider("anthropic", "https://api.anthropic.com", (), ("anthropic_messages",))
TARGET = own(CALL, provider=OPENAI)


def record_of(flow: http.HTTPFlow, **changed: Any) -> Record:
    """The record of CALL, which went to openai alone unless `changed` says otherwise."""
    return replace(Record(flow, CALL, "openai", [TARGET]), **changed)


@pytest.fixture
def flow() -> http.HTTPFlow:
    return tflow.tflow()


@pytest.fixture
def journal() -> Journal:
    redactor = Redactor()
    redactor.learn([SecretStr(SECRET)])
    return Journal(redactor)


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rotator")


def test_the_line_of_a_call(journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture) -> None:
    journal.end(record_of(flow), SUMMARY)
    (line,) = caplog.messages
    assert line == (
        "call=c0ffee provider=openai operation=generate model=gpt-4o status=200 end=completed truncated=no "
        "first_token=0.5 seconds=2.0 tokens_in=12 tokens_out=9 verdict=spare "
        'attempts="one:rejected(429 rate) two:completed"'
    )


def test_the_record_in_the_flow(journal: Journal, flow: http.HTTPFlow) -> None:
    journal.begin(flow, {"client_credential": "abc"})
    journal.begin(flow, {"provider": "openai"})
    journal.end(record_of(flow), SUMMARY)
    record = flow.metadata[KEY]
    assert record["client_credential"] == "abc"
    assert record["attempts"] == [
        {"attempt": 1, "credential": "one", "outcome": "rejected(429 rate)", "ended": 0.25},
        {"attempt": 2, "credential": "two", "outcome": "completed", "ended": 2.0},
    ]
    assert (record["tokens_in"], record["tokens_out"], record["usage_estimated"]) == (12, 9, False)
    assert flow.comment.split(BETWEEN) == [
        "spare x2 12>9",
        "attempt 1 with one: rejected(429 rate) after 0.25 s",
        "attempt 2 with two: completed after 2.00 s",
        "first token after 0.50 s",
    ]
    assert record["verdict"] == "spare"


def test_the_record_says_why_it_was_this_credential_and_names_those_that_were_asked_last(
    journal: Journal, flow: http.HTTPFlow
) -> None:
    (first, second) = SUMMARY.attempts
    why = "two is the first that is free; three fails while others serve; four fails while others serve."
    attempts = (first, structs.replace(second, asked_last=("three", "four"), reason=why))
    journal.end(record_of(flow), replace(SUMMARY, attempts=attempts))
    assert "asked_last" not in flow.metadata[KEY]["attempts"][0]
    assert flow.metadata[KEY]["attempts"][1]["asked_last"] == ["three", "four"]
    assert [one.get("reason") for one in flow.metadata[KEY]["attempts"]] == [None, why]
    assert why in flow.comment.split(BETWEEN)


@pytest.mark.parametrize("warning", [True, False])
def test_a_notice_is_a_line_of_its_own_without_keys(
    journal: Journal, caplog: pytest.LogCaptureFixture, *, warning: bool
) -> None:
    journal.notice(Notice("openai/one was refused (401: no sk-0123456789abcdef)", warning=warning))
    (record,) = caplog.records
    assert record.levelno == (logging.WARNING if warning else ALERT)
    assert record.message == "openai/one was refused (401: no [redacted])"


@pytest.mark.parametrize(
    ("end", "marker", "over_another"),
    [
        ("completed", ":key:", ":star:"),
        ("abandoned", "", ":star:"),
        ("truncated", ":scissors:", ":scissors:"),
        ("failed", ":warning:", ":warning:"),
        ("refused", ":no_entry:", ":no_entry:"),
    ],
)
def test_a_marker_says_what_happened_and_leaves_that_of_the_user_where_all_went_well(
    journal: Journal, flow: http.HTTPFlow, end: str, marker: str, over_another: str
) -> None:
    journal.end(record_of(flow), replace(SUMMARY, end=end))
    assert flow.marked == marker
    flow.marked = ":star:"
    journal.end(record_of(flow), replace(SUMMARY, end=end))
    assert flow.marked == over_another


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("~comment ^spare", True),
        ("~comment ^fallback", False),
        ("~meta gpt-4o", True),
        ("~meta gpt-5", False),
        ("~marker key", True),
        ("~marker scissors", False),
    ],
)
def test_flows_are_found_by_what_came_of_their_calls(
    journal: Journal, flow: http.HTTPFlow, expression: str, *, fits: bool
) -> None:
    journal.end(record_of(flow), SUMMARY)
    assert bool(flowfilter.match(expression, flow)) == fits


@pytest.mark.parametrize("name", [*_RESCUED.values(), *_MARKERS.values()])
def test_mitmproxy_has_the_marker(name: str) -> None:
    assert name in emoji


def test_an_estimate_is_called_one(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.end(record_of(flow), replace(SUMMARY, end="truncated", estimated=True))
    assert (
        flow.comment.split(BETWEEN)[-1] == "the counts of tokens are estimates, since the provider gave none"
    )
    assert " estimated=yes" in caplog.messages[0]


def test_no_secret_is_written_anywhere(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.begin(flow, {"a": SECRET, "b": [{"c": f"x {SECRET}"}], "d": None, "e": 1})
    journal.end(record_of(flow, call=replace(CALL, model=SECRET)), replace(SUMMARY, detail=f"said {SECRET}"))
    assert SECRET not in repr(flow.get_state())
    assert SECRET not in caplog.text
    assert (flow.metadata[KEY]["d"], flow.metadata[KEY]["e"]) == (None, 1)


def test_a_text_cannot_forge_a_line(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.end(record_of(flow, call=replace(CALL, model='x" end=completed\ncall=fake')), SUMMARY)
    (line,) = caplog.messages
    assert "\n" not in line
    assert 'model="x\' end=completed\\\\x0acall=fake"' in line


def test_what_a_client_calls_its_model_is_cut_and_obeyed_by_no_terminal(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    model = "\x1b[2J" + "m" * 100_000 + SECRET
    target = own(replace(CALL, model=model), provider=OPENAI)
    record = record_of(flow, call=replace(CALL, model=model), targets=[target] * 2, provider="groq")
    journal.end(record, SUMMARY)
    (line,) = caplog.messages
    kept = flow.metadata[KEY]
    assert len(kept["model"]) < 220
    assert len(kept["attempts"][0]["target"]) < 220
    assert all(len(each) < 2_100 for each in flow.comment.splitlines())
    assert "\x1b" not in line + flow.comment + repr(kept["model"]).replace("\\\\x1b", "")


ELSEWHERE = (
    TARGET,
    own(
        replace(CALL, model="claude"),
        anthropic_messages.PROTOCOL,
        provider=ANTHROPIC,
        original=False,
        losses=(Loss("seed", "has no such field there"), Loss("logit_bias", "neither")),
    ),
)
MOVED = replace(
    SUMMARY,
    attempts=(Ended(1, "one", Rejected(429, Kind.RATE), 10.25), Ended(2, "two", Completed(), 12.0, 1)),
    target=1,
)


def test_a_call_that_went_elsewhere_says_where_and_what_was_lost(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    sent = replace(CALL, headers=(("x-stainless-os", "Linux"), ("OpenAI-Organization", "org")))
    journal.end(record_of(flow, call=sent, targets=ELSEWHERE, skipped={"gemini/g": "n: no"}), MOVED)
    record = flow.metadata[KEY]
    assert record["provider"] == "anthropic"
    assert record["target"] == "anthropic/claude anthropic_messages"
    assert record["losses"] == ["seed: has no such field there", "logit_bias: neither"]
    assert record["headers_dropped"] == ["openai-organization", "x-stainless-os"]
    assert record["skipped"] == {"gemini/g": "n: no"}
    assert [one["target"] for one in record["attempts"]] == ["openai/gpt-4o", "anthropic/claude"]
    line, news = caplog.messages
    assert news == "anthropic/claude answers in place of openai/gpt-4o: one 429 rate"
    assert 'provider=anthropic target="anthropic/claude anthropic_messages" ' in line
    assert " lost=seed,logit_bias " in line
    assert '"openai/gpt-4o/one:rejected(429 rate) anthropic/claude/two:completed"' in line
    assert flow.comment.split(BETWEEN) == [
        "fallback x2 12>9",
        "gemini/g cannot be asked: n: no",
        "attempt 1 at openai/gpt-4o with one: rejected(429 rate) after 0.25 s",
        "attempt 2 at anthropic/claude with two: completed after 2.00 s",
        "first token after 0.50 s",
        "not sent to anthropic/claude: seed: has no such field there",
        "not sent to anthropic/claude: logit_bias: neither",
        "headers not sent to anthropic/claude: openai-organization, x-stainless-os",
    ]


def test_a_call_that_stayed_says_nothing_of_routes(journal: Journal, flow: http.HTTPFlow) -> None:
    journal.end(record_of(flow), SUMMARY)
    assert not {"target", "losses", "headers_dropped", "skipped"} & flow.metadata[KEY].keys()


def test_a_call_that_nobody_was_asked_about_has_a_record_too(journal: Journal, flow: http.HTTPFlow) -> None:
    summary = replace(SUMMARY, end="refused", detail="nobody", attempts=(), progress=Progress(), status=400)
    journal.end(record_of(flow, targets=(), skipped={"gemini/g": f"n: {SECRET}"}), summary)
    record = flow.metadata[KEY]
    assert (record["provider"], record["end"], record["status"]) == ("openai", "refused", 400)
    assert SECRET not in repr(flow.get_state())


def test_a_fault_is_reported_by_type_and_place(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError) as raised:
        dict[str, str]().__getitem__(SECRET)
    journal.failed("call c0ffee", raised.value)
    (line,) = caplog.messages
    assert line.startswith("call c0ffee: KeyError in test_a_fault_is_reported_by_type_and_place:")
    assert caplog.records[0].exc_info is None


def test_an_internal_error_says_what_could_not_happen(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UnexpectedEvent) as raised:
        exchange_of(CALL, openai_chat.PROTOCOL, TERMS).handle(UpstreamSent(1), 0.0)
    journal.failed("call c0ffee", raised.value)
    (line,) = caplog.messages
    assert line.startswith("call c0ffee: UnexpectedEvent in handle:")
    assert line.endswith(": UpstreamSent in state NEW")


def test_a_target_that_could_not_be_asked_is_in_the_line(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.end(replace(record_of(flow), skipped={"groq/x": "tools[0].type: hosted"}), SUMMARY)
    assert 'skipped="groq/x: tools[0].type: hosted"' in caplog.messages[0]


def test_the_turns_of_a_websocket(journal: Journal, flow: http.HTTPFlow) -> None:
    journal.begin(flow, {"websocket": "bridged"})
    for number in range(LAST_TURNS + 2):
        turn = tflow.tflow()
        journal.end(record_of(turn), replace(SUMMARY, detail=f"turn {number}", status=200 + number))
        journal.turn(flow, turn)
    record = flow.metadata[KEY]
    assert record["websocket"] == "bridged"
    assert [each["status"] for each in record["turns"]] == list(range(202, 202 + LAST_TURNS))
    assert flow.comment.count("completed: turn ") == LAST_TURNS
    assert "turn 1\n" not in flow.comment
    assert f"completed: turn {LAST_TURNS + 1}\n" in flow.comment.split(BETWEEN_TURNS)[0]
    assert flow.marked == ":key:"


def test_a_turn_that_failed_marks_its_websocket(journal: Journal, flow: http.HTTPFlow) -> None:
    for end in ("refused", "completed"):
        turn = tflow.tflow()
        journal.end(record_of(turn), replace(SUMMARY, end=end))
        journal.turn(flow, turn)
    assert flow.marked == ":no_entry:"


@pytest.mark.parametrize(
    ("say", "line_of"),
    [
        (Journal.waiting, "waits 12 s for another attempt: one: rejected(429 rate)"),
        (Journal.asked_again, "is asked again after 12 s: one: rejected(429 rate)"),
    ],
)
def test_a_wait_is_said_while_it_lasts(
    flow: http.HTTPFlow,
    caplog: pytest.LogCaptureFixture,
    say: Callable[[Journal, Record, float, str], None],
    line_of: str,
) -> None:
    shown: list[str] = []
    journal = Journal(Redactor(), lambda changed: shown.append(changed.comment))
    say(journal, record_of(flow), 12.3, "one: rejected(429 rate)")
    assert shown == [flow.comment] == [line_of]
    assert caplog.messages == [f"call=c0ffee provider=openai model=gpt-4o: {line_of}"]


def test_a_wait_says_nothing_that_a_model_is_called(
    flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    called = replace(CALL, model="x status=200 verdict=ok")
    Journal(Redactor()).waiting(record_of(flow, call=called), 12.3, "one: rejected(429 rate)")
    assert caplog.messages[0].startswith(
        'call=c0ffee provider=openai model="x status=200 verdict=ok": waits '
    )


@pytest.mark.parametrize(("left", "more"), [(None, ""), (25.2, ", and waits 25 s more at most")])
def test_a_silence_is_said_while_it_lasts(
    journal: Journal, flow: http.HTTPFlow, left: float | None, more: str
) -> None:
    journal.silent(record_of(flow), "one", 5.1, left)
    assert flow.comment == f"has had no answer with one for 5 s{more}"


def test_lines_of_calls_are_in_the_layout_that_was_asked_for(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.lay_out("columns")
    journal.end(record_of(flow), SUMMARY)
    journal.waiting(record_of(flow), 12.3, "one: rejected(429 rate)")
    ended, waits = caplog.records
    assert ended.message.startswith("spare     gpt-4o ")
    assert getattr(ended, terminal.CALL) == flow.metadata[KEY]
    assert waits.message == "openai gpt-4o: waits 12 s for another attempt: one: rejected(429 rate)"
    assert waits.levelno == ALERT


def test_a_run_is_summed_up_by_credential(
    journal: Journal, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    journal.end(record_of(flow), SUMMARY)
    journal.end(record_of(flow), SUMMARY)
    caplog.clear()
    journal.close()
    assert caplog.messages == [
        "summary: 2 calls",
        "summary: openai/one: 2 rejected (429 rate)",
        "summary: openai/two: 2 completed; tokens: 24 in, 18 out",
    ]


def test_a_run_without_a_call_has_no_summary(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    journal.close()
    assert caplog.messages == []


@pytest.mark.parametrize("junk", ["junk", None, ["x"], 7])
def test_what_others_left_in_the_place_of_the_record_is_no_fault(
    flow: http.HTTPFlow, journal: Journal, junk: object
) -> None:
    flow.metadata[KEY] = junk
    journal.begin(flow, {"provider": "openai"})
    assert flow.metadata[KEY] == {"provider": "openai"}
