"""After a cut: the rest is asked for, and the client reads one answer."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from protocols.anthropic_messages.signatures import CUT as UNSIGNED
from protocols.base import WireProtocol
from protocols.model.call import Reply
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, objects_at, text_at
from rewrite.continuation.continuation import ClientStream, Continuation, can_continue
from rewrite.translation.translate import translator_of
from rewrite.values.events import (
    Acquire,
    Acquired,
    CancelUpstream,
    ClientGone,
    Event,
    Release,
    Report,
    SendData,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Kind, Rejected, Truncated
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.contract import PROTOCOLS, SSE, Sample, parts, progress, samples
from tests.rewrite.asks import REGISTRY, ask, target_at
from tests.rewrite.continued import CUT, Answer, Continued, asked_of, played
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    JSON,
    MESSAGE_STOP,
    ROLE,
    TERMS,
    Spec,
    block,
    calls,
    delta,
    ending,
    error_chunk,
    event,
    exchange_of,
    finishes,
    own,
    says,
    stop,
)

CONTINUES = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE, limits=Limits(max_attempts=1))
TEXTS = [*samples("text.sse"), *samples("text.ndjson")]
HEADS = {sample.protocol.name: sample.head for sample in TEXTS}
THE_CUT = ROLE + says("Hello wor")
REST = ROLE + says("ld.") + finishes("stop") + DONE
RESPONSES = REGISTRY["openai_responses"]
(RESPONSE,) = (sample for sample in TEXTS if sample.protocol is RESPONSES)


def chat(*answers: Answer, others: Sequence[Spec] = (), stream: bool = True, **fields: object) -> Continued:
    return played(ask("openai_chat", stream=stream, **fields), CHAT, CONTINUES, answers, others)


def answer_of(one: Continued, protocol: WireProtocol = CHAT) -> Progress:
    return progress(parts(protocol, SSE, [one.body]))


def text(found: Progress) -> str:
    return "".join(block.text for block in found.blocks.values() if block.kind is BlockKind.TEXT)


# -- one answer -----------------------------------------------------------------------------------------


def test_the_client_reads_one_answer_under_one_id() -> None:
    one = chat(Answer(THE_CUT, CUT), Answer(REST.replace(b'"c1"', b'"c2"')))
    found = answer_of(one)
    assert (text(found), found.finished[0].reason, found.ended) == ("Hello world.", FinishReason.STOP, True)
    assert b'"c2"' not in one.body
    assert one.body.count(b'"role"') == 1
    assert len(one.heads) == 1
    assert one.summary.end == "completed"
    assert "continued 1 time" in one.summary.detail
    assert [type(each.outcome).__name__ for each in one.summary.attempts] == ["Truncated", "Completed"]


def test_the_rest_is_asked_for_with_what_there_is() -> None:
    one = chat(Answer(THE_CUT, CUT), Answer(REST), temperature=0.5)
    assert one.asked[0] is None
    body = asked_of(one.asked[1])
    *before, said, prompt = objects_at(body, "messages")
    assert (before, said) == (
        [{"role": "user", "content": "hello"}],
        {"role": "assistant", "content": "Hello wor"},
    )
    assert prompt["role"] == "user"
    assert "'Hello wor'" in text_at(prompt, "content")
    assert body["temperature"] == 0.5
    assert [each.instead for each in one.summary.attempts] == one.asked


def test_each_goes_to_another_key() -> None:
    one = chat(
        Answer(THE_CUT, CUT),
        Answer(ROLE + says("ld, worl"), CUT),
        Answer(ROLE + says("d.") + finishes("stop") + DONE),
    )
    assert [sorted(acquire.avoid) for acquire in one.acquires] == [[], ["key-1"], ["key-1", "key-2"]]
    assert text(answer_of(one)) == "Hello world, world."


def test_each_goes_to_another_target_where_there_is_one() -> None:
    other = replace(target_at(ask("openai_chat"), "anthropic_messages"), terms=CONTINUES)
    rest = ANTHROPIC.translator.writer(ask("anthropic_messages"), Reply("x", "m", 1))
    stream = rest.write(parts(CHAT, SSE, [REST]))
    one = chat(Answer(THE_CUT, CUT), Answer(stream), others=[other])
    assert [acquire.target for acquire in one.acquires] == [0, 1]
    assert "max_tokens" in asked_of(one.asked[1])
    found = answer_of(one)
    assert (text(found), found.finished[0].reason) == ("Hello world.", FinishReason.STOP)


def test_usage_is_summed() -> None:
    usage = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}\n\n'
    options = {"include_usage": True}
    counted = ROLE + says("ld.") + finishes("stop") + usage % (20, 3) + DONE
    one = chat(Answer(THE_CUT + usage % (10, 4), CUT), Answer(counted), stream_options=options)
    found = answer_of(one).usage
    assert found
    assert (found.input, found.output) == (30, 7)
    assert one.summary.estimated


@pytest.mark.parametrize("upstream", ["gemini_generate", "anthropic_messages"])
def test_usage_of_what_was_cut_is_summed_where_it_is_translated(upstream: str) -> None:
    """What a target counted before it was cut is known, though it would have been reported at the end
    alone."""
    (sample,) = (each for each in samples("text.sse") if each.protocol.name == upstream)
    frames = [frame.raw for frame in sample.segments([sample.data])]
    half = b"".join(frames[: len(frames) // 2 + 1])
    call = ask("openai_chat", stream_options={"include_usage": True})
    terms = replace(target_at(call, upstream), terms=CONTINUES)
    cut = progress(sample.parts([half])).usage
    assert cut
    assert cut.input
    for rest in (Answer(sample.data), Answer(half, CUT)):
        found = answer_of(played(call, CHAT, terms, [Answer(half, CUT), rest])).usage
        assert found
        assert found.input == 2 * cut.input


# -- how often, and when not ----------------------------------------------------------------------------


def test_the_budget_is_spent_and_the_answer_ends_with_length() -> None:
    pieces = [Answer(ROLE + says(word), CUT) for word in ("ld", " and", " so", " on")]
    one = chat(Answer(THE_CUT, CUT), *pieces)
    assert (len(one.asked), one.summary.end) == (4, "truncated")
    found = answer_of(one)
    assert (text(found), found.finished[0].reason) == ("Hello world and so", FinishReason.LENGTH)


def test_a_repeated_loop_stops() -> None:
    """What adds nothing would add nothing again."""
    again = Answer(ROLE + says("Hello wor"), CUT)
    one = chat(Answer(THE_CUT, CUT), again, again, again)
    assert (len(one.asked), one.summary.end, text(answer_of(one))) == (2, "truncated", "Hello wor")


def test_no_budget_is_no_continuation() -> None:
    one = played(
        ask("openai_chat"), CHAT, structs.replace(CONTINUES, continuations=0), [Answer(THE_CUT, CUT)]
    )
    assert (len(one.asked), one.summary.end) == (1, "truncated")


def test_a_rest_that_is_long_itself_ends_so() -> None:
    one = chat(Answer(THE_CUT, CUT), Answer(ROLE + says("ld") + finishes("length") + DONE))
    found = answer_of(one)
    assert (text(found), found.finished[0].reason) == ("Hello world", FinishReason.LENGTH)
    assert (len(one.asked), one.summary.end) == (2, "completed")


def test_a_continuation_that_comes_whole_is_sent_as_a_stream() -> None:
    """A target that cannot stream has an answer nevertheless."""
    message = {"role": "assistant", "content": "world."}
    body = dump({"id": "c2", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    one = chat(Answer(THE_CUT, CUT), Answer(body[:-9], CUT, JSON), Answer(body, None, JSON))
    found = answer_of(one)
    assert (text(found), found.finished[0].reason) == ("Hello world.", FinishReason.STOP)
    assert len(one.asked) == 3


def test_an_answer_that_comes_whole_is_silent_until_then() -> None:
    """The silence that is a stall is one inside a stream."""
    whole = replace(ask("openai_chat"), stream=False)
    terms = structs.replace(CONTINUES, timing=structs.replace(TERMS.timing, stall=9.0))
    exchange = exchange_of(ask("openai_chat"), CHAT, terms, own(whole, CHAT, terms))
    first: list[Event] = [Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)]
    cut: list[Event] = [UpstreamData(1, THE_CUT), UpstreamClosed(1, CUT), Acquired(2, "b"), UpstreamSent(2)]
    for happens in (*first, *cut):
        exchange.handle(happens, 0.0)
    assert exchange.handle(UpstreamStarted(2, JSON), 0.0) == []


def test_what_an_answer_had_used_that_failed_is_counted() -> None:
    usage = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}\n\n'
    failing = ROLE + usage % (20, 0) + error_chunk("busy", type="overloaded")
    counted = ROLE + says("ld.") + finishes("stop") + usage % (20, 3) + DONE
    options = {"include_usage": True}
    one = chat(Answer(THE_CUT, CUT), Answer(failing), Answer(counted), stream_options=options)
    found = answer_of(one).usage
    assert found
    assert found.input == 40


def test_an_error_in_the_rest_means_for_its_key_what_it_says() -> None:
    slow = error_chunk("slow down", type="rate_limit_error")
    one = chat(Answer(THE_CUT, CUT), Answer(ROLE + says("ld, ") + slow), Answer(REST))
    outcome = one.summary.attempts[1].outcome
    assert isinstance(outcome, Rejected)
    assert outcome.kind is Kind.RATE
    assert answer_of(one).error is None


@pytest.mark.parametrize(
    "failing",
    [
        Answer(b"", "refused"),
        Answer(ROLE, None),
        Answer(ROLE + error_chunk("busy", type="overloaded"), None),
        Answer(b'{"error":{"message":"slow down","type":"rate_limit_error"}}', None, JSON),
        Answer(busy=True),
    ],
    ids=["a reset", "nothing", "an error", "an answer that is no stream", "no key is free"],
)
def test_a_continuation_that_comes_to_nothing_is_not_shown(failing: Answer) -> None:
    one = chat(Answer(THE_CUT, CUT), failing, Answer(REST))
    assert (text(answer_of(one)), len(one.acquires)) == ("Hello world.", 3)
    assert answer_of(one).error is None


def test_an_outage_costs_no_continuation() -> None:
    """Attempts that never connect are repeated with a back-off, and give up with the deadline."""
    exchange = exchange_of(ask("openai_chat"), CHAT, structs.replace(CONTINUES, continuations=1))
    first = (Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE), UpstreamData(1, THE_CUT))
    for happens in (*first, UpstreamClosed(1, CUT)):
        exchange.handle(happens, 0.0)
    away: list[SetTimer] = []
    for attempt in range(2, 8):
        exchange.handle(Acquired(attempt, "b"), 0.0)
        commands = exchange.handle(UpstreamClosed(attempt, "refused", connected=False), 0.0)
        away += [command for command in commands if isinstance(command, SetTimer)]
        asked = exchange.handle(TimerFired(attempt + 1, Timer.BACKOFF), 0.0)
        assert [type(command) for command in asked] == [Acquire]
    assert [timer.seconds for timer in away] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    exchange.handle(Acquired(8, "b"), 0.0)
    *_, report, _ = exchange.handle(UpstreamClosed(8, "refused", connected=False), 121.0)
    assert isinstance(report, Report)
    assert report.summary.end == "truncated"


def test_a_key_that_refused_is_not_asked_again() -> None:
    limited = replace(JSON, status=429)
    body = b'{"error":{"message":"slow","type":"rate_limit_error"}}'
    one = chat(Answer(THE_CUT, CUT), Answer(body, None, limited), Answer(REST))
    kinds = [each.outcome.kind for each in one.summary.attempts if isinstance(each.outcome, Rejected)]
    assert kinds == [Kind.RATE]
    assert text(answer_of(one)) == "Hello world."


def test_what_every_key_would_refuse_is_asked_once() -> None:
    """Of the next target it may be asked."""
    bad = replace(JSON, status=400)
    too_long = Answer(b'{"error":{"message":"too long","code":"context_length_exceeded"}}', None, bad)
    one = chat(Answer(THE_CUT, CUT), too_long)
    assert (len(one.asked), one.summary.end, text(answer_of(one))) == (2, "truncated", "Hello wor")
    assert "400 request" in one.summary.detail
    two = chat(Answer(THE_CUT, CUT), too_long, Answer(REST), others=[CONTINUES, CONTINUES])
    assert ([acquire.target for acquire in two.acquires], text(answer_of(two))) == ([0, 1, 2], "Hello world.")


def anthropic(*frames: bytes) -> bytes:
    started = event("message_start", message={"id": "m1", "model": "model", "usage": {"input_tokens": 3}})
    return b"".join((started, *frames))


THINKS = (block(0, "thinking", thinking="", signature=""), delta(0, type="thinking_delta", thinking="Hm"))
SIGNS = delta(0, type="signature_delta", signature="c2ln")
ANSWERS = (stop(0), block(1, "tool_use", id="t1", name="f", input={}), stop(1), ending("tool_use"))


def test_thinking_that_was_cut_is_closed_and_that_of_the_answer_follows_whole() -> None:
    """The first is marked as one that nobody signed; the call stands after one that is."""
    thought = anthropic(*THINKS, SIGNS, *ANSWERS, MESSAGE_STOP)
    one = played(
        ask("anthropic_messages"), ANTHROPIC, CONTINUES, [Answer(anthropic(*THINKS), CUT), Answer(thought)]
    )
    found = answer_of(one, ANTHROPIC)
    signatures = [part.stop.signature and part.stop.signature.value for part in found.ordered if part.stop]
    assert [part.kind for part in found.ordered] == [BlockKind.REASONING, BlockKind.REASONING, BlockKind.TOOL]
    assert signatures == [UNSIGNED, "c2ln", None]
    assert one.body.count(b"event: message_start") == 1


def test_an_answer_that_only_began_is_asked_for_anew() -> None:
    """`hold_limit` was over, and nothing but its beginning was passed on."""
    exchange = exchange_of(ask("anthropic_messages"), ANTHROPIC, CONTINUES)
    whole = anthropic(block(0, "text", text=""), delta(0, type="text_delta", text="Hi"), stop(0))
    first: list[Event] = [Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)]
    second: list[Event] = [Acquired(2, "b"), UpstreamSent(2), UpstreamStarted(2, SSE)]
    cut: list[Event] = [UpstreamData(1, anthropic()), TimerFired(0, Timer.HOLD), UpstreamClosed(1, CUT)]
    rest: list[Event] = [UpstreamData(2, whole + ending("end_turn") + MESSAGE_STOP), UpstreamClosed(2)]
    sent = [
        command.data
        for each in (Start(), *first, *cut, *second, *rest)
        for command in exchange.handle(each, 0.0)
        if isinstance(command, SendData)
    ]
    found = progress(parts(ANTHROPIC, SSE, sent))
    assert (text(found), found.complete) == ("Hi", True)
    assert b"".join(sent).count(b"event: message_start") == 1


def test_a_call_of_geminis_keeps_its_signature() -> None:
    """Without it the provider refuses the call when it comes back."""
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}
    gemini, asked = REGISTRY["gemini_generate"], ask("gemini_generate")
    said = [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "index": 0}]
    calls_it = [{"content": {"role": "model", "parts": [call]}, "index": 0, "finishReason": "STOP"}]
    first, second = (b"data: " + dump({"candidates": each}) + b"\n\n" for each in (said, calls_it))
    one = played(asked, gemini, CONTINUES, [Answer(first, CUT), Answer(second)])
    assert b'"thoughtSignature":"c2ln"' in one.body
    assert answer_of(one, gemini).finished[0].reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("cut", "fields", "end"),
    [
        (THE_CUT + calls("{}", "f") + calls('{"a'), {}, "failed"),
        (THE_CUT, {"n": 2}, "truncated"),
        (THE_CUT, {"tools": [{"type": "mcp"}]}, "truncated"),
        (THE_CUT, {"response_format": {"type": "json_object"}}, "truncated"),
        (
            THE_CUT,
            {"response_format": {"type": "json_object"}, "tools": [{"type": "web_search"}], "n": None},
            "truncated",
        ),
    ],
    ids=[
        "inside a tool call that was shown",
        "several choices",
        "acting tools",
        "bound to a form",
        "bound to a form beside what nobody else can do",
    ],
)
def test_what_is_not_continued_from(cut: bytes, fields: dict[str, Any], end: str) -> None:
    one = chat(Answer(cut, CUT), **fields)
    assert (len(one.asked), one.summary.end) == (1, end)


def test_a_schema_beside_a_hosted_tool_binds_an_answer() -> None:
    schema = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}
    tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
    bound = ask("openai_responses", tools=tools, text={"format": schema})
    free = ask("openai_responses", tools=tools)
    begun = progress(parts(RESPONSES, SSE, [RESPONSE.data[: RESPONSE.data.index(b"output_text.done")]]))
    assert can_continue(free, RESPONSES, begun)
    assert not can_continue(bound, RESPONSES, begun)


def test_an_answer_that_never_began_ends_with_an_error() -> None:
    """A comment was passed on, so that the client waits no longer; nothing of an answer was."""
    exchange = exchange_of(ask("anthropic_messages"), ANTHROPIC, CONTINUES)
    for happens in (Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)):
        exchange.handle(happens, 0.0)
    exchange.handle(UpstreamData(1, b": hello\n\n"), 0.0)
    exchange.handle(TimerFired(0, Timer.HOLD), 1.0)
    commands = exchange.handle(UpstreamClosed(1, CUT), 2.0)
    assert not [command for command in commands if isinstance(command, Acquire)]
    assert b"event: error" in b"".join(each.data for each in commands if isinstance(each, SendData))


def test_what_a_tool_of_the_providers_did_in_the_rest_is_not_done_again() -> None:
    (sample,) = (each for each in samples("server_tool.sse") if each.protocol is ANTHROPIC)
    frames = [frame.raw for frame in sample.segments([sample.data])]
    at = next(at for at, frame in enumerate(frames) if b"server_tool_use" in frame)
    (first,) = (each for each in samples("text.sse") if each.protocol is ANTHROPIC)
    opened = [frame.raw for frame in first.segments([first.data])]
    said = next(at for at, frame in enumerate(opened) if b"text_delta" in frame)
    answers = [Answer(b"".join(opened[: said + 1]), CUT), Answer(b"".join(frames[: at + 2]), CUT)]
    one = played(ask("anthropic_messages"), ANTHROPIC, CONTINUES, answers)
    assert (len(one.asked), one.summary.end) == (2, "truncated")


def test_a_call_that_is_not_streamed_is_never_continued() -> None:
    body = dump({"choices": [{"index": 0, "message": {"content": "Hello wor"}, "finish_reason": None}]})
    one = chat(Answer(body, CUT, JSON), stream=False)
    assert len(one.asked) == 1


def test_a_cut_tool_call_of_a_continuation_is_dropped_and_named() -> None:
    cut = ROLE + says("ld.") + calls("", "write_file") + calls('{"path": "a')
    whole = ROLE + calls("", "write_file") + calls('{"path": "a"}') + finishes("tool_calls") + DONE
    one = chat(Answer(THE_CUT, CUT), Answer(cut, CUT), Answer(whole))
    found = answer_of(one)
    assert found.finished[0].reason is FinishReason.TOOL_CALLS
    calls_made = [block.text for block in found.blocks.values() if block.kind is BlockKind.TOOL]
    assert calls_made == ['{"path": "a"}']
    assert "'write_file'" in dump(asked_of(one.asked[2])).decode()
    assert "'write_file'" not in dump(asked_of(one.asked[1])).decode()


@pytest.mark.parametrize("name", [each.name for each in PROTOCOLS if each.name != "ollama_chat"])
def test_a_lost_call_is_named_where_nothing_was_said(name: str) -> None:
    """Only what was thought came before it. The call that is demanded stays so."""
    protocol, call = REGISTRY[name], ask(name)
    client_stream = ClientStream(
        Progress(),
        translator_of(protocol).writer(call, Reply("x", "m", 1)),
        protocol.encoder(call),
        "write_file",
    )
    asked = dump(asked_of(Continuation(call, protocol, client_stream).request(own(call, protocol))))
    assert b"'write_file'" in asked
    assert b"interrupted" not in asked
    turns = len(re.findall(rb'"role":', asked))
    assert turns == 2
    demanding = replace(call, body={**call.body, "tool_choice": "required"})
    assert b'"required"' in dump(
        asked_of(Continuation(demanding, protocol, client_stream).request(own(demanding, protocol)))
    )


def test_half_of_a_character_is_not_sent() -> None:
    body = asked_of(chat(Answer(ROLE + says("Hi \ud83d"), CUT), Answer(REST)).asked[1])
    assert text_at(objects_at(body, "messages")[1], "content") == "Hi "


def test_nothing_is_asked_for_after_a_finished_tool_call() -> None:
    call = calls("", "f") + calls("{}")
    one = chat(Answer(THE_CUT, CUT), Answer(ROLE + says("ld.") + call + ROLE, CUT), Answer(REST))
    assert len(one.asked) == 2
    assert answer_of(one).complete


def test_thoughts_without_a_word_are_asked_for_anew() -> None:
    thinking = ROLE.replace(b'"content":""', b'"reasoning_content":"Hm"')
    one = chat(Answer(thinking, CUT), Answer(ROLE + says("Hello") + finishes("stop") + DONE))
    assert one.asked == [None, None]
    assert text(answer_of(one)) == "Hello"


# -- every protocol -------------------------------------------------------------------------------------

by_sample = pytest.mark.parametrize("sample", TEXTS, ids=str)


@by_sample
@pytest.mark.parametrize("client", [protocol.name for protocol in PROTOCOLS])
def test_a_repeated_answer_is_read_once_in_every_protocol(sample: Sample, client: str) -> None:
    """Cut after any frame, and then said again as a whole: the client reads it once. So does one of
    another protocol."""
    frames = [frame.raw for frame in sample.segments([sample.data])]
    whole = progress(sample.parts([sample.data]))
    shown = 0
    for at in range(1, len(frames)):
        before = progress(sample.parts(frames[:at]))
        if before.complete or not text(before).strip():
            continue
        shown += 1
        one = cut_and_repeated(sample, b"".join(frames[:at]), client)
        found = progress(parts(REGISTRY[client], HEADS[client], [one.body]))
        assert (text(found), found.finished[0].reason) == (text(whole), whole.finished[0].reason)
        assert found.complete
        assert isinstance(one.summary.attempts[0].outcome, Truncated)
    assert shown


def cut_and_repeated(sample: Sample, data: bytes, client: str) -> Continued:
    call, upstream = ask(client), sample.protocol.name
    terms = CONTINUES if client == upstream else replace(target_at(call, upstream), terms=CONTINUES)
    answers = [Answer(data, CUT, sample.head), Answer(sample.data, None, sample.head)]
    return played(call, REGISTRY[client], terms, answers)


def test_a_rest_is_waited_for_as_long_as_any_answer() -> None:
    """The client's patience is about its first byte, and it has that."""
    timing = structs.replace(TERMS.timing, first_event=30.0, patience=590.0)
    exchange = exchange_of(ask("openai_chat"), CHAT, structs.replace(CONTINUES, timing=timing))
    for happens in (Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)):
        exchange.handle(happens, 0.0)
    exchange.handle(UpstreamData(1, THE_CUT), 0.0)
    exchange.handle(UpstreamClosed(1, CUT), 700.0)
    exchange.handle(Acquired(2, "b"), 700.0)
    assert SetTimer(2, Timer.FIRST_EVENT, 30.0) in exchange.handle(UpstreamSent(2), 700.0)


def test_a_silent_continuation_is_followed_by_another() -> None:
    timing = structs.replace(TERMS.timing, first_token=60.0)
    exchange = exchange_of(ask("openai_chat"), CHAT, structs.replace(CONTINUES, timing=timing))
    before: list[Event] = [Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)]
    cut: list[Event] = [UpstreamData(1, THE_CUT), UpstreamClosed(1, CUT)]
    again: list[Event] = [Acquired(2, "b"), UpstreamSent(2), UpstreamStarted(2, SSE), UpstreamData(2, ROLE)]
    for happens in (*before, *cut, *again):
        exchange.handle(happens, 0.0)
    commands = exchange.handle(TimerFired(2, Timer.FIRST_TOKEN), 60.0)
    assert [type(command) for command in commands[:2]] == [CancelUpstream, Release]
    assert Acquire(3, avoid=frozenset("ab")) in commands


# -- how often, alone -----------------------------------------------------------------------------------


def begun() -> Continuation:
    """A call whose first answer was cut."""
    call = ask("openai_chat")
    reading = own(call, CHAT).reading(SSE)
    reading.pass_on(reading.feed(THE_CUT))
    return Continuation.after(reading, call, CHAT)


def test_it_is_asked_for_so_often_and_no_more() -> None:
    one = begun()
    said = progress(parts(CHAT, SSE, [THE_CUT]))
    assert [one.possible(said, most, None) for most in (0, 1)] == [False, True]
    one.times = 1
    assert [one.possible(said, most, None) for most in (1, 2)] == [False, True]


def test_the_record_says_how_often_it_continued() -> None:
    one = begun()
    one.times = 2
    assert (one.detail("cut"), one.detail("")) == ("continued 2 times; cut", "continued 2 times")


def test_what_was_said_before_the_cut_is_what_the_client_has() -> None:
    assert text(begun().progress(None)) == "Hello wor"


def test_a_long_repetition_is_no_silence() -> None:
    timing = structs.replace(TERMS.timing, first_token=60.0)
    exchange = exchange_of(ask("openai_chat"), CHAT, structs.replace(CONTINUES, timing=timing))
    first: list[Event] = [Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE)]
    cut: list[Event] = [UpstreamData(1, THE_CUT), UpstreamClosed(1, CUT)]
    again: list[Event] = [Acquired(2, "b"), UpstreamSent(2), UpstreamStarted(2, SSE)]
    for happens in (*first, *cut, *again, UpstreamData(2, ROLE + says("Hello"))):
        exchange.handle(happens, 0.0)
    assert exchange.handle(TimerFired(2, Timer.FIRST_TOKEN), 60.0) == []
    (sent_then,) = exchange.handle(UpstreamData(2, says(" world")), 61.0)
    assert isinstance(sent_then, SendData)
    assert b'"ld"' in sent_then.data


def test_a_client_that_leaves_before_the_rest_has_had_an_answer() -> None:
    exchange = exchange_of(ask("openai_chat"), CHAT, CONTINUES)
    cut: list[Event] = [UpstreamData(1, THE_CUT), UpstreamClosed(1, CUT), Acquired(2, "b"), UpstreamSent(2)]
    for happens in (Start(), Acquired(1, "a"), UpstreamSent(1), UpstreamStarted(1, SSE), *cut):
        exchange.handle(happens, 0.0)
    commands = exchange.handle(ClientGone(), 1.0)
    assert [type(command) for command in commands] == [CancelUpstream, Release, Report]
    (report,) = (command for command in commands if isinstance(command, Report))
    assert (report.summary.head, text(report.summary.progress)) == (SSE, "Hello wor")
    assert exchange.handle(UpstreamData(2, REST), 1.0) == []
