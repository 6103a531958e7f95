"""The streams that providers really send and that go wrong most easily, to clients of other protocols."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from msgspec import structs

from protocols.model.call import Operation
from protocols.model.http import WireRequest
from protocols.model.parts import BlockKind, FinishReason, Usage
from protocols.model.wirejson import dump
from rewrite.targets.target import target_of
from tests import oracle
from tests.rewrite import edges
from tests.rewrite.across import Gist, answered, gist, read
from tests.rewrite.asks import REGISTRY, REPLY, ask, route, wanted
from tests.rewrite.edges import GEMINI_STOP, NDJSON, gemini
from tests.rewrite.replay import Replay
from tests.rewrite.scenes import (
    DONE,
    MESSAGE,
    PING,
    ROLE,
    SSE,
    calls,
    error_chunk,
    finishes,
    says,
)

CHAT, MESSAGES = "openai_chat", "anthropic_messages"
RESPONSES, GEMINI, OLLAMA = "openai_responses", "gemini_generate", "ollama_chat"
STOP, LENGTH, CALLS = FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS
SAID = Gist("Hi", [], STOP, error=False)
CUT_TEXT = Gist("Hi", [], LENGTH, error=False)
FAILED = Gist("Hi", [], None, error=True)
NATIVE_ERROR: Mapping[str, bytes] = {
    CHAT: b'data: {"error":{"message":',
    MESSAGES: b'event: error\ndata: {"type":"error","error":{"type":',
    RESPONSES: b'event: error\ndata: {"type":"error","error":{"message":',
    GEMINI: b'data: {"error":{"code":',
}
"""How an error begins that the protocol's SDKs raise on."""

to_others_of_chat = pytest.mark.parametrize("client", [MESSAGES, RESPONSES, GEMINI])
to_others_of_messages = pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
to_others_of_gemini = pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
to_others_of_responses = pytest.mark.parametrize("client", [CHAT, MESSAGES, GEMINI])


def got(client: str, upstream: str, data: bytes) -> Replay:
    return answered(client, upstream, data, NDJSON if upstream == OLLAMA else SSE)


def heard(client: str, upstream: str, data: bytes) -> Gist:
    return gist(read(client, got(client, upstream, data).body, SSE))


def raised(client: str, one: Replay) -> bool:
    """Whether the last thing that the client gets is an error in its own form."""
    *_, before, last = (frame for frame in re.split(rb"(?:\r\n|\n){2}", one.body) if frame)
    if client == RESPONSES:
        return before.startswith(NATIVE_ERROR[client]) and last.startswith(b"event: response.failed\n")
    return last.startswith(NATIVE_ERROR[client])


# -- ends ---------------------------------------------------------------------------------------------


@to_others_of_chat
def test_case_01_done_without_finish(client: str) -> None:
    """[DONE] without a finish reason is an end: "stop", and "tool_calls" after a whole call."""
    assert heard(client, CHAT, edges.DONE_WITHOUT_FINISH) == SAID
    called = heard(client, CHAT, edges.CALL_DONE_WITHOUT_FINISH)
    assert (called.tools, called.finish) == ([("weather", {"city": "Paris"})], CALLS)
    half = heard(client, CHAT, edges.CUT_ARGUMENTS + DONE)
    assert (half.finish, half.error) == (None, True)


@to_others_of_chat
def test_case_02_finish_without_done(client: str) -> None:
    """A finish reason without [DONE] is an end, and no cut."""
    one = got(client, CHAT, edges.FINISH_WITHOUT_DONE)
    assert (gist(read(client, one.body, SSE)), one.summary.end) == (SAID, "completed")


@to_others_of_gemini
def test_case_03_stop_on_every_chunk(client: str) -> None:
    """Of many finishes the client gets one, at the end."""
    one = got(client, GEMINI, edges.STOP_ON_EVERY_CHUNK)
    assert gist(read(client, one.body, SSE)) == replace(SAID, text="First second")
    ends = {CHAT: b'"finish_reason":"stop"', MESSAGES: b"end_turn", RESPONSES: b'"type":"response.completed"'}
    assert one.body.count(ends[client]) == 1
    assert one.body.index(ends[client]) > one.body.rindex(b"second") or client == RESPONSES


@to_others_of_chat
def test_case_04_cut_between_finish_and_usage(client: str) -> None:
    """The usage never came: the answer is whole all the same."""
    data = edges.FINISH_WITHOUT_DONE + b'data: {"id":"c1","choices":[],"usage":{"prom'
    one = got(client, CHAT, data)
    assert (gist(read(client, one.body, SSE)), one.summary.end) == (SAID, "completed")


@to_others_of_responses
def test_case_05_last_event_lacks_its_blank_line(client: str) -> None:
    """The last event is read though no blank line ends it."""
    assert heard(client, RESPONSES, edges.NO_BLANK_LINE) == SAID


@to_others_of_chat
def test_case_06_cut_inside_json_and_a_letter(client: str) -> None:
    """Half of an event is dropped; the text before it ends with "length"."""
    one = got(client, CHAT, ROLE + says("Hi") + edges.HALF_AN_EVENT)
    assert gist(read(client, one.body, SSE)) == CUT_TEXT
    assert b"caf" not in one.body


# -- calls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "upstream", "data"),
    [
        (client, upstream, data)
        for upstream, data in (
            (CHAT, edges.CUT_ARGUMENTS),
            (MESSAGES, MESSAGE + edges.TOOL_BLOCK + edges.HALF_ARGUMENTS),
        )
        for client in (CHAT, MESSAGES, RESPONSES)
        if client != upstream
    ],
)
def test_case_07_cut_in_tool_arguments(client: str, upstream: str, data: bytes) -> None:
    """The client has seen a part of the call: an error, no finish, and JSON that nobody closed."""
    one = got(client, upstream, data)
    assert gist(read(client, one.body, SSE)) == Gist("", [("weather", '{"city":"Par')], None, error=True)
    assert raised(client, one)


@pytest.mark.parametrize("data", [edges.CUT_ARGUMENTS, edges.TOOL_HEADER], ids=["case_07", "case_08"])
def test_case_07_and_case_08_a_client_of_whole_calls_gets_none(data: bytes) -> None:
    """For Gemini the call is dropped: "length" after text, an error where there is nothing else."""
    assert heard(GEMINI, CHAT, ROLE + says("Hi") + data) == CUT_TEXT
    alone = got(GEMINI, CHAT, data)
    assert (alone.head.status, b"functionCall" in alone.body) == (502, False)
    done = got(GEMINI, CHAT, ROLE + says("Hi") + edges.CUT_ARGUMENTS + finishes("tool_calls") + DONE)
    assert (gist(read(GEMINI, done.body, SSE)), raised(GEMINI, done)) == (FAILED, True)


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_case_08_cut_right_after_a_tool_s_header(client: str) -> None:
    """A call without arguments is one only where its end was seen."""
    cut = got(client, CHAT, edges.TOOL_HEADER)
    assert (gist(read(client, cut.body, SSE)).finish, raised(client, cut)) == (None, True)
    whole = heard(client, CHAT, edges.TOOL_HEADER + finishes("tool_calls") + DONE)
    assert whole == Gist("", [("weather", {})], CALLS, error=False)


@pytest.mark.parametrize(
    "ended", [finishes("tool_calls"), finishes("stop"), b""], ids=["calls", "stop", "done"]
)
@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_case_07_half_a_call_that_is_called_done(client: str, ended: bytes) -> None:
    """Clients run a call as soon as its block or item is done: of half a call none is, before the error."""
    one = got(client, CHAT, edges.CUT_ARGUMENTS + ended + DONE)
    assert (gist(read(client, one.body, SSE)).finish, raised(client, one)) == (None, True)
    assert not re.search(rb"content_block_stop|output_item.done|arguments.done", one.body)
    honest = got(client, CHAT, edges.CUT_ARGUMENTS + finishes("length") + DONE)
    assert gist(read(client, honest.body, SSE)).finish is LENGTH
    assert re.search(rb"content_block_stop|output_item.done", honest.body)


@to_others_of_gemini
def test_case_13_partial_arguments(client: str) -> None:
    """Arguments that come by paths are one fragment when the call is closed, by whatever closes it."""
    for closing in (b"", gemini({"functionCall": {}})):
        one = got(client, GEMINI, edges.PARTIAL_ARGUMENTS + closing + GEMINI_STOP)
        expected = Gist("", [("order", {"items": [{"name": "Boston"}]})], CALLS, error=False)
        progress = read(client, one.body, SSE)
        assert gist(progress) == expected
        assert [each for each in progress.blocks[0, 0].pieces if each] == ['{"items":[{"name":"Boston"}]}']
    cut = got(client, GEMINI, edges.PARTIAL_ARGUMENTS)
    assert (b"Bos" in cut.body, raised(client, cut)) == (False, True)


@to_others_of_chat
@pytest.mark.parametrize("data", [edges.COLLIDING, edges.UNNUMBERED, edges.INTERLEAVED])
def test_case_22_parallel_calls_whose_indexes_collide(client: str, data: bytes) -> None:
    """Two calls, one after the other, each under its own id and number."""
    one = got(client, CHAT, data)
    progress = read(client, one.body, SSE)
    assert gist(progress) == Gist("", [("f", {"n": 1}), ("f", {"n": 2})], CALLS, error=False)
    assert [(each.start.index, each.start.tool_id) for each in progress.blocks.values()] == [
        (0, "a"),
        (1, "b"),
    ]
    if client == MESSAGES:
        steps = re.findall(rb'"type":"content_block_(start|stop)","index":(\d)', one.body)
        assert steps == [(b"start", b"0"), (b"stop", b"0"), (b"start", b"1"), (b"stop", b"1")]


# -- preambles, usage, comments -----------------------------------------------------------------------


@to_others_of_chat
def test_case_14_azure_preamble(client: str) -> None:
    """The preamble is no first token; the model is that of the first chunk which names one."""
    assert got(client, CHAT, edges.AZURE).head.status == 502
    assert heard(client, CHAT, edges.AZURE + edges.FINISH_WITHOUT_DONE + DONE) == SAID
    want = wanted(route(CHAT), (), replace(REPLY, model=""))
    reading = target_of(ask(client), REGISTRY[client], want).reading(SSE)
    data = reading.pass_on(reading.feed(edges.AZURE + ROLE + says("Hi")))
    head = read(client, data, SSE).head
    assert head is not None
    assert head.model == "model"


@to_others_of_chat
def test_case_15_usage_on_every_chunk(client: str) -> None:
    """Usage is never summed: the last one wins."""
    usage = read(client, got(client, CHAT, edges.USAGE_EVERYWHERE + DONE).body, SSE).usage
    assert usage is not None
    assert (usage.input, usage.output) == (10, 3)


@pytest.mark.parametrize("upstream", [MESSAGES, GEMINI])
def test_case_15_a_chat_client_gets_usage_once_and_only_if_it_asked(upstream: str) -> None:
    """A chunk of its own after the finish, none for who did not ask."""
    counts = {"promptTokenCount": 412, "candidatesTokenCount": 7, "totalTokenCount": 419}
    each = gemini({"text": "Hi"}, usageMetadata=counts) + gemini(finish="STOP", usageMetadata=counts)
    data = {MESSAGES: edges.OVERWRITTEN, GEMINI: each}[upstream]
    assert b'"usage"' not in answered(CHAT, upstream, data, SSE, call=ask(CHAT)).body
    asked = got(CHAT, upstream, data).body
    last = b'"choices":[],"usage":{"prompt_tokens":412,"completion_tokens":7,"total_tokens":419}}\n\n' + DONE
    assert asked.endswith(last)
    assert asked.count(b"prompt_tokens") == 1


@to_others_of_chat
def test_case_18_comments_and_event_lines(client: str) -> None:
    """A provider's comments reach no client of another protocol; Gemini's gets `data: ` lines and CRLF."""
    data = b": OPENROUTER PROCESSING\n\n" + ROLE + says("Hi") + PING + finishes("stop") + DONE
    body = got(client, CHAT, data).body
    assert not re.search(rb"^:", body, re.MULTILINE)
    if client == GEMINI:
        assert re.fullmatch(rb"(data: \{[^\r\n]*\}\r\n\r\n)+", body)


@to_others_of_messages
def test_case_19_usage_is_overwritten(client: str) -> None:
    """The final usage wins, without its iterations on top."""
    usage = read(client, got(client, MESSAGES, edges.OVERWRITTEN).body, SSE).usage
    assert usage is not None
    assert (usage.input, usage.output) == (412, 7)


@to_others_of_chat
def test_case_23_mistral_content_arrays(client: str) -> None:
    """A list of content is thought and text to every client."""
    progress = read(client, got(client, CHAT, edges.MISTRAL).body, SSE)
    found = [(each.kind, each.text) for each in progress.blocks.values() if each.text]
    assert found == [(BlockKind.REASONING, "The"), (BlockKind.TEXT, "Hi")]


@to_others_of_responses
def test_case_24_keepalive_and_sequence_numbers(client: str) -> None:
    """A keepalive says nothing to clients of others."""
    assert heard(client, RESPONSES, edges.KEPT_ALIVE + edges.completed(6)) == SAID
    assert b"keepalive" not in got(client, RESPONSES, edges.KEPT_ALIVE).body


@pytest.mark.parametrize("data", [ROLE + says("Hi"), edges.FINISH_WITHOUT_DONE, edges.GROQ])
def test_case_24_numbers_that_we_write_have_no_gap(data: bytes) -> None:
    """Whichever way an answer ends, a Responses client reads 0, 1, 2, ..."""
    body = got(RESPONSES, CHAT, data).body
    numbers = [int(each) for each in re.findall(rb'"sequence_number":(\d+)', body)]
    assert numbers == list(range(len(numbers)))
    assert numbers


# -- errors -------------------------------------------------------------------------------------------


@to_others_of_chat
def test_case_16_openrouter_soft_error(client: str) -> None:
    """The translation stops at the error: nothing that comes after it reaches the client."""
    one = got(client, CHAT, edges.OPENROUTER)
    assert (gist(read(client, one.body, SSE)), raised(client, one)) == (FAILED, True)
    assert b"Token limit reached" in one.body
    assert b"more" not in one.body


@to_others_of_chat
def test_case_17_groq_error_event(client: str) -> None:
    """An error without [DONE] is an error, and no "length"."""
    one = got(client, CHAT, edges.GROQ)
    assert (gist(read(client, one.body, SSE)), raised(client, one)) == (FAILED, True)
    assert b"Failed to call a function" in one.body


@to_others_of_messages
@pytest.mark.parametrize("end", [b"", edges.SPLICED_END], ids=["cut", "ended"])
def test_case_20_spliced_message_start(client: str, end: bytes) -> None:
    """An answer that began again within a call is an error, never two calls in one."""
    one = got(client, MESSAGES, edges.SPLICED + end)
    assert b"Sparkle" not in one.body
    if client == GEMINI:
        assert (one.head.status, b"functionCall" in one.body) == (500, False)
    else:
        (call,) = gist(read(client, one.body, SSE)).tools
        assert (call, raised(client, one)) == (("weather", '{"value":"Spark'), True)


@pytest.mark.parametrize(("client", "upstream"), [(GEMINI, CHAT), (CHAT, GEMINI)])
def test_case_21_one_of_two_choices(client: str, upstream: str) -> None:
    """The choice that was not finished ends with "length", the other one as it did."""
    second = gemini({"text": "Ho"}).replace(b'"index":0', b'"index":1')
    data = {CHAT: edges.ONE_OF_TWO, GEMINI: gemini({"text": "Hi"}, finish="STOP") + second}[upstream]
    two = {CHAT: ask(CHAT, n=2), GEMINI: ask(GEMINI, generationConfig={"candidateCount": 2})}
    progress = read(client, answered(client, upstream, data, SSE, call=two[client]).body, SSE)
    assert {choice: each.reason for choice, each in progress.finished.items()} == {0: STOP, 1: LENGTH}
    assert [each.text for each in progress.blocks.values() if each.text] == ["Hi", "Ho"]


@pytest.mark.parametrize(
    ("client", "upstream", "data"),
    [
        (client, upstream, data)
        for upstream, data in (
            (MESSAGES, edges.OPENED + edges.UNNAMED_ERROR),
            (RESPONSES, edges.KEPT_ALIVE + edges.FLAT_ERROR),
            (CHAT, ROLE + says("Hi") + error_chunk("busy")),
            (GEMINI, gemini({"text": "Hi"}) + error_chunk("busy")),
        )
        for client in NATIVE_ERROR
        if client != upstream
    ],
)
def test_case_25_silent_errors_in_band(client: str, upstream: str, data: bytes) -> None:
    """An error in whatever form is one in the client's own, and nothing like an end comes with it."""
    one = got(client, upstream, data)
    assert (gist(read(client, one.body, SSE)), raised(client, one)) == (FAILED, True)
    assert b"busy" in one.body
    assert (b"event: response.failed\n" in one.body) is (client == RESPONSES)


@to_others_of_chat
def test_case_25_an_error_before_anything_shows_is_no_200(client: str) -> None:
    """Nothing is committed yet: the client gets a status that its SDK raises on."""
    one = got(client, CHAT, ROLE + error_chunk("busy"))
    assert (one.head.status, b"busy" in one.body) == (500, True)


# -- and besides --------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES, GEMINI])
def test_ollama_is_done_without_a_reason(client: str) -> None:
    assert heard(client, OLLAMA, edges.OLLAMA_DONE) == SAID


@pytest.mark.parametrize(("upstream", "data"), [(GEMINI, edges.BLOCKED), (MESSAGES, edges.REFUSED)])
@pytest.mark.parametrize("client", [CHAT, RESPONSES])
def test_an_answer_without_content_is_one_of_one_choice(client: str, upstream: str, data: bytes) -> None:
    """A blocked prompt and a bare refusal: chat clients need a choice to read the finish from."""
    one = got(client, upstream, data)
    assert gist(read(client, one.body, SSE)) == Gist("", [], FinishReason.CONTENT_FILTER, error=False)
    assert client != CHAT or one.body.startswith(b'data: {"id":"chatcmpl-')
    assert client != CHAT or b'"choices":[{"index":0,"delta":{"role":"assistant"' in one.body


@to_others_of_chat
def test_reasoning_that_is_counted_beside_the_output_is_part_of_it(client: str) -> None:
    usage = read(client, got(client, CHAT, edges.THOUGHT_BESIDE).body, SSE).usage
    assert usage is not None
    assert structs.replace(usage, cache_read=None, cache_write=None) == Usage(
        input=10, output=32, reasoning=30
    )


@pytest.mark.parametrize("client", [CHAT, GEMINI])
def test_a_stop_sequence_is_a_stop(client: str) -> None:
    assert heard(client, MESSAGES, edges.STOP_SEQUENCE) == SAID


@pytest.mark.parametrize(
    ("data", "word"), [(edges.FINISH_WITHOUT_DONE, "STOP"), (ROLE + says("Hi"), "MAX_TOKENS")]
)
def test_gemini_without_events_is_one_array(data: bytes, word: str) -> None:
    """Without `alt=sse` the client reads one JSON array, which is whole even where the answer is cut."""
    path = "/v1beta/models/asked:streamGenerateContent"
    request = WireRequest("POST", path, (), dump({"contents": []}))
    call = REGISTRY[GEMINI].parse("call", Operation.GENERATE, request)
    body = answered(GEMINI, CHAT, data, SSE, call=call).body
    first, last = json.loads(body)
    assert first["candidates"][0]["content"]["parts"] == [{"text": "Hi"}]
    assert last["candidates"][0]["finishReason"] == word


WELL_FORMED: Mapping[str, tuple[bytes, ...]] = {
    CHAT: (
        edges.CALL_DONE_WITHOUT_FINISH,
        ROLE + says("Hi") + edges.HALF_AN_EVENT,
        edges.CUT_ARGUMENTS,
        edges.AZURE + edges.FINISH_WITHOUT_DONE,
        edges.USAGE_EVERYWHERE,
        edges.OPENROUTER,
        edges.GROQ,
        edges.COLLIDING,
        edges.UNNUMBERED,
        edges.INTERLEAVED,
        edges.MISTRAL,
        ROLE + says("Hi") + calls("{}", "f") + says("Ho") + finishes("stop"),
    ),
    MESSAGES: (edges.CUT_THINKING, edges.SIGNATURE_ONLY, edges.REDACTED, edges.OVERWRITTEN, edges.REFUSED),
    GEMINI: (edges.STOP_ON_EVERY_CHUNK, edges.SIGNED_PARALLEL, edges.PARTIAL_ARGUMENTS, edges.BLOCKED),
    RESPONSES: (edges.NO_BLANK_LINE, edges.KEPT_ALIVE, edges.KEPT_ALIVE + edges.FLAT_ERROR),
}


@pytest.mark.parametrize("client", [*NATIVE_ERROR, OLLAMA])
def test_whatever_a_client_gets_is_well_formed(client: str) -> None:
    """By judges that know nothing of this project."""
    judge = oracle.judges()[client]
    for upstream, streams in WELL_FORMED.items():
        for data in streams if upstream != client else ():
            one = got(client, upstream, data)
            if one.head.status == 200:
                judgement = judge(one.body)
                assert not judgement["violations"], (upstream, data)
                assert judgement["error"] or judgement["terminal"], (upstream, data)
