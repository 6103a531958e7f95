"""Well-formed answers of OpenAI Responses, made of pieces that a test can cut anywhere.

Measured: every event is named after its type and numbered from 0, items follow one another, and the stream
ends with the terminal event, without [DONE].
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.vendor.answers import SEAL, Json, Tool, dump, named_event
from tests.vendor.script import Headers, Reply, whole

_USAGE: Json = {
    "input_tokens": 12,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 21,
}


@dataclass(frozen=True, slots=True)
class _Item:
    """An output item: as it begins, the events inside it (without their places), and as it is done."""

    begun: Json
    inside: Sequence[Json]
    done: Json


def responses_stream(
    texts: Sequence[str],
    *,
    id: str = "resp_1",
    model: str = "gpt-5-mini",
    finish: str | None = "completed",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """Responses events: created, reasoning, a message, calls, the terminal one (finish None: left out).

    finish: completed, or incomplete for an answer that grew too long.
    """
    return _stream(id, model, _items(texts, tools, reasoning), finish)


def responses_custom_call(name: str, text: str, model: str, *, id: str, namespace: str = "") -> list[bytes]:
    """Responses events of a call of a custom tool, whose input is free text; `id` is the call_id."""
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": id, "name": name, "status": "completed"}
    item |= {"namespace": namespace} if namespace else {}
    kind = "response.custom_tool_call_input"
    inside = [{"type": f"{kind}.delta", "delta": text}, {"type": f"{kind}.done", "input": text}]
    begun = {**item, "input": "", "status": "in_progress"}
    return _stream("resp_1", model, [_Item(begun, inside, {**item, "input": text})], "completed")


def responses_answer(
    text: str,
    *,
    id: str = "resp_1",
    model: str = "gpt-5-mini",
    finish: str = "completed",
    tools: Sequence[Tool] = (),
    reasoning: Sequence[str] = (),
) -> list[bytes]:
    """A whole response."""
    items = _items([text] if text else [], tools, reasoning)
    return [dump(_response(id, model, finish, [item.done for item in items]))]


def responses_error(status: int, code: str, message: str, headers: Headers = ()) -> Reply:
    """A rejection in OpenAI's form."""
    return whole(dump({"error": _fault(code, message)}), status, headers)


def responses_error_events(code: str, message: str, number: int) -> list[bytes]:
    """The same inside a stream. Measured: an error that wraps its fault, then the response as failed.

    number: of the first of the two.
    """
    failed = {**_response("resp_1", "gpt-5-mini", "failed", []), "error": {"code": code, "message": message}}
    return [
        named_event({"type": "error", "sequence_number": number, "error": _fault(code, message)}),
        named_event({"type": "response.failed", "sequence_number": number + 1, "response": failed}),
    ]


def _fault(code: str, message: str) -> Json:
    return {"type": code, "code": code, "message": message, "param": None}


def _stream(id: str, model: str, items: Sequence[_Item], finish: str | None) -> list[bytes]:
    in_progress = _response(id, model, "in_progress", [])
    events: list[Json] = [
        {"type": "response.created", "response": in_progress},
        {"type": "response.in_progress", "response": in_progress},
        *(event for index, item in enumerate(items) for event in _placed(index, item)),
    ]
    if finish:
        response = _response(id, model, finish, [item.done for item in items])
        events.append({"type": f"response.{finish}", "response": response})
    return [named_event({**event, "sequence_number": number}) for number, event in enumerate(events)]


def _placed(index: int, item: _Item) -> Iterator[Json]:
    at = {"output_index": index}
    yield {"type": "response.output_item.added", **at, "item": item.begun}
    for event in item.inside:
        yield {**event, **at, "item_id": item.begun["id"]}
    yield {"type": "response.output_item.done", **at, "item": item.done}


def _items(texts: Sequence[str], tools: Sequence[Tool], reasoning: Sequence[str]) -> list[_Item]:
    return [
        *([_reasoning(reasoning)] if reasoning else []),
        *([_message(texts)] if texts else []),
        *(_call(number, tool) for number, tool in enumerate(tools, 1)),
    ]


def _reasoning(texts: Sequence[str]) -> _Item:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    at, part = {"summary_index": 0}, "response.reasoning_summary_part"
    whole_part = {"type": "summary_text", "text": "".join(texts)}
    inside: list[Json] = [
        {"type": f"{part}.added", **at, "part": {"type": "summary_text", "text": ""}},
        *({"type": "response.reasoning_summary_text.delta", **at, "delta": text} for text in texts),
        {"type": "response.reasoning_summary_text.done", **at, "text": "".join(texts)},
        {"type": f"{part}.done", **at, "part": whole_part},
    ]
    # Measured: the encrypted content is there from the start, and another one when the item is done.
    begun = {**item, "encrypted_content": "not yet"}
    return _Item(begun, inside, {**item, "summary": [whole_part], "encrypted_content": SEAL})


def _message(texts: Sequence[str]) -> _Item:
    item = {"type": "message", "id": "msg_1", "role": "assistant"}
    at, kind = {"content_index": 0}, "response.output_text"
    text = "".join(texts)
    inside: list[Json] = [
        {"type": "response.content_part.added", **at, "part": _output_text("")},
        *({"type": f"{kind}.delta", **at, "delta": each, "logprobs": []} for each in texts),
        {"type": f"{kind}.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": _output_text(text)},
    ]
    done = {**item, "status": "completed", "content": [_output_text(text)]}
    return _Item({**item, "status": "in_progress", "content": []}, inside, done)


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(number: int, tool: Tool) -> _Item:
    call_id = tool.id or f"call_{number}"
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": call_id, "name": tool.name}
    kind = "response.function_call_arguments"
    inside: list[Json] = [
        *({"type": f"{kind}.delta", "delta": text} for text in tool.fragments),
        {"type": f"{kind}.done", "arguments": tool.arguments},
    ]
    done = {**item, "status": "completed", "arguments": tool.arguments}
    return _Item({**item, "status": "in_progress", "arguments": ""}, inside, done)


_TOO_LONG: Json = {"reason": "max_output_tokens"}


def _response(id: str, model: str, status: str, output: Sequence[Json]) -> Json:
    base = {"id": id, "object": "response", "created_at": 1_700_000_000, "model": model, "metadata": {}}
    settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    details = _TOO_LONG if status == "incomplete" else None
    usage = _USAGE if status in {"completed", "incomplete"} else None
    ending = {"error": None, "incomplete_details": details, "output": list(output), "usage": usage}
    return {**base, **settings, "status": status, **ending}
