"""Parts of another protocol's answer to the event objects of a response, and to a whole one.

Each block becomes an item of its own. What an item's `status` says depends on what follows it, so an item
is done when the next one begins or the response ends: the last one of a cut answer is "incomplete".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from protocols.model.call import Call, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    ChoiceStart,
    Finish,
    FinishReason,
    MessageStart,
    Opaque,
    Ping,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, dump
from protocols.openai_responses.answer_write_items import (
    Open,
    announced,
    as_reported,
    call_done,
    citation_of,
    content_of,
    event_of,
    item_of,
    part_done,
    piece_index,
)
from protocols.openai_responses.error_words import error_object
from protocols.openai_responses.reasoning import encrypted_content

_ECHOED: Mapping[str, object] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that the response repeats, with what the provider says where the client did not."""

_INCOMPLETE: Mapping[FinishReason, str | None] = {
    FinishReason.LENGTH: "max_output_tokens",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.PAUSE: None,
}
"""Why a response is incomplete. A pause has no word of its own here."""


def response_object(call: Call, reply: Reply) -> JsonObject:
    """The response as it begins. Whether it is stored is as the client asked: stored where it did not say."""
    body = call.body
    echoed = {name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()}
    return {
        "id": reply.named("resp_"),
        "object": "response",
        "created_at": reply.created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": [],
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": body.get("store") is not False,
        "text": body.get("text") or {"format": {"type": "text"}},
        "usage": None,
        "previous_response_id": reply.previous,
        **echoed,
    }


class EventWriter:
    """Parts to event objects; stateful, one for each response. `response` is it as written so far."""

    def __init__(self, response: JsonObject, name: str) -> None:
        """`response` as it begins; `name`: what the ids of its items end in."""
        self.response = response
        self._id = name
        self._number = 0
        self._next = 0
        self._output: dict[int, JsonObject] = {}
        self._open: Open | None = None
        self._waiting: Open | None = None
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._over = False

    def write(self, parts: Sequence[StreamPart]) -> list[JsonObject]:
        """Nothing follows the last event."""
        return [self._numbered(event) for part in parts if not self._over for event in self._part(part)]

    def _numbered(self, event: JsonObject) -> JsonObject:
        self._number += 1
        return {**event, "sequence_number": self._number - 1}

    def _part(self, part: StreamPart) -> Iterable[JsonObject]:
        match part:
            case MessageStart():
                return self._begin()
            case BlockStart() | BlockDelta() | BlockStop() | Annotation():
                return self._block(part) if part.choice == 0 else ()
            case Finish(choice=choice):
                self._finish = part if choice == 0 else self._finish
            case UsageReport(usage=usage):
                self._usage = usage
            case StreamEnd():
                return self._end()
            case StreamError():
                return self._failed(part)
            case ChoiceStart() | Ping() | Opaque():
                pass
            case _:
                assert_never(part)
        return ()

    def _begin(self) -> Iterator[JsonObject]:
        for kind in ("created", "in_progress"):
            yield {"type": f"response.{kind}", "response": self.response}

    # -- blocks -------------------------------------------------------------------------------------------

    def _block(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterable[JsonObject]:
        match part:
            case BlockStart():
                return self._start(part)
            case BlockDelta(text=text):
                return self._grow(text) if text else ()
            case BlockStop(signature=signature):
                return self._stop(signature)
            case Annotation():
                return self._annotate(part)
            case _:
                assert_never(part)

    def _start(self, start: BlockStart) -> Iterator[JsonObject]:
        index = self._next
        native = item_of(start, f"{self._id}_{index}")
        if native is None:
            return
        self._next += 1
        yield from self._settle("completed")
        self._open = Open(start, index, native)
        yield {"type": "response.output_item.added", "output_index": index, "item": announced(native)}
        if start.kind in (BlockKind.TEXT, BlockKind.REFUSAL):
            yield from self._show(self._open)

    def _show(self, item: Open) -> Iterator[JsonObject]:
        """The part that text goes into; of reasoning only where there is text."""
        item.shown = True
        if item.start.kind is BlockKind.REASONING:
            at = {**item.place, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}
            yield {"type": "response.reasoning_summary_part.added", **at}
        else:
            at = {**item.place, "content_index": 0, "part": content_of(item, "")}
            yield {"type": "response.content_part.added", **at}

    def _grow(self, text: str) -> Iterator[JsonObject]:
        item = self._open
        if item is None:
            return
        item.text.append(text)
        if item.start.kind is BlockKind.REASONING and not item.shown:
            yield from self._show(item)
        if event := event_of(item.start):
            yield {"type": f"response.{event}.delta", **item.place, **piece_index(item), "delta": text}

    def _annotate(self, part: Annotation) -> Iterator[JsonObject]:
        item = self._open
        if item is None or item.start.kind is not BlockKind.TEXT:
            return
        citation = citation_of(part, len(item.whole))
        at = {**item.place, "content_index": 0, "annotation_index": len(item.annotations)}
        item.annotations.append(citation)
        yield {"type": "response.output_text.annotation.added", **at, "annotation": citation}

    def _stop(self, signature: Signature | None) -> Iterator[JsonObject]:
        item, self._open = self._open, None
        if item is None:
            return
        self._waiting = item
        if signature is not None and (encrypted := encrypted_content(signature)):
            item.native["encrypted_content"] = encrypted
        if item.shown:
            yield from part_done(item)
        elif item.start.kind is BlockKind.TOOL:
            yield call_done(item)

    def _settle(self, status: str) -> Iterator[JsonObject]:
        """The item that stopped is done, with `status`."""
        item, self._waiting = self._waiting, None
        if item is None:
            return
        native = as_reported(item, status)
        self._output[item.index] = native
        yield {"type": "response.output_item.done", "output_index": item.index, "item": native}

    # -- the end ------------------------------------------------------------------------------------------

    def _end(self) -> Iterator[JsonObject]:
        reason = self._finish.reason if self._finish else FinishReason.STOP
        if reason is FinishReason.ERROR:
            yield from self._failed(StreamError("server_error", "the provider failed"))
            return
        if reason not in _INCOMPLETE:
            yield from self._settle("completed")
            yield self._terminal("completed")
            return
        yield from self._settle("incomplete")
        yield self._terminal("incomplete", incomplete_details={"reason": _INCOMPLETE[reason]})

    def _failed(self, error: StreamError) -> Iterator[JsonObject]:
        """Measured: SDKs raise on the nested form of the error event, and know the response by its end."""
        yield from self._settle("completed")
        if self._open is not None:
            self._output[self._open.index] = as_reported(self._open, "incomplete")
            self._open = None
        written = error_object(error.type, error.message, error.status or 500)
        yield {"type": "error", "error": written}
        yield self._terminal("failed", error={"code": written["code"], "message": written["message"]})

    def _terminal(self, status: str, **fields: object) -> JsonObject:
        usage = usage_object(self._usage)
        self._over = True
        output = [self._output[index] for index in sorted(self._output)]
        ended = {"status": status, **fields, "output": output, "usage": usage}
        self.response = {**self.response, **ended}
        return {"type": f"response.{status}", "response": self.response}


# -- a whole answer ---------------------------------------------------------------------------------------


def write_answer(call: Call, reply: Reply, progress: Progress) -> bytes:
    """The response that the stream of the same answer ends with."""
    writer = EventWriter(response_object(call, reply), reply.id)
    writer.write([*_parts(progress), StreamEnd()])
    return dump(writer.response)


def _parts(progress: Progress) -> Iterator[StreamPart]:
    for block in progress.ordered:
        yield from block.parts()
    if progress.usage:
        yield UsageReport(progress.usage)
    yield from progress.finished.values()


def usage_object(usage: Usage | None) -> JsonObject | None:
    """Clients ask for every count; one that nobody reported is 0."""
    if usage is None:
        return None
    read, written = usage.cache_read or 0, usage.cache_write or 0
    return {
        "input_tokens": usage.input or 0,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": (usage.input or 0) + (usage.output or 0),
    }
