"""What one frame means at the commit point, for every protocol in one table.

`visible` commits the answer; `working` is hidden reasoning, which gives the first token more time;
`lifecycle` does neither; `error X` fails the attempt as a rejection of that kind.
"""

from collections.abc import Mapping

import pytest

from protocols.model.call import Call, Operation
from protocols.model.http import Head
from protocols.model.parts import Ping
from protocols.model.wirejson import dump
from protocols.registry import discover
from rewrite.policies import classify
from tests.contract import JSON, NDJSON, PROTOCOLS, SSE
from tests.rewrite.asks import ask, target_at
from tests.rewrite.catalog.test_provider_data import BUILT_IN
from tests.rewrite.replay import replay
from tests.rewrite.scenes import TERMS, own

VISIBLE, LIFECYCLE, WORKING = "visible", "lifecycle", "working"

type Row = tuple[str, bytes, bytes]
"""The verdict on the second of two pieces of a stream, the first one being what came before it."""


def row(verdict: str, frame: bytes, *before: bytes) -> Row:
    return verdict, frame, b"".join(before)


def data(value: object) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def named(name: str, value: object) -> bytes:
    return f"event: {name}\n".encode() + data(value)


# -- OpenAI Chat ----------------------------------------------------------------------------------------


def chat(finish: str | None = None, /, **delta: object) -> bytes:
    return data({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def counted(reasoning: int, **delta: object) -> bytes:
    usage = {"completion_tokens": reasoning, "completion_tokens_details": {"reasoning_tokens": reasoning}}
    return data({"id": "c", "choices": [{"index": 0, "delta": delta}], "usage": usage})


def tool(**call: object) -> bytes:
    return chat(tool_calls=[{"index": 0, **call}])


def details(**item: object) -> bytes:
    return chat(content="", reasoning_details=[{"index": 0, **item}])


SOFT = {"code": 400, "message": "Token limit reached"}

CHAT: Mapping[str, Row] = {
    "comment": row(LIFECYCLE, b": OPENROUTER PROCESSING\n\n"),
    "blank line": row(LIFECYCLE, b"\n"),
    "Azure's preamble": row(LIFECYCLE, data({"choices": [], "id": "", "prompt_filter_results": []})),
    "role": row(LIFECYCLE, chat(role="assistant", content="", refusal=None)),
    "DeepSeek's role": row(LIFECYCLE, chat(role="assistant", content=None, reasoning_content="")),
    "no JSON": row(LIFECYCLE, b"data: {half\n\n"),
    "text": row(VISIBLE, chat(content="Hi")),
    "text beside the role": row(VISIBLE, chat(role="assistant", content="Hi")),
    "Mistral's text": row(VISIBLE, chat(content=[{"type": "text", "text": "Hi"}])),
    "Mistral's thought": row(
        VISIBLE, chat(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}])
    ),
    "refusal": row(VISIBLE, chat(refusal="No")),
    "DeepSeek's reasoning": row(VISIBLE, chat(content=None, reasoning_content="Hm")),
    "OpenRouter's reasoning": row(VISIBLE, chat(content="", reasoning="Hm")),
    "reasoning in details": row(VISIBLE, details(type="reasoning.text", text="Hm")),
    "encrypted details": row(WORKING, details(type="reasoning.encrypted", data="x")),
    "more encrypted details": row(
        WORKING, details(type="reasoning.encrypted", data="y"), details(type="reasoning.encrypted", data="x")
    ),
    "empty details": row(WORKING, details(type="reasoning.text", text="")),
    "reasoning is counted": row(WORKING, counted(10, content="")),
    "reasoning grows": row(WORKING, counted(20, content=""), counted(10)),
    "reasoning stands still": row(LIFECYCLE, counted(10, content=""), counted(10)),
    "no reasoning in the count": row(LIFECYCLE, counted(0, content="")),
    "reasoning grows beside text": row(VISIBLE, counted(20, content="Hi"), counted(10)),
    "audio": row(VISIBLE, chat(audio={"id": "a", "data": "AAAA"})),
    "image": row(VISIBLE, chat(images=[{"image_url": {"url": "data:image/png;base64,AAAA"}}])),
    "a tool's header": row(VISIBLE, tool(id="t", type="function", function={"name": "f", "arguments": ""})),
    "a tool's header without a name": row(VISIBLE, tool(id="t", function={"arguments": ""})),
    "a custom tool": row(VISIBLE, tool(id="t", type="custom", custom={"name": "f", "input": ""})),
    "function_call": row(VISIBLE, chat(function_call={"name": "f", "arguments": ""})),
    "Groq's executed tool": row(VISIBLE, chat(executed_tools=[{"index": 0, "type": "search"}])),
    "annotations alone": row(LIFECYCLE, chat(annotations=[{"url_citation": {"url": "http://a"}}])),
    "OpenAI's error": row("error server", data({"error": {"message": "m", "type": "server_error"}})),
    "an error of the key": row("error auth", data({"error": {"message": "m", "code": "invalid_api_key"}})),
    "an error of the rate": row(
        "error rate", data({"error": {"message": "m", "code": "rate_limit_exceeded"}}), chat(role="assistant")
    ),
    "Groq's error": row(
        "error request", named("error", {"error": {"message": "m", "status_code": 400}}), chat(content="")
    ),
    "a flat error": row("error server", named("error", {"message": "m", "code": "server_error"})),
    "vLLM's error": row("error request", data({"object": "error", "message": "m", "code": 400})),
    "an error in words": row("error server", data({"error": "the model crashed"})),
    "OpenRouter's soft error": row(
        "error request",
        data({"id": "c", "error": SOFT, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}),
    ),
    "OpenRouter's number": row("error rate", data({"error": {"code": 429, "message": "m"}})),
}


# -- OpenAI Responses -----------------------------------------------------------------------------------


def event(kind: str, /, **fields: object) -> bytes:
    return named(f"response.{kind}", {"type": f"response.{kind}", **fields})


def added(kind: str, /, **item: object) -> bytes:
    return event("output_item.added", output_index=0, item={"type": kind, "id": "i", **item})


def done(kind: str, /, **item: object) -> bytes:
    return event("output_item.done", output_index=0, item={"type": kind, "id": "i", **item})


def about(kind: str, /, **fields: object) -> bytes:
    return event(kind, output_index=0, item_id="i", **fields)


CREATED = event("created", response={"id": "r", "status": "in_progress"})
MESSAGE, THOUGHT = added("message", content=[]), added("reasoning", summary=[])
FAILED = {"id": "r", "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}

_CLIENTS_CALLS = (
    "function_call custom_tool_call local_shell_call shell_call apply_patch_call computer_call "
    "mcp_approval_request"
).split()
_HOSTED_ITEMS = (
    "web_search_call file_search_call code_interpreter_call image_generation_call mcp_call mcp_list_tools "
    "tool_search_call shell_call_output"
).split()
_HOSTED_EVENTS = (
    "web_search_call.in_progress file_search_call.searching code_interpreter_call.in_progress "
    "code_interpreter_call_code.delta image_generation_call.generating mcp_list_tools.in_progress "
    "mcp_call.in_progress mcp_call_arguments.delta shell_call_command.delta"
).split()

RESPONSES: Mapping[str, Row] = {
    "created": row(LIFECYCLE, CREATED),
    "queued": row(LIFECYCLE, event("queued", response={"id": "r"})),
    "in_progress": row(LIFECYCLE, event("in_progress", response={"id": "r"}), CREATED),
    "keepalive": row(LIFECYCLE, named("keepalive", {"type": "keepalive", "sequence_number": 2})),
    "comment": row(LIFECYCLE, b": ping\n\n"),
    "an unknown event": row(LIFECYCLE, event("steer.created", steer={})),
    "a message": row(LIFECYCLE, MESSAGE, CREATED),
    "a content part": row(
        LIFECYCLE, about("content_part.added", content_index=0, part={"type": "output_text"}), MESSAGE
    ),
    "empty text": row(LIFECYCLE, about("output_text.delta", content_index=0, delta=""), MESSAGE),
    "text": row(VISIBLE, about("output_text.delta", content_index=0, delta="Hi"), MESSAGE),
    "text without a delta": row(
        VISIBLE, about("output_text.done", content_index=0, text="Hi"), CREATED, MESSAGE
    ),
    "text in the done message": row(
        VISIBLE, done("message", content=[{"type": "output_text", "text": "Hi"}]), CREATED
    ),
    "text of a message that was not added": row(
        VISIBLE, about("output_text.delta", content_index=0, delta="Hi"), CREATED
    ),
    "refusal": row(VISIBLE, about("refusal.delta", content_index=0, delta="No"), MESSAGE),
    "audio": row(VISIBLE, event("audio.delta", delta="AAAA"), CREATED),
    "reasoning": row(WORKING, THOUGHT, CREATED),
    "encrypted reasoning": row(WORKING, done("reasoning", encrypted_content="x", summary=[]), THOUGHT),
    "encrypted reasoning alone": row(WORKING, done("reasoning", encrypted_content="x"), CREATED),
    "an empty summary": row(
        WORKING,
        about("reasoning_summary_part.added", summary_index=0, part={"type": "summary_text", "text": ""}),
        THOUGHT,
    ),
    "an empty piece of a summary": row(
        WORKING, about("reasoning_summary_text.delta", summary_index=0, delta=""), THOUGHT
    ),
    "an empty piece of reasoning": row(
        WORKING, about("reasoning_text.delta", content_index=0, delta=""), THOUGHT
    ),
    "reasoning that was not added": row(
        WORKING, about("reasoning_text.delta", content_index=0, delta=""), CREATED
    ),
    "a summary": row(VISIBLE, about("reasoning_summary_text.delta", summary_index=0, delta="Hm"), THOUGHT),
    "a summary without a delta": row(
        VISIBLE, about("reasoning_summary_text.done", summary_index=0, text="Hm"), THOUGHT
    ),
    "shown reasoning": row(VISIBLE, about("reasoning_text.delta", content_index=0, delta="Hm"), THOUGHT),
    **{f"{kind} added": row(VISIBLE, added(kind), CREATED) for kind in _CLIENTS_CALLS + _HOSTED_ITEMS},
    **{f"{kind} done": row(VISIBLE, done(kind), CREATED) for kind in _CLIENTS_CALLS + _HOSTED_ITEMS},
    **{f"{kind} alone": row(VISIBLE, about(kind, delta="x"), CREATED) for kind in _HOSTED_EVENTS},
    "arguments alone": row(VISIBLE, about("function_call_arguments.delta", delta="{"), CREATED),
    "input alone": row(VISIBLE, about("custom_tool_call_input.delta", delta="x"), CREATED),
    "a nested error": row(
        "error rate",
        named("error", {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "m"}}),
        CREATED,
    ),
    "a flat error": row(
        "error server", named("error", {"type": "error", "code": "server_error", "message": "m"})
    ),
    "failed": row("error rate", event("failed", response=FAILED), CREATED),
    "failed without a word": row("error server", event("failed", response={"id": "r"}), CREATED),
    "an error of the request": row(
        "error request", data({"error": {"type": "invalid_request_error", "message": "m"}})
    ),
}


# -- Anthropic Messages ---------------------------------------------------------------------------------


def said(kind: str, /, **fields: object) -> bytes:
    return named(kind, {"type": kind, **fields})


def block(kind: str, /, **fields: object) -> bytes:
    return said("content_block_start", index=0, content_block={"type": kind, **fields})


def delta(kind: str, /, **fields: object) -> bytes:
    return said("content_block_delta", index=0, delta={"type": kind, **fields})


START = said("message_start", message={"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1}})
TEXT, THINKING = block("text", text=""), block("thinking", thinking="", signature="")
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}

_SERVER_BLOCKS = (
    "server_tool_use mcp_tool_use web_search_tool_result web_fetch_tool_result mcp_tool_result "
    "code_execution_tool_result bash_code_execution_tool_result text_editor_code_execution_tool_result "
    "container_upload"
).split()

MESSAGES: Mapping[str, Row] = {
    "message_start": row(LIFECYCLE, START),
    "ping": row(LIFECYCLE, said("ping"), START),
    "comment": row(LIFECYCLE, b": ping\n\n"),
    "an unknown event": row(LIFECYCLE, said("brand_new", text="what is this")),
    "an empty text": row(LIFECYCLE, TEXT, START),
    "an empty piece of text": row(LIFECYCLE, delta("text_delta", text=""), TEXT),
    "a block that stops": row(LIFECYCLE, said("content_block_stop", index=0), TEXT),
    "text": row(VISIBLE, delta("text_delta", text="Hi"), TEXT),
    "a block with its text": row(VISIBLE, block("text", text="Hi"), START),
    "thinking begins": row(WORKING, THINKING, START),
    "an empty thought": row(WORKING, delta("thinking_delta", thinking=""), THINKING),
    "a thought": row(VISIBLE, delta("thinking_delta", thinking="Hm"), THINKING),
    "a signature": row(WORKING, delta("signature_delta", signature="x"), THINKING),
    "redacted thinking": row(WORKING, block("redacted_thinking", data="x"), START),
    "a tool": row(VISIBLE, block("tool_use", id="t", name="f", input={}), START),
    "a tool's arguments": row(VISIBLE, delta("input_json_delta", partial_json="{"), START),
    **{kind: row(VISIBLE, block(kind, id="s", name="n"), START) for kind in _SERVER_BLOCKS},
    "an error first": row("error server", named("error", OVERLOADED)),
    "an error later": row(
        "error rate", said("error", error={"type": "rate_limit_error", "message": "m"}), START, TEXT
    ),
    "an error without its name": row("error server", data(OVERLOADED), START),
    "another protocol's error": row("error server", data({"error": {"message": "m", "code": 500}})),
}


# -- Gemini ---------------------------------------------------------------------------------------------


def gemini(*parts: object, thoughts: int | None = None, **candidate: object) -> bytes:
    content = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    usage = {"promptTokenCount": 3} | ({} if thoughts is None else {"thoughtsTokenCount": thoughts})
    chunk = {"candidates": [{**content, **candidate}], "usageMetadata": usage}
    return b"data: " + dump(chunk) + b"\r\n\r\n"


UNAVAILABLE = {"code": 503, "message": "m", "status": "UNAVAILABLE"}
CANCELLED = b"""{
  "error": {
    "code": 499,
    "message": "The operation was cancelled.",
    "status": "CANCELLED"
  }
}
"""
ACTS: Mapping[str, Mapping[str, object]] = {
    "executableCode": {"language": "PYTHON", "code": "1"},
    "codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"},
    "toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {}},
    "toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {}},
    "functionCall": {"name": "f", "args": {}},
    "inlineData": {"mimeType": "image/png", "data": "AAAA"},
    "fileData": {"mimeType": "image/png", "fileUri": "gs://a"},
}

GEMINI: Mapping[str, Row] = {
    "usage alone": row(LIFECYCLE, b'data: {"usageMetadata": {"promptTokenCount": 3}}\r\n\r\n'),
    "an empty candidate": row(LIFECYCLE, gemini(index=0)),
    "an empty text": row(LIFECYCLE, gemini({"text": ""})),
    "an empty text with something about it": row(LIFECYCLE, gemini({"text": "", "partMetadata": {"a": 1}})),
    "grounding alone": row(
        LIFECYCLE, gemini(groundingMetadata={"groundingChunks": [{"web": {"uri": "http://a"}}]})
    ),
    "text": row(VISIBLE, gemini({"text": "Hi"})),
    "a thought": row(VISIBLE, gemini({"text": "Hm", "thought": True})),
    "a thought without text": row(WORKING, gemini({"text": "", "thought": True})),
    "a signed thought": row(WORKING, gemini({"thought": True, "thoughtSignature": "x"})),
    "a signature": row(WORKING, gemini({"text": "", "thoughtSignature": "x"})),
    "thoughts are counted": row(WORKING, gemini(thoughts=10)),
    "thoughts grow": row(WORKING, gemini(thoughts=20), gemini(thoughts=10)),
    "thoughts stand still": row(LIFECYCLE, gemini(thoughts=10), gemini(thoughts=10)),
    "thoughts grow beside text": row(VISIBLE, gemini({"text": "Hi"}, thoughts=20), gemini(thoughts=10)),
    **{name: row(VISIBLE, gemini({name: value})) for name, value in ACTS.items()},
    "a streamed call": row(VISIBLE, gemini({"functionCall": {"name": "f", "willContinue": True}})),
    "an error": row("error server", data({"error": UNAVAILABLE}), gemini(thoughts=10)),
    "an error of the rate": row(
        "error rate", data({"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}})
    ),
    "a bare error": row("error request", CANCELLED, gemini(thoughts=10)),
    "a bare error and a blank line": row("error request", CANCELLED + b"\r\n", gemini(thoughts=10)),
    "an error in an envelope": row("error server", data({"error": UNAVAILABLE, "traceId": "x"})),
}


# -- Ollama ---------------------------------------------------------------------------------------------


def line(**message: object) -> bytes:
    return dump({"model": "m", "message": {"role": "assistant", **message}, "done": False}) + b"\n"


OLLAMA: Mapping[str, Row] = {
    "an empty message": row(LIFECYCLE, line(content="")),
    "a blank line": row(LIFECYCLE, b"\n"),
    "text": row(VISIBLE, line(content="Hi")),
    "a thought": row(VISIBLE, line(content="", thinking="Hm")),
    "a call": row(VISIBLE, line(content="", tool_calls=[{"function": {"name": "f", "arguments": {}}}])),
    "an image": row(VISIBLE, line(content="", images=["AAAA"])),
    "an error": row("error server", b'{"error":"the model runner stopped"}\n', line(content="")),
    "an error in another form": row("error rate", b'{"error":{"message":"m","code":429}}\n'),
}

TABLE = {
    "openai_chat": ("groq", SSE, CHAT),
    "openai_responses": ("openai", SSE, RESPONSES),
    "anthropic_messages": ("anthropic", SSE, MESSAGES),
    "gemini_generate": ("gemini", SSE, GEMINI),
    "ollama_chat": ("ollama", NDJSON, OLLAMA),
}
"""By protocol: whose words for errors hold, how its streams are framed, and the rows."""


ROWS = [
    pytest.param(protocol, provider, head, one, id=f"{protocol}: {name}")
    for protocol, (provider, head, table) in TABLE.items()
    for name, one in table.items()
]


def verdict(
    protocol_name: str, provider: str, head: Head, before: bytes, frame: bytes, target: str = ""
) -> str:
    """On `frame`, read where an exchange reads it."""
    protocol = discover()[protocol_name]
    call = Call("call", protocol.name, Operation.GENERATE, "model", True, (), target=target)
    reading = own(call, protocol).reading(head)
    for segment in reading.feed(before):
        assert reading.hold(segment) is None
    assert not reading.progress.visible
    reading.has_worked()
    works = False
    for segment in [*reading.feed(frame), *reading.eof()]:
        if error := reading.hold(segment):
            return f"error {classify.in_band(error, BUILT_IN[provider].errors, 0.0).kind}"
        works = reading.has_worked() or works
    return VISIBLE if reading.settle().visible else WORKING if works else LIFECYCLE


@pytest.mark.parametrize(("protocol", "provider", "head", "one"), ROWS)
def test_what_a_frame_means_at_the_commit_point(protocol: str, provider: str, head: Head, one: Row) -> None:
    expected, frame, before = one
    assert verdict(protocol, provider, head, before, frame) == expected


@pytest.mark.parametrize(
    ("expected", "frame", "before"),
    [
        row(LIFECYCLE, b"["),
        row(VISIBLE, b'[{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}'),
        row(WORKING, b',\r\n{"usageMetadata":{"thoughtsTokenCount":9}}', b'[{"candidates":[{"index":0}]}'),
        row("error server", b'[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]'),
        row("error rate", b'{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}'),
    ],
    ids="bracket text thoughts error bare-error".split(),
)
def test_what_an_item_means_in_a_streamed_array(expected: str, frame: bytes, before: bytes) -> None:
    target = "/v1beta/models/m:streamGenerateContent"
    assert verdict("gemini_generate", "gemini", JSON, before, frame, target) == expected


def test_every_protocol_is_in_the_table() -> None:
    assert {protocol.name for protocol in PROTOCOLS} == TABLE.keys() == EMPTY.keys()


# -- answers that show nothing --------------------------------------------------------------------------

PASSES, RETRIED = "passes", "retried"

STOPPED, DONE = chat("stop"), b"data: [DONE]\n\n"
NOTHING = {"id": "r", "output": [], "status": "completed"}
SHORT = {"id": "r", "output": [], "incomplete_details": {"reason": "max_output_tokens"}}

EMPTY: Mapping[str, Mapping[str, tuple[str, bytes]]] = {
    "openai_chat": {
        "a role": (RETRIED, chat(role="assistant", content="")),
        "counts alone": (RETRIED, chat(content="") + data({"choices": [], "usage": {"prompt_tokens": 3}})),
        "hidden reasoning": (RETRIED, details(type="reasoning.encrypted", data="x")),
        "a stop": (PASSES, chat(role="assistant", content="") + STOPPED + DONE),
        "a stop and no last frame": (PASSES, STOPPED),
        "a last frame and no finish": (PASSES, chat(content="") + DONE),
        "length": (PASSES, chat("length") + DONE),
        "filtered": (PASSES, chat("content_filter") + DONE),
    },
    "openai_responses": {
        "created": (RETRIED, CREATED),
        "an empty message": (RETRIED, CREATED + MESSAGE + done("message", content=[])),
        "hidden reasoning": (RETRIED, CREATED + done("reasoning", encrypted_content="x")),
        "completed": (PASSES, CREATED + event("completed", response=NOTHING)),
        "completed and no blank line": (PASSES, CREATED + event("completed", response=NOTHING).rstrip()),
        "incomplete": (PASSES, CREATED + event("incomplete", response=SHORT)),
    },
    "anthropic_messages": {
        "a start": (RETRIED, START),
        "an empty text": (RETRIED, START + TEXT + said("content_block_stop", index=0)),
        "a refusal": (PASSES, START + said("message_delta", delta={"stop_reason": "refusal"})),
        "an end": (PASSES, START + said("message_delta", delta={"stop_reason": "end_turn"})),
        "a stop alone": (PASSES, START + said("message_stop")),
    },
    "gemini_generate": {
        "an empty text": (RETRIED, gemini({"text": ""})),
        "hidden thoughts": (RETRIED, gemini(thoughts=10) + gemini(thoughts=20)),
        "STOP": (PASSES, gemini({"text": ""}, finishReason="STOP")),
        "MAX_TOKENS": (PASSES, gemini(finishReason="MAX_TOKENS", thoughts=10)),
        "a blocked prompt": (PASSES, data({"promptFeedback": {"blockReason": "SAFETY"}})),
    },
    "ollama_chat": {
        "an empty message": (RETRIED, line(content="")),
        "done": (PASSES, b'{"message":{"content":""},"done":true,"done_reason":"stop"}\n'),
        "done and no line end": (PASSES, b'{"message":{"content":""},"done":true,"done_reason":"load"}'),
    },
}


@pytest.mark.parametrize(
    ("protocol_name", "fate", "answer"),
    [
        pytest.param(protocol, fate, answer, id=f"{protocol}: {name}")
        for protocol, answers in EMPTY.items()
        for name, (fate, answer) in answers.items()
    ],
)
def test_an_answer_without_anything_visible(protocol_name: str, fate: str, answer: bytes) -> None:
    """It passes, as it came, if it ended properly, and is asked for again if not."""
    protocol, (_, head, _) = discover()[protocol_name], TABLE[protocol_name]
    running = replay(protocol, [answer], head=head, terms=TERMS)
    if fate == PASSES:
        assert (running.attempts, running.summary.end) == (1, "completed")
        assert running.body.startswith(answer.rstrip())
    else:
        assert (running.attempts, running.heads, running.ended) == (2, [], [])


# -- across protocols -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "client", "frames"),
    [
        ("gemini_generate", "openai_chat", gemini(thoughts=10)),
        (
            "openai_responses",
            "anthropic_messages",
            CREATED + THOUGHT + about("reasoning_text.delta", content_index=0, delta=""),
        ),
        ("anthropic_messages", "ollama_chat", START + THINKING),
        ("openai_chat", "openai_responses", counted(10, content="")),
    ],
)
def test_hidden_work_shows_through_a_translation(target: str, client: str, frames: bytes) -> None:
    """And is no keep-alive, though the client gets nothing of it."""
    decoder = target_at(ask(client), target).reading(SSE).decoder
    *_, segment = decoder.feed(frames)
    assert Ping(working=True) in decoder.read(segment)
    assert not segment.idle
