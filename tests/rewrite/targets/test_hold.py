"""A call that is cut is left out, a whole one is not, and what stands beside them stays: by protocol."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from msgspec import structs

from protocols.base import WireProtocol
from protocols.model.call import Operation
from protocols.model.http import Head
from protocols.model.parts import BlockKind, FinishReason, Ping
from rewrite.adapters.chain import parse_adapters
from rewrite.catalog.routes import Route
from rewrite.targets.target import Target, target_of
from rewrite.values.events import (
    CALL,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.timeouts import Limits, OnTruncation
from rewrite.values.timer import Timer
from tests.contract import JSON, Sample, call, parts, progress, samples
from tests.protocols.gemini_generate.frames import STREAM
from tests.rewrite.asks import REGISTRY, REPLY, ask, route, wanted
from tests.rewrite.edges import GEMINI, OLLAMA, RESPONSES, calling, created, gemini, message_item, response
from tests.rewrite.replay import ONCE, Replay, holding, mode, replay
from tests.rewrite.scenes import (
    ANTHROPIC,
    CHAT,
    DONE,
    MESSAGE,
    MESSAGE_PING,
    MESSAGE_STOP,
    PING,
    ROLE,
    SSE,
    USAGE,
    block,
    chunk,
    delta,
    ending,
    error_chunk,
    event,
    exchange_of,
    finishes,
    says,
    stop,
)

LENGTH, CALLS, STOP = FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.STOP
HALF, WHOLE = '{"city": "Par', '{"city": "Paris"}'


@dataclass(frozen=True, slots=True)
class Got:
    """What a client gets."""

    text: str = ""
    calls: Sequence[tuple[str | None, str]] = field(default_factory=list)
    finish: FinishReason | None = LENGTH
    error: bool = False


def read(protocol: WireProtocol, body: bytes, head: Head = SSE, target: str = "") -> Got:
    found = progress(parts(protocol, head, [body], call(protocol, target=target)))
    text = "".join(one.text for one in found.blocks.values() if one.kind is BlockKind.TEXT)
    tools = [(one.tool_name, one.text) for one in found.blocks.values() if one.kind is BlockKind.TOOL]
    finish = found.finished.get(0)
    return Got(text, tools, finish.reason if finish else None, found.error is not None)


def held(
    protocol: WireProtocol,
    *frames: bytes,
    cause: str | None = "reset",
    on_truncation: OnTruncation = OnTruncation.AUTO,
) -> Replay:
    """An answer with held calls that came in these frames, one at a time."""
    return replay(protocol, frames, cause, terms=holding(protocol, terms=mode(on_truncation)))


def left_out(one: Replay, *names: str) -> bool:
    got = [f"the tool call {name!r} was cut and left out" for name in names]
    return one.summary.detail.endswith("; ".join(got)) and one.summary.detail.count("left out") == len(names)


# -- Chat -----------------------------------------------------------------------------------------------


def tool(index: int, arguments: str = "", name: str = "", **more: object) -> dict[str, object]:
    """A fragment of a call, among the fields of a delta."""
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    header = {"id": f"t{index}", "type": "function"} if name else {}
    return {"tool_calls": [{"index": index, **header, "function": function}], **more}


BEGUN = (ROLE, says("Hi"))
CUT_CALL = (chunk(tool(0, "", "weather")), chunk(tool(0, HALF)))


@pytest.mark.parametrize("cause", ["reset", None])
@pytest.mark.parametrize("on_truncation", [OnTruncation.AUTO, OnTruncation.REPAIR])
def test_a_cut_call_is_left_out_and_the_answer_ends_with_length(
    on_truncation: OnTruncation, cause: str | None
) -> None:
    one = held(CHAT, *BEGUN, *CUT_CALL, cause=cause, on_truncation=on_truncation)
    assert read(CHAT, one.body) == Got("Hi")
    assert (one.summary.end, left_out(one, "weather")) == ("truncated", True)


def test_where_cuts_are_to_be_errors_this_is_one() -> None:
    one = held(CHAT, *BEGUN, *CUT_CALL, on_truncation=OnTruncation.ERROR)
    assert read(CHAT, one.body) == Got("Hi", finish=None, error=True)
    assert (one.summary.end, left_out(one, "weather")) == ("failed", True)
    assert b"do not run" not in one.body


def test_an_answer_that_is_nothing_but_half_a_call_is_asked_for_again() -> None:
    one = held(CHAT, ROLE, *CUT_CALL)
    assert (one.head.status, one.summary.end) == (502, "rejected")
    terms = holding(CHAT, terms=structs.replace(ONCE, limits=Limits(max_attempts=2)))
    assert replay(CHAT, [ROLE, *CUT_CALL], "reset", terms=terms).ended == []


def test_a_whole_call_is_all_the_bytes_that_it_was() -> None:
    frames = (*BEGUN, *CUT_CALL, PING, chunk(tool(0, 'is"}')), USAGE, finishes("tool_calls"), USAGE, DONE)
    one = held(CHAT, *frames, cause=None)
    assert one.body == b"".join(frames)
    assert (one.summary.end, one.summary.detail) == ("completed", "")


def test_nothing_of_a_call_goes_out_before_it_is_whole() -> None:
    frames = (*BEGUN, *CUT_CALL, PING, chunk(tool(0, 'is"}')))
    one = replay(CHAT, frames, None, terms=holding(CHAT))
    running = Replay(one.exchange)
    assert running.body == b""
    assert one.body.startswith(b"".join((*BEGUN, *CUT_CALL, PING)))


def test_a_call_in_the_frame_that_finishes_it_is_whole() -> None:
    frames = (*BEGUN, chunk(tool(0, WHOLE, "weather"), finish="tool_calls"), DONE)
    assert held(CHAT, *frames, cause=None).body == b"".join(frames)


def test_a_call_is_whole_once_another_one_begins() -> None:
    first, second = chunk(tool(0, WHOLE, "weather")), chunk(tool(1, HALF, "time"))
    one = held(CHAT, *BEGUN, first, second)
    assert one.body.startswith(b"".join((*BEGUN, first)))
    assert read(CHAT, one.body) == Got("Hi", [("weather", WHOLE)])
    assert left_out(one, "time")


def test_a_call_with_whole_arguments_is_given_though_no_finish_came() -> None:
    one = held(CHAT, *BEGUN, chunk(tool(0, WHOLE, "weather")))
    assert read(CHAT, one.body) == Got("Hi", [("weather", WHOLE)])
    assert (one.summary.end, left_out(one)) == ("truncated", True)


def test_a_name_without_arguments_is_cut_unless_a_finish_follows() -> None:
    name = chunk(tool(0, "", "now"))
    assert left_out(held(CHAT, *BEGUN, name), "now")
    whole = held(CHAT, *BEGUN, name, finishes("tool_calls"), DONE, cause=None)
    assert read(CHAT, whole.body) == Got("Hi", [("now", "")], CALLS)


@pytest.mark.parametrize(("whole", "cut"), [(0, 1), (1, 0)])
def test_of_calls_that_come_in_turns_the_whole_one_is_given_as_the_first(whole: int, cut: int) -> None:
    headers = [chunk(tool(0, "", "call0")), chunk(tool(1, "", "call1"))]
    one = held(CHAT, *BEGUN, *headers, chunk(tool(cut, HALF)), chunk(tool(whole, WHOLE)))
    assert read(CHAT, one.body) == Got("Hi", [(f"call{whole}", WHOLE)])
    assert (b'"index":1' in one.body, left_out(one, f"call{cut}")) == (False, True)


def test_what_stands_in_one_frame_with_a_cut_call_stays() -> None:
    both = {"tool_calls": [*_entries(0, WHOLE, "weather"), *_entries(1, HALF, "time")], "content": "!"}
    one = held(CHAT, *BEGUN, chunk(both), says("?"))
    assert read(CHAT, one.body) == Got("Hi!?", [("weather", WHOLE)])
    assert b"time" not in one.body


def _entries(index: int, arguments: str, name: str) -> list[object]:
    entries = tool(index, arguments, name)["tool_calls"]
    assert isinstance(entries, list)
    return entries


def test_the_first_frame_stays_when_its_call_goes() -> None:
    header = chunk({"role": "assistant", "content": None, **tool(0, "", "weather")})
    one = held(CHAT, header, says("Hi"), chunk(tool(0, HALF)))
    assert one.body.startswith(chunk({"role": "assistant", "content": None}) + says("Hi"))
    assert read(CHAT, one.body) == Got("Hi")


def test_other_choices_continue_beside_a_cut_call() -> None:
    two = holding(CHAT)
    asked = replace(call(CHAT), body={"n": 2})
    frames = [ROLE, says("Hi"), *CUT_CALL, says("Ho", 1), finishes("stop", 1)]
    one = replay(CHAT, frames, "reset", terms=two, call=asked)
    found = progress(parts(CHAT, SSE, [one.body]))
    assert {choice: said.reason for choice, said in found.finished.items()} == {0: LENGTH, 1: STOP}
    assert b"weather" not in one.body


def test_counts_in_the_frames_of_a_cut_call_are_kept() -> None:
    counted = chunk(tool(0, HALF)).replace(b'"choices"', b'"usage":{"prompt_tokens":7},"choices"')
    one = held(CHAT, *BEGUN, chunk(tool(0, "", "weather")), counted)
    usage = one.summary.progress.usage
    assert (usage and usage.input, b"prompt_tokens" in one.body, b"Par" in one.body) == (7, True, False)


def test_a_call_that_the_provider_itself_had_no_room_for_is_left_out() -> None:
    one = held(CHAT, *BEGUN, *CUT_CALL, finishes("length"), DONE, cause=None)
    assert one.body == b"".join((*BEGUN, finishes("length"), DONE))
    assert (one.summary.end, left_out(one, "weather")) == ("completed", True)


def test_nonsense_that_the_provider_calls_done_is_the_model_s() -> None:
    frames = (*BEGUN, *CUT_CALL, finishes("tool_calls"), DONE)
    assert held(CHAT, *frames, cause=None).body == b"".join(frames)


@pytest.mark.parametrize("arguments", [WHOLE, ""])
def test_a_last_frame_without_a_finish_vouches_for_whole_calls(arguments: str) -> None:
    frames = (*BEGUN, chunk(tool(0, arguments, "weather")), DONE)
    one = held(CHAT, *frames, cause=None)
    assert (one.summary.end, one.body) == ("completed", b"".join(frames))


def test_half_a_call_that_a_last_frame_alone_calls_done_is_cut() -> None:
    one = held(CHAT, *BEGUN, *CUT_CALL, DONE, cause=None)
    assert read(CHAT, one.body) == Got("Hi")
    assert one.body.count(DONE) == 1
    assert one.body.endswith(DONE)
    assert (one.summary.end, left_out(one, "weather")) == ("truncated", True)


def test_nothing_but_such_a_call_is_asked_for_again() -> None:
    terms = holding(CHAT, terms=structs.replace(ONCE, limits=Limits(max_attempts=2)))
    assert replay(CHAT, [ROLE, *CUT_CALL, DONE], None, terms=terms).ended == []


def test_free_text_is_whole_when_the_choice_is_finished() -> None:
    entry = {"index": 0, "id": "t0", "type": "custom", "custom": {"name": "patch", "input": "{}"}}
    frame = chunk({"tool_calls": [entry]})
    assert left_out(held(CHAT, *BEGUN, frame), "patch")
    whole = held(CHAT, *BEGUN, frame, finishes("tool_calls"), DONE, cause=None)
    assert read(CHAT, whole.body).calls == [("patch", "{}")]


def test_the_older_form_of_a_call_is_one() -> None:
    frame = chunk({"function_call": {"name": "weather", "arguments": HALF}, "content": "!"})
    one = held(CHAT, *BEGUN, frame)
    assert (read(CHAT, one.body), left_out(one, "weather")) == (Got("Hi!"), True)


def test_an_error_after_half_a_call_comes_without_it() -> None:
    error = error_chunk("busy")
    one = held(CHAT, *BEGUN, *CUT_CALL, error, cause=None)
    assert one.body.startswith(b"".join(BEGUN) + error)
    assert (b"weather" in one.body, one.summary.end, left_out(one, "weather")) == (False, "error", True)


def test_what_is_whole_is_given_though_no_more_can_be_framed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.framing.sse.LONGEST_EVENT", 1000)
    one = held(CHAT, *BEGUN, chunk(tool(0, WHOLE, "weather")), b"data: " + b"x" * 1000)
    assert read(CHAT, one.body) == Got("Hi", [("weather", WHOLE)])
    cut = held(CHAT, *BEGUN, *CUT_CALL, b"data: " + b"x" * 1000)
    assert (read(CHAT, cut.body), left_out(cut, "weather")) == (Got("Hi"), True)


def test_what_adapters_change_is_held_as_they_leave_it() -> None:
    adapters = parse_adapters([{"name": "reasoning_field", "to": "reasoning"}])
    asked = ask("openai_chat")
    want = wanted(route("openai_chat", "asked"), adapters, REPLY, hold_tool_calls=True)
    target = target_of(asked, CHAT, want)
    thought = chunk({"reasoning_content": "hm"})
    frames = [*BEGUN, *CUT_CALL, thought]
    one = replay(CHAT, frames, "reset", terms=replace(target, terms=ONCE), call=asked)
    assert (b'"reasoning":"hm"' in one.body, b"weather" in one.body) == (True, False)


# -- Messages -------------------------------------------------------------------------------------------

TEXT = (MESSAGE, block(0, "text", text=""), delta(0, type="text_delta", text="Hi"), stop(0))


def use(index: int, *pieces: str, name: str = "weather") -> tuple[bytes, ...]:
    opening = block(index, "tool_use", id=f"tu{index}", name=name, input={})
    return opening, *(delta(index, type="input_json_delta", partial_json=piece) for piece in pieces)


def test_messages_end_without_a_trace_of_a_cut_block() -> None:
    one = held(ANTHROPIC, *TEXT, *use(1, "", HALF), MESSAGE_PING)
    assert read(ANTHROPIC, one.body) == Got("Hi")
    assert one.body.startswith(b"".join((*TEXT, MESSAGE_PING)))
    assert (b"tool_use" in one.body, left_out(one, "weather")) == (False, True)
    assert b'"stop_reason":"max_tokens"' in one.body


def test_a_block_that_stopped_is_given_at_once() -> None:
    first = (*use(1, WHOLE), stop(1))
    one = held(ANTHROPIC, *TEXT, *first, *use(2, HALF, name="time"))
    assert one.body.startswith(b"".join((*TEXT, *first)))
    assert read(ANTHROPIC, one.body) == Got("Hi", [("weather", WHOLE)])


def test_a_call_without_arguments_is_one_once_it_stopped() -> None:
    for more in ((), use(2, HALF, name="time")):
        one = held(ANTHROPIC, *TEXT, *use(1, ""), stop(1), *more)
        assert read(ANTHROPIC, one.body) == Got("Hi", [("weather", "")])


def test_a_call_without_arguments_is_whole_when_another_begins() -> None:
    ended = (ending("max_tokens"), MESSAGE_STOP)
    first, second = (*use(1, ""), stop(1)), (*use(2, HALF, name="time"), stop(2))
    one = held(ANTHROPIC, *TEXT, *first, *second, *ended, cause=None)
    assert one.body == b"".join((*TEXT, *first, *ended))
    assert left_out(one, "time")


@pytest.mark.parametrize("pieces", [("", HALF), ("",)])
def test_a_block_that_max_tokens_stopped_is_left_out(pieces: tuple[str, ...]) -> None:
    ended = (ending("max_tokens"), MESSAGE_STOP)
    one = held(ANTHROPIC, *TEXT, *use(1, *pieces), stop(1), *ended, cause=None)
    assert one.body == b"".join((*TEXT, *ended))
    assert (one.summary.end, left_out(one, "weather")) == ("completed", True)


def test_an_answer_that_began_anew_drops_what_it_had_not_finished() -> None:
    again = (MESSAGE, *use(0, WHOLE, name="time"), stop(0), ending("tool_use"), MESSAGE_STOP)
    one = held(ANTHROPIC, *TEXT, *use(1, HALF), *again, cause=None)
    assert one.body == b"".join((*TEXT, *again))
    assert left_out(one, "weather")


# -- Responses ------------------------------------------------------------------------------------------

SAID = message_item(1, "Hi")


def item(number: int, index: int, *pieces: str, kind: str = "function_call", **fields: object) -> list[bytes]:
    """An item of the output that begins with event `number`, with its deltas."""
    native = {"type": kind, "id": f"i{index}", "call_id": f"c{index}", "name": f"f{index}", **fields}
    frames = [response("output_item.added", number, output_index=index, item={**native, "arguments": ""})]
    for at, piece in enumerate(pieces, number + 1):
        kind = "function_call_arguments.delta"
        frames.append(response(kind, at, output_index=index, item_id=f"i{index}", delta=piece))
    return frames


def item_done(number: int, index: int, arguments: str, status: str = "completed") -> bytes:
    native = {"type": "function_call", "id": f"i{index}", "call_id": f"c{index}", "name": f"f{index}"}
    got = {**native, "arguments": arguments, "status": status}
    return response("output_item.done", number, output_index=index, item=got)


def events(body: bytes) -> list[dict[str, object]]:
    lines = (line for line in body.split(b"\n") if line.startswith(b"data: "))
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def is_counted(body: bytes) -> bool:
    return [one["sequence_number"] for one in events(body)] == list(range(len(events(body))))


def output_of(body: bytes) -> list[str]:
    last = events(body)[-1]["response"]
    assert isinstance(last, dict)
    return [one["type"] for one in last["output"]]


def test_a_response_closes_without_the_item_that_was_cut() -> None:
    numbers = SAID.count(b"event: ") + 1
    one = held(RESPONSES, created(), SAID, *item(numbers, 1, '{"a', '": 1'))
    assert read(RESPONSES, one.body) == Got("Hi")
    assert (is_counted(one.body), output_of(one.body)) == (True, ["message"])
    assert (b"function_call" in one.body, left_out(one, "f1")) == (False, True)


@pytest.mark.parametrize(
    "kind",
    [
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "computer_call",
        "mcp_approval_request",
    ],
)
def test_every_item_that_the_client_runs_is_a_call(kind: str) -> None:
    numbers = SAID.count(b"event: ") + 1
    one = held(RESPONSES, created(), SAID, *item(numbers, 1, kind=kind))
    assert (kind.encode() in one.body, read(RESPONSES, one.body)) == (False, Got("Hi"))
    assert is_counted(one.body)


def test_a_keepalive_stays_in_its_place_among_the_events_of_a_cut_item() -> None:
    alive = event("keepalive", sequence_number=3)
    one = held(RESPONSES, created(), *item(1, 0, '{"a'), alive, message_item(4, "Hi", 1))
    assert read(RESPONSES, one.body) == Got("Hi")
    assert (is_counted(one.body), output_of(one.body)) == (True, ["message"])
    places = {found["output_index"] for found in events(one.body) if "output_index" in found}
    assert (places, [found["type"] for found in events(one.body)][1]) == ({0}, "keepalive")


def test_an_item_that_is_done_is_given_though_a_later_one_is_cut() -> None:
    first = [*item(1, 0, WHOLE), item_done(3, 0, WHOLE)]
    one = held(RESPONSES, created(), *first, *item(4, 1, HALF))
    assert one.body.startswith(b"".join((created(), *first)))
    assert (output_of(one.body), is_counted(one.body), left_out(one, "f1")) == (["function_call"], True, True)


def test_of_items_that_come_in_turns_the_whole_one_takes_the_place_of_the_other() -> None:
    (half, *_), (whole, *_) = item(1, 0), item(2, 1)
    one = held(RESPONSES, created(), half, whole, item_done(3, 1, WHOLE))
    assert read(RESPONSES, one.body).calls == [("f1", WHOLE)]
    assert is_counted(one.body)
    places = {found["output_index"] for found in events(one.body) if "output_index" in found}
    assert (places, output_of(one.body)) == ({0}, ["function_call"])


def test_a_response_without_room_for_its_call_says_nothing_of_it() -> None:
    native = {"type": "function_call", "id": "i1", "call_id": "c1", "name": "f1", "arguments": HALF}
    output = [{"type": "message", "id": "msg_1", "content": []}, native]
    why = {"reason": "max_output_tokens"}
    got = {"id": "resp_1", "status": "incomplete", "output": output, "incomplete_details": why}
    numbers = SAID.count(b"event: ") + 1
    frames = [*item(numbers, 1, HALF), item_done(numbers + 2, 1, HALF, "incomplete")]
    end = response("incomplete", numbers + 3, response=got)
    one = held(RESPONSES, created(), SAID, *frames, end, cause=None)
    assert (one.summary.end, left_out(one, "f1")) == ("completed", True)
    assert (b"function_call" in one.body, is_counted(one.body), output_of(one.body)) == (
        False,
        True,
        ["message"],
    )


# -- Gemini and Ollama ----------------------------------------------------------------------------------

OPEN = gemini(calling(name="weather", willContinue=True), usageMetadata={"promptTokenCount": 5})
PIECE = {"jsonPath": "$.city", "stringValue": "Par", "willContinue": True}
MORE = gemini(calling(partialArgs=[PIECE], willContinue=True))
CLOSE = gemini(calling())


def test_arguments_by_place_that_are_cut_are_left_out() -> None:
    one = held(GEMINI, gemini({"text": "Hi"}), OPEN, MORE)
    assert read(GEMINI, one.body) == Got("Hi")
    assert (b"functionCall" in one.body, left_out(one, "weather")) == (False, True)


def test_arguments_by_place_that_are_whole_are_given_before_a_cut_call() -> None:
    ends_and_begins = gemini(calling(), {"text": "!"}, calling(name="time", willContinue=True))
    one = held(GEMINI, OPEN, MORE, CLOSE, OPEN, MORE, ends_and_begins, MORE)
    assert one.body.startswith(OPEN + MORE + CLOSE + OPEN + MORE)
    whole = ("weather", '{"city":"Par"}')
    assert read(GEMINI, one.body) == Got("!", [whole, whole])
    assert (b"time" in one.body, left_out(one, "time")) == (False, True)


def test_a_chunk_with_words_beside_half_a_call_keeps_them() -> None:
    mixed = gemini({"text": "Hi"}, calling(name="weather", willContinue=True))
    one = held(GEMINI, mixed, MORE)
    assert read(GEMINI, one.body) == Got("Hi")
    assert one.body.startswith(gemini({"text": "Hi"}))


def test_a_call_that_max_tokens_ended_is_left_out() -> None:
    one = held(GEMINI, gemini({"text": "Hi"}), OPEN, MORE, gemini(finish="MAX_TOKENS"), cause=None)
    assert one.body == gemini({"text": "Hi"}) + gemini(finish="MAX_TOKENS")
    assert left_out(one, "weather")


FIRST = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}'
NEXT = b',\r\n{"candidates":[{"content":{"parts":[{"functionCall":{"willContinue":true}}]}}]}'
FULL = b',\r\n{"candidates":[{"content":{},"finishReason":"MAX_TOKENS"}]}'


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([b'[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}\r\n', b",\r\n" + FIRST, NEXT], "Hi"),
        ([b"[" + FIRST, NEXT, FULL, b"]"], ""),
    ],
)
def test_an_array_stays_one_without_its_cut_call(frames: Sequence[bytes], text: str) -> None:
    asked = call(GEMINI, target=STREAM)
    one = replay(GEMINI, frames, "reset", head=JSON, call=asked, terms=holding(GEMINI, asked))
    assert read(GEMINI, one.body, JSON, STREAM) == Got(text)
    assert "functionCall" not in str(json.loads(one.body))


def test_an_array_whose_first_item_was_held_until_the_cut_is_one() -> None:
    asked = call(GEMINI, target=STREAM)
    running = Replay(exchange_of(asked, GEMINI, holding(GEMINI, asked)))
    begun = (Start(), UpstreamSent(1), UpstreamStarted(1, JSON), UpstreamData(1, b"[" + FIRST))
    for got in (*begun, TimerFired(CALL, Timer.HOLD), UpstreamData(1, NEXT), UpstreamClosed(1, "reset")):
        running.feed(got)
    assert (running.head.status, running.summary.end) == (200, "failed")
    assert "functionCall" not in str(json.loads(running.body))


def test_a_text_for_arguments_that_has_no_end_is_left_out() -> None:
    def line(**fields: object) -> bytes:
        return json.dumps({"model": "m", "done": False, **fields}).encode() + b"\n"

    function = {"name": "weather", "arguments": HALF}
    frames = [
        line(message={"role": "assistant", "content": "Hi"}),
        line(message={"role": "assistant", "content": "!", "tool_calls": [{"function": function}]}),
        line(message={"role": "assistant", "content": ""}, done=True, done_reason="length"),
    ]
    head = Head(200, (("content-type", "application/x-ndjson"),))
    one = replay(OLLAMA, frames, None, head=head, terms=holding(OLLAMA))
    assert (read(OLLAMA, one.body, head), left_out(one, "weather")) == (Got("Hi!"), True)


# -- answers that are not streamed ----------------------------------------------------------------------


@pytest.mark.parametrize("sample", samples("*.json"), ids=str)
def test_a_whole_answer_is_what_it_is(sample: Sample) -> None:
    one = replay(
        sample.protocol,
        [sample.data],
        None,
        head=sample.head,
        call=sample.call,
        terms=holding(sample.protocol, sample.call),
    )
    assert one.body == sample.data


# -- across protocols -----------------------------------------------------------------------------------


def across(
    client: str, upstream: str, *frames: bytes, cause: str | None = "reset", hold: bool = True
) -> Replay:
    asked = ask(client)
    want = wanted(route(upstream), (), REPLY, hold_tool_calls=hold)
    target = target_of(asked, REGISTRY[client], want)
    return replay(REGISTRY[client], frames, cause, terms=replace(target, terms=ONCE), call=asked)


CLIENTS = ["openai_responses", "anthropic_messages", "gemini_generate"]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_translated_call_that_is_cut_is_left_out_too(client: str) -> None:
    one = across(client, "openai_chat", *BEGUN, *CUT_CALL)
    assert read(REGISTRY[client], one.body) == Got("Hi")
    assert (one.summary.end, left_out(one, "weather")) == ("truncated", True)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_translated_call_that_is_whole_is_given_though_another_one_is_cut(client: str) -> None:
    turns = (chunk(tool(0, HALF, "weather")), chunk(tool(1, WHOLE, "time")), says("!"), chunk(tool(1, " ")))
    one = across(client, "openai_chat", *BEGUN, *turns)
    got = read(REGISTRY[client], one.body)
    assert [(name, json.loads(said)) for name, said in got.calls] == [("time", json.loads(WHOLE))]
    assert (got.text, got.finish, left_out(one, "weather")) == ("Hi!", LENGTH, True)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_translated_call_with_whole_arguments_is_given_though_no_finish_came(client: str) -> None:
    one = across(client, "openai_chat", *BEGUN, chunk(tool(0, WHOLE, "weather")))
    got = read(REGISTRY[client], one.body)
    assert [(name, json.loads(said)) for name, said in got.calls] == [("weather", json.loads(WHOLE))]
    assert (got.finish, left_out(one)) == (LENGTH, True)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_translated_call_that_the_provider_had_no_room_for_is_left_out(client: str) -> None:
    one = across(client, "openai_chat", *BEGUN, *CUT_CALL, finishes("length"), DONE, cause=None)
    assert read(REGISTRY[client], one.body) == Got("Hi")
    assert (one.summary.end, left_out(one, "weather")) == ("completed", True)


def test_a_translated_call_is_held_only_where_it_is_wished() -> None:
    shown = across("anthropic_messages", "openai_chat", *BEGUN, *CUT_CALL, hold=False)
    assert (b"weather" in shown.body, shown.summary.end) == (True, "failed")


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic_messages"])
def test_a_model_that_writes_a_call_is_seen_at_work(upstream: str) -> None:
    want = wanted(route(upstream), (), REPLY, hold_tool_calls=True)
    frames = {"openai_chat": (*BEGUN, *CUT_CALL), "anthropic_messages": (*TEXT, *use(1, "", HALF))}[upstream]
    reading = target_of(ask("openai_chat"), CHAT, want).reading(SSE)
    working = [
        tuple(segment.parts or ()) == (Ping(working=True),) for segment in reading.feed(b"".join(frames))
    ]
    assert working[-2:] == [True, True]
    assert reading.call_under_way


# -- which calls ----------------------------------------------------------------------------------------


def test_only_a_generation_has_calls_to_hold() -> None:
    asked = ask("openai_chat")
    want = wanted(Route(route("openai_chat").provider, "openai_chat", "asked", True), (), REPLY)
    want = structs.replace(want, hold_tool_calls=True)
    held = target_of(asked, CHAT, want)
    other: Target = target_of(replace(asked, operation=Operation.EMBEDDINGS), CHAT, want)
    assert (held.hold_tool_calls, other.hold_tool_calls) == (True, False)
    assert (held.untouched, other.untouched) == (False, True)
