"""Well-formed answers of OpenAI Chat and Anthropic Messages, made of pieces that a test can cut anywhere.

Streams are lists with one complete server-sent event each, its blank line included; whole answers are lists
of one JSON body. Errors come as a `Reply`, since the status is part of them. Shapes follow recorded traffic:
Chat is data-only and ends with [DONE]; Messages names every event after its type.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.vendor.script import Headers, Reply, whole

Json = Mapping[str, Any]

_CREATED = 1_700_000_000
SEAL = "c2lnbmF0dXJl"
"""What every protocol here seals its reasoning with: a signature, encrypted content, a thought signature."""

_MESSAGES_USAGE: Json = {"input_tokens": 12, "output_tokens": 9}
CHAT_USAGE: Json = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}
"""What whole answers report, and streams if they are asked to."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool call; the fragments together are the arguments' JSON text. id: "" takes one of the protocol."""

    name: str
    fragments: Sequence[str] = ("{}",)
    id: str = ""

    @property
    def arguments(self) -> str:
        return "".join(self.fragments)


def dump(value: Json) -> bytes:
    """Compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def data_event(value: Json) -> bytes:
    """An event without a name, as Chat sends them."""
    return b"data: " + dump(value) + b"\n\n"


def named_event(value: Json) -> bytes:
    """An event named after its own `type`, as Messages sends them."""
    return b"event: " + str(value["type"]).encode() + b"\n" + data_event(value)


def chat_stream(
    texts: Sequence[str],
    *,
    id: str = "chatcmpl-1",
    model: str = "gpt-4o-mini",
    usage: Json | None = None,
    finish: str | None = "stop",
    done: bool = True,
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """Chat chunks: role, reasoning, texts, tool calls, finish (None: left out), usage if given, [DONE]."""
    deltas: list[Json] = [
        {"role": "assistant", "content": "" if texts or not tools else None},
        *({"reasoning_content": text} for text in reasoning),
        *({"content": text} for text in texts),
        *(delta for index, tool in enumerate(tools) for delta in _chat_tool(index, tool)),
    ]
    choices = [_choice(delta) for delta in deltas] + ([_choice({}, finish)] if finish else [])
    base = {"id": id, "object": "chat.completion.chunk", "created": _CREATED, "model": model}
    # With usage asked for, it is null on every chunk but one, which comes last and has no choices.
    usage_so_far: Json = {"usage": None} if usage else {}
    chunks: list[Json] = [{**base, "choices": [choice], **usage_so_far} for choice in choices]
    if usage:
        chunks.append({**base, "choices": [], "usage": usage})
    return [*map(data_event, chunks), *([b"data: [DONE]\n\n"] if done else [])]


def _choice(delta: Json, finish: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _chat_tool(index: int, tool: Tool) -> list[Json]:
    function = {"name": tool.name, "arguments": ""}
    head = {"index": index, "id": tool.id or f"call_{index + 1}", "type": "function", "function": function}
    fragments = [{"index": index, "function": {"arguments": text}} for text in tool.fragments]
    return [{"tool_calls": [call]} for call in (head, *fragments)]


def chat_tool_stream(
    name: str,
    fragments: Sequence[str],
    *,
    id: str = "chatcmpl-1",
    model: str = "gpt-4o-mini",
    usage: Json | None = None,
    finish: str | None = "tool_calls",
    done: bool = True,
) -> list[bytes]:
    """Chat chunks of one tool call and nothing else."""
    tools = [Tool(name, fragments)]
    return chat_stream([], id=id, model=model, usage=usage, finish=finish, done=done, tools=tools)


def chat_answer(
    text: str,
    *,
    id: str = "chatcmpl-1",
    model: str = "gpt-4o-mini",
    finish: str = "stop",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """A whole chat.completion."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    message |= {"reasoning_content": "".join(reasoning)} if reasoning else {}
    message |= (
        {"tool_calls": [_chat_call(number, tool) for number, tool in enumerate(tools, 1)]} if tools else {}
    )
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    base = {"id": id, "object": "chat.completion", "created": _CREATED, "model": model}
    return [dump({**base, "choices": [choice], "usage": CHAT_USAGE})]


def _chat_call(number: int, tool: Tool) -> Json:
    function = {"name": tool.name, "arguments": tool.arguments}
    return {"id": tool.id or f"call_{number}", "type": "function", "function": function}


def chat_error(status: int, code: str, message: str, headers: Headers = ()) -> Reply:
    """A rejection in OpenAI's form."""
    return whole(dump(_chat_fault(code, message)), status, headers)


def chat_error_event(code: str, message: str) -> bytes:
    """The same inside a stream."""
    return data_event(_chat_fault(code, message))


def _chat_fault(code: str, message: str) -> Json:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def messages_stream(
    texts: Sequence[str],
    *,
    id: str = "msg_1",
    model: str = "claude-sonnet-4-5",
    usage: Json | None = None,
    finish: str | None = "end_turn",
    done: bool = True,
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
    ping: bool = True,
) -> list[bytes]:
    """Messages events: start, thinking, text, tool blocks, message_delta message_stop.

    finish: the stop_reason; None leaves message_delta out.
    usage: what message_delta reports, cumulative; message_start has its input counts and one output token.
    """
    total = usage or _MESSAGES_USAGE
    blocks = [
        *([_thinking(reasoning)] if reasoning else []),
        *([_text(texts)] if texts else []),
        *(_messages_tool(number, tool) for number, tool in enumerate(tools, 1)),
    ]
    events = [_message_start(id, model, total), *([{"type": "ping"}] if ping else [])]
    events += [event for index, block in enumerate(blocks) for event in _block(index, *block)]
    if finish:
        delta = {"stop_reason": finish, "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": total})
    return [named_event(event) for event in [*events, *([{"type": "message_stop"}] if done else [])]]


def _message_start(id: str, model: str, usage: Json) -> Json:
    message = {"id": id, "type": "message", "role": "assistant", "model": model, "content": []}
    ending = {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    return {"type": "message_start", "message": {**message, **ending}}


def _text(texts: Sequence[str]) -> tuple[Json, list[Json]]:
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": text} for text in texts]


def _thinking(reasoning: Sequence[str]) -> tuple[Json, list[Json]]:
    deltas: list[Json] = [{"type": "thinking_delta", "thinking": text} for text in reasoning]
    signature = {"type": "signature_delta", "signature": SEAL}
    return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signature]


def _messages_tool(number: int, tool: Tool) -> tuple[Json, list[Json]]:
    # The first fragment is empty, always.
    fragments = ["", *tool.fragments]
    deltas: list[Json] = [{"type": "input_json_delta", "partial_json": text} for text in fragments]
    return {"type": "tool_use", "id": tool.id or f"toolu_{number}", "name": tool.name, "input": {}}, deltas


def _block(index: int, content: Json, deltas: Sequence[Json]) -> list[Json]:
    start = {"type": "content_block_start", "index": index, "content_block": content}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


def messages_tool_stream(
    name: str,
    fragments: Sequence[str],
    *,
    id: str = "msg_1",
    model: str = "claude-sonnet-4-5",
    usage: Json | None = None,
    finish: str | None = "tool_use",
    done: bool = True,
) -> list[bytes]:
    """Messages events of one tool call and nothing else."""
    tools = [Tool(name, fragments)]
    return messages_stream([], id=id, model=model, usage=usage, finish=finish, done=done, tools=tools)


def messages_answer(
    text: str,
    *,
    id: str = "msg_1",
    model: str = "claude-sonnet-4-5",
    finish: str = "end_turn",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """A whole message."""
    thought = {"type": "thinking", "thinking": "".join(reasoning), "signature": SEAL}
    content = [
        *([thought] if reasoning else []),
        *([{"type": "text", "text": text}] if text or not tools else []),
        *(_messages_call(number, tool) for number, tool in enumerate(tools, 1)),
    ]
    base = {"id": id, "type": "message", "role": "assistant", "model": model}
    ending = {"stop_reason": finish, "stop_sequence": None, "usage": _MESSAGES_USAGE}
    return [dump({**base, "content": content, **ending})]


def _messages_call(number: int, tool: Tool) -> Json:
    arguments = json.loads(tool.arguments)
    return {"type": "tool_use", "id": tool.id or f"toolu_{number}", "name": tool.name, "input": arguments}


def messages_error(status: int, type: str, message: str, headers: Headers = ()) -> Reply:
    """A rejection in Anthropic's form."""
    return whole(dump({**_messages_fault(type, message), "request_id": "req_1"}), status, headers)


def messages_error_event(type: str, message: str) -> bytes:
    """The same inside a stream."""
    return named_event(_messages_fault(type, message))


def _messages_fault(type: str, message: str) -> Json:
    return {"type": "error", "error": {"type": type, "message": message}}
