"""Streams that providers really send and that go wrong most easily, each by the name of what is odd in it."""

from protocols.model.http import Head
from protocols.model.wirejson import dump
from tests.rewrite.asks import REGISTRY
from tests.rewrite.scenes import (
    DONE,
    MESSAGE,
    MESSAGE_STOP,
    ROLE,
    block,
    calls,
    chunk,
    delta,
    ending,
    error_chunk,
    event,
    finishes,
    says,
    stop,
)

GEMINI, RESPONSES = REGISTRY["gemini_generate"], REGISTRY["openai_responses"]
OLLAMA = REGISTRY["ollama_chat"]
NDJSON = Head(200, (("content-type", "application/x-ndjson"),))


def chat(**fields: object) -> bytes:
    """One frame of a chat stream, of any fields."""
    return b"data: " + dump({"id": "c1", "model": "model", **fields}) + b"\n\n"


def gemini(*parts: dict[str, object], finish: str | None = None, **fields: object) -> bytes:
    """One chunk of a Gemini stream."""
    candidate: dict[str, object] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return b"data: " + dump({"candidates": [candidate], "modelVersion": "model", **fields}) + b"\r\n\r\n"


def calling(**call: object) -> dict[str, object]:
    return {"functionCall": call}


def response(kind: str, number: int, **fields: object) -> bytes:
    """One event of a Responses stream, under its sequence number."""
    return event(f"response.{kind}", sequence_number=number, **fields)


def created(number: int = 0) -> bytes:
    return response("created", number, response={"id": "resp_1", "model": "model", "status": "in_progress"})


def message_item(number: int, text: str, index: int = 0) -> bytes:
    """A message that is being written: its item, its part, one delta."""
    at = {"output_index": index, "item_id": "msg_1"}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    return b"".join(
        (
            response("output_item.added", number, output_index=index, item=item),
            response("content_part.added", number + 1, **at, content_index=0, part=part),
            response("output_text.delta", number + 2, **at, content_index=0, delta=text),
        )
    )


def completed(number: int, text: str = "Hi") -> bytes:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    done = {"id": "resp_1", "model": "model", "status": "completed", "output": [item]}
    return response("completed", number, response=done)


# -- the streams --------------------------------------------------------------------------------------

TOOL_HEADER = ROLE + calls("", "weather")
TOOL_BLOCK = block(0, "tool_use", id="t1", name="weather", input={})
HALF_ARGUMENTS = delta(0, type="input_json_delta", partial_json='{"city":"Par')
THINKING = block(0, "thinking", thinking="", signature="")
SIGNATURE = delta(0, type="signature_delta", signature="c2ln")
ANSWER = block(1, "text", text="") + delta(1, type="text_delta", text="Hi") + stop(1)
CUT_THINKING = MESSAGE + THINKING + delta(0, type="thinking_delta", thinking="hm")
END = ending("end_turn") + MESSAGE_STOP

DONE_WITHOUT_FINISH = ROLE + says("Hi") + DONE
CALL_DONE_WITHOUT_FINISH = TOOL_HEADER + calls('{"city":"Paris"}') + DONE
FINISH_WITHOUT_DONE = ROLE + says("Hi") + finishes("stop")
STOP_ON_EVERY_CHUNK = gemini({"text": "First "}, finish="STOP") + gemini({"text": "second"}, finish="STOP")
NO_BLANK_LINE = (created() + message_item(1, "Hi") + completed(4)).removesuffix(b"\n\n")
HALF_AN_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"caf\xc3'
CUT_ARGUMENTS = TOOL_HEADER + calls('{"city":"Par')
SIGNED_EMPTY_TEXT = gemini({"text": "", "thoughtSignature": "c2ln"}, finish="STOP")
SIGNED_PARALLEL = gemini(
    {**calling(name="weather", args={"city": "Paris"}), "thoughtSignature": "c2ln"},
    calling(name="weather", args={"city": "Oslo"}),
    finish="STOP",
)
SIGNATURE_ONLY = MESSAGE + THINKING + SIGNATURE + stop(0) + ANSWER + END
REDACTED = MESSAGE + block(0, "redacted_thinking", data="EqkECkYI") + stop(0) + ANSWER + END
PARTIAL_ARGUMENTS = (
    gemini(calling(name="order", willContinue=True))
    + gemini(
        calling(
            partialArgs=[{"jsonPath": "$.items[0].name", "stringValue": "Bos", "willContinue": True}],
            willContinue=True,
        )
    )
    + gemini(calling(partialArgs=[{"jsonPath": "$.items[0].name", "stringValue": "ton"}], willContinue=True))
)
GEMINI_STOP = gemini(finish="STOP")
AZURE = b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[]}\n\n'
USAGE_EVERYWHERE = b"".join(
    chat(
        choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}],
        usage={"prompt_tokens": 10, "completion_tokens": number, "total_tokens": 10 + number},
    )
    for number, (text, finish) in enumerate((("a", None), ("b", None), ("c", "stop")), start=1)
)
SOFT_ERROR = chat(
    error={"code": 400, "message": "Token limit reached"},
    choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": None}],
)
OPENROUTER = ROLE + says("Hi") + SOFT_ERROR + says("more") + finishes("stop") + DONE
GROQ_ERROR = b"event: error\n" + error_chunk("Failed to call a function", failed_generation='{"name":')
GROQ = ROLE + says("Hi") + GROQ_ERROR
OVERWRITTEN = (
    event("message_start", message={"id": "m1", "model": "model", "usage": {"input_tokens": 408}})
    + block(0, "text", text="") + delta(0, type="text_delta", text="Hi") + stop(0)
    + event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={
            "input_tokens": 412,
            "output_tokens": 7,
            "iterations": [
                {"input_tokens": 204, "output_tokens": 3},
                {"input_tokens": 208, "output_tokens": 4},
            ],
        },
    )
    + MESSAGE_STOP
)  # fmt: skip
SPLICED = b"".join(
    MESSAGE + TOOL_BLOCK + delta(0, type="input_json_delta", partial_json=text)
    for text in ('{"value":"Spark', '{"value":"Sparkle Day"}')
)
SPLICED_END = stop(0) + ending("tool_use") + MESSAGE_STOP
ONE_OF_TWO = ROLE + says("Hi", 0) + says("Ho", 1) + finishes("stop", 0)


def tool(tool_id: str, arguments: str, **index: int) -> dict[str, object]:
    return {**index, "id": tool_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


COLLIDING = (
    ROLE
    + chunk({"tool_calls": [tool("a", '{"n":1}', index=0)]})
    + chunk({"tool_calls": [tool("b", '{"n":2}', index=0)]})
    + finishes("tool_calls")
    + DONE
)
UNNUMBERED = ROLE + chunk({"tool_calls": [tool("a", '{"n":1}'), tool("b", '{"n":2}')]})
UNNUMBERED += finishes("tool_calls") + DONE
INTERLEAVED = (
    ROLE
    + chunk({"tool_calls": [tool("a", '{"n"', index=0)]})
    + chunk({"tool_calls": [tool("b", '{"n"', index=1)]})
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})
    + chunk({"tool_calls": [{"index": 1, "function": {"arguments": ":2}"}}]})
    + finishes("tool_calls")
    + DONE
)
MISTRAL = (
    chunk({"role": "assistant", "content": ""})
    + chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "The"}]}]})
    + chunk({"content": [{"type": "thinking", "thinking": [], "closed": True}]})
    + chunk({"content": [{"type": "text", "text": "Hi"}]})
    + finishes("stop")
    + DONE
)
KEEPALIVE = event("keepalive", sequence_number=2)
KEPT_ALIVE = (
    created() + response("in_progress", 1, response={"id": "resp_1"}) + KEEPALIVE + message_item(3, "Hi")
)
UNNAMED_ERROR = b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n'
FLAT_ERROR = event("error", code="server_error", message="busy", param=None, sequence_number=4)
OPENED = MESSAGE + block(0, "text", text="") + delta(0, type="text_delta", text="Hi")

# -- runners-up ---------------------------------------------------------------------------------------

BLOCKED = (
    b"data: " + dump({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "model"}) + b"\r\n\r\n"
)
REFUSED = MESSAGE + ending("refusal") + MESSAGE_STOP
OLLAMA_DONE = (
    b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'
    b'{"model":"m","message":{"role":"assistant","content":""},"done":true}\n'
)
_BESIDE = {
    "prompt_tokens": 10,
    "completion_tokens": 2,
    "total_tokens": 42,
    "completion_tokens_details": {"reasoning_tokens": 30},
}
THOUGHT_BESIDE = ROLE + says("Hi") + finishes("stop") + chat(choices=[], usage=_BESIDE) + DONE
STOP_SEQUENCE = (
    OPENED
    + stop(0)
    + event(
        "message_delta",
        delta={"stop_reason": "stop_sequence", "stop_sequence": "END"},
        usage={"output_tokens": 5},
    )
    + MESSAGE_STOP
)
