"""Answers to clients of the protocol: closing a stream of its own, and writing what another one said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from protocols.anthropic_messages.error_words import FINISH_WORDS, error_object
from protocols.anthropic_messages.signatures import CUT, SOURCE
from protocols.framing.sse import write_event
from protocols.model.call import Call, Reply
from protocols.model.parts import (
    Annotation,
    BlockDelta,
    BlockKind,
    BlockStart,
    BlockStop,
    Finish,
    FinishReason,
    MessageStart,
    Signature,
    StreamEnd,
    StreamError,
    StreamPart,
    Usage,
    UsageReport,
)
from protocols.model.progress import Block, Progress, estimated_tokens, updated
from protocols.model.wirejson import NOT_JSON, JsonObject, dump, given, text_at, texts_at
from protocols.shared.arguments import value_of, within
from protocols.shared.signatures import ENVELOPE

_LEFT_OUT = frozenset({BlockKind.HOSTED, BlockKind.MEDIA})
"""Lossy: an answer of this protocol has no place for an image, or for what a provider's own tools did."""

_SIGNED = frozenset({ENVELOPE, "signature"})
_ENDED_BADLY = "the model ended with an error"


class MessagesWriter:
    """See `protocols.base.Writer`. A block is not begun before its first word: clients send back what they
    got, and the provider refuses a text without any."""

    def __init__(self, call: Call, reply: Reply) -> None:
        self._reply = reply
        self._asked_stops = texts_at(call.body, "stop_sequences")
        self._block: _WrittenBlock | None = None
        self._next = 0
        self._called = False
        self._characters = 0
        self._finish: Finish | None = None
        self._usage = Usage()
        self._reported = 0
        self._ended = False

    def write(self, parts: Sequence[StreamPart]) -> bytes:
        return b"".join([piece for part in parts if not self._ended for piece in self._part(part)])

    def _part(self, part: StreamPart) -> Iterator[bytes]:
        match part:
            case BlockStart(choice=0) | BlockDelta(choice=0) | BlockStop(choice=0) | Annotation(choice=0):
                yield from self._block_part(part)
            case MessageStart():
                yield _event({"type": "message_start", "message": _opening(self._reply, self._usage)})
            case UsageReport(usage=usage):
                self._usage = updated(self._usage, usage)
            case Finish(choice=0):
                self._finish = part
            case StreamError(type=kind, message=message, status=status):
                self._ended = True
                yield _event(error_object(kind, message, status))
            case StreamEnd():
                self._ended = True
                yield from self._end()
            case _:
                pass

    def _block_part(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[bytes]:
        if isinstance(part, BlockStart):
            blank = self._block.blank if self._block and part.kind is BlockKind.TEXT else ""
            self._block = None if part.kind in _LEFT_OUT else _WrittenBlock(self._next, part, blank=blank)
            self._called = self._called or part.kind is BlockKind.TOOL
        if self._block is None:
            return
        if isinstance(part, BlockDelta):
            self._characters += len(part.text)
        yield from self._block.write(part)
        self._next = self._block.index + self._block.begun

    def _end(self) -> Iterator[bytes]:
        finish = self._finish or Finish(0, FinishReason.OTHER, "")
        if finish.reason is FinishReason.ERROR:
            yield _event(_bad_end(finish))
            return
        delta = _stop(finish, self._asked_stops, called=self._called)
        usage = _usage(self._usage, max(self._reported, estimated_tokens(self._characters)))
        yield _event({"type": "message_delta", "delta": delta, "usage": usage})
        yield _event({"type": "message_stop"})


class ResumedMessagesWriter(MessagesWriter):
    """More events of a stream of which `progress` was seen, under the indexes that its own blocks have.

    A count of the output that was reported before it was whole is the least that the end reports.
    """

    def __init__(self, call: Call, progress: Progress) -> None:
        super().__init__(call, Reply("", "", 0))
        self._inherited = {
            index: _WrittenBlock(index, block.start, begun=True)
            for (choice, index), block in progress.open.items()
            if choice == 0
        }
        self._next = max((index for _, index in progress.blocks), default=-1) + 1
        self._called = any(block.kind is BlockKind.TOOL for block in progress.blocks.values())
        self._characters = progress.characters
        self._reported = (progress.usage.output if progress.usage else None) or 0
        self._finished = 0 in progress.finished

    def _block_part(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[bytes]:
        block = None if isinstance(part, BlockStart) else self._inherited.get(part.index)
        if block is None:
            yield from super()._block_part(part)
            return
        if isinstance(part, BlockDelta):
            self._characters += len(part.text)
        if isinstance(part, BlockStop):
            del self._inherited[part.index]
        yield from block.write(part)

    def _end(self) -> Iterator[bytes]:
        """Where the client knows already why it stopped, the last event alone is missing."""
        if self._finish is None and self._finished:
            yield _event({"type": "message_stop"})
        else:
            yield from super()._end()


class _WrittenBlock:
    """One block of the answer being written; `begun` as soon as the client knows of it. `blank`: space that
    waits for a word, be it that of the next text."""

    def __init__(self, index: int, start: BlockStart, *, begun: bool = False, blank: str = "") -> None:
        self.index = index
        self.begun = begun
        self.blank = blank
        self._start = start

    def write(self, part: BlockStart | BlockDelta | BlockStop | Annotation) -> Iterator[bytes]:
        match part:
            case BlockStart(kind=BlockKind.TOOL):
                yield from self._begin({**_tool_use(part), "input": {}})
                # Measured: the provider's first delta is always empty.
                yield _delta(self.index, "input_json_delta", partial_json="")
            case BlockDelta(text=text) if text:
                yield from self._text(text)
            case Annotation():
                yield from self._begin({"type": "text", "text": ""})
                yield _delta(self.index, "citations_delta", citation=_citation(part))
            case BlockStop(signature=signature):
                yield from self._stop(signature)
            case _:
                pass

    def _begin(self, block: JsonObject) -> Iterator[bytes]:
        if not self.begun:
            self.begun = True
            yield _event({"type": "content_block_start", "index": self.index, "content_block": block})

    def _text(self, text: str) -> Iterator[bytes]:
        match self._start.kind:
            case BlockKind.REASONING:
                yield from self._begin({"type": "thinking", "thinking": "", "signature": ""})
                yield _delta(self.index, "thinking_delta", thinking=text)
            case BlockKind.TOOL | BlockKind.HOSTED:
                yield _delta(self.index, "input_json_delta", partial_json=text)
            case _:
                yield from self._words(text)

    def _words(self, text: str) -> Iterator[bytes]:
        """Blank space waits for a word: measured, models put some before a tool call and say nothing."""
        self.blank += text
        if self.begun or self.blank.strip():
            yield from self._begin({"type": "text", "text": ""})
            yield _delta(self.index, "text_delta", text=self.blank)
            self.blank = ""

    def _stop(self, signature: Signature | None) -> Iterator[bytes]:
        """Hidden reasoning has a signature alone. Shown reasoning without one was cut: it is marked so, for
        it would be refused when it is sent back. One that came in a piece has all that it needs.

        Lossy: a cut between the signature and the stop replaces a good signature, which is dropped later.
        """
        came_whole = self.begun and self._start.payload is not None
        if self._start.kind is BlockKind.REASONING and not came_whole:
            yield from self._sign(signature)
        if self.begun:
            yield _block_stop(self.index)

    def _sign(self, signature: Signature | None) -> Iterator[bytes]:
        if signature and signature.form == "redacted" and not self.begun:
            yield from self._begin(_redacted(signature))
            return
        value = _signature(signature, shown=self.begun)
        if value:
            yield from self._begin({"type": "thinking", "thinking": "", "signature": ""})
            yield _delta(self.index, "signature_delta", signature=value)


# -- whole answers --------------------------------------------------------------------------------------


def write_answer(call: Call, reply: Reply, progress: Progress) -> bytes:
    """The Message, or an error object where it ended with an error.

    Lossy: a tool call whose arguments are no JSON has no place in it; it counts as cut, and so
    does the message then.
    """
    finish = progress.finished.get(0, Finish(0, FinishReason.OTHER, ""))
    if error := progress.error:
        return dump(error_object(error.type, error.message, error.status))
    if finish.reason is FinishReason.ERROR:
        return dump(_bad_end(finish))
    blocks = [progress.blocks[key] for key in sorted(progress.blocks) if key[0] == 0]
    calls = [block for block in blocks if block.kind is BlockKind.TOOL]
    if any(_arguments(block) is NOT_JSON for block in calls):
        finish = Finish(0, FinishReason.LENGTH, "")
    usage = _usage(progress.usage or Usage(), estimated_tokens(progress.characters))
    message = {
        **_opening(reply, Usage()),
        "content": list(_content(blocks)),
        **_stop(finish, texts_at(call.body, "stop_sequences"), called=bool(calls)),
        "usage": {"input_tokens": 0, **usage},
    }
    return dump(message)


def _content(blocks: Iterable[Block]) -> Iterator[JsonObject]:
    """Blank space goes with the next text."""
    blank = ""
    for block in blocks:
        text = (blank if block.kind is BlockKind.TEXT else "") + block.text
        blank = "" if block.text.strip() else text
        match block.kind:
            case BlockKind.TOOL:
                if (arguments := _arguments(block)) is not NOT_JSON:
                    yield {**_tool_use(block.start), "input": arguments}
            case BlockKind.REASONING:
                yield from _thinking(block)
            case kind if kind not in _LEFT_OUT and (block.text.strip() or block.annotations):
                citations = [_citation(each) for each in block.annotations] or None
                yield given(type="text", text=text, citations=citations)


def _thinking(block: Block) -> Iterator[JsonObject]:
    signature = block.stop.signature if block.stop else None
    if signature and signature.form == "redacted" and not block.text:
        yield _redacted(signature)
    elif value := _signature(signature, shown=bool(block.text)):
        yield {"type": "thinking", "thinking": block.text, "signature": value}


def _arguments(block: Block) -> object:
    """What is no object is so within the protocol alone."""
    return value_of(within(block.text))


# -- what all have --------------------------------------------------------------------------------------


def _opening(reply: Reply, usage: Usage) -> dict[str, object]:
    return {
        "id": reply.named("msg_"),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, **_usage(usage, 0)},
    }


def _usage(usage: Usage, estimate: int) -> dict[str, object]:
    """`input_tokens` without what was read from and written to the cache. Counts of the input that nobody
    gave are left out; the output's must be there, the `estimate` where nobody gave it."""
    cached = (usage.cache_read or 0) + (usage.cache_write or 0)
    reasoning = None if usage.reasoning is None else {"thinking_tokens": usage.reasoning}
    return given(
        input_tokens=None if usage.input is None else max(0, usage.input - cached),
        cache_creation_input_tokens=usage.cache_write,
        cache_read_input_tokens=usage.cache_read,
        output_tokens=estimate if usage.output is None else usage.output,
        output_tokens_details=reasoning,
    )


def _stop(finish: Finish, asked: Sequence[str], *, called: bool) -> dict[str, object]:
    """Why the message stopped. A stop sequence is named if it is one that the client asked for.

    Measured: providers exist that end with "stop" after a tool call; clients run tools on `tool_use`.
    """
    reason = FINISH_WORDS[finish.reason]
    stopped: dict[str, object] = {"stop_reason": reason, "stop_sequence": None}
    if finish.reason is FinishReason.STOP and called:
        return {**stopped, "stop_reason": FINISH_WORDS[FinishReason.TOOL_CALLS]}
    if finish.reason is FinishReason.STOP and finish.detail in asked:
        return {"stop_reason": "stop_sequence", "stop_sequence": finish.detail}
    if finish.reason is FinishReason.CONTENT_FILTER:
        details = {"type": "refusal", "category": None, "explanation": finish.detail or None}
        return {**stopped, "stop_details": details}
    return stopped


def _bad_end(finish: Finish) -> JsonObject:
    words = ": ".join(word for word in (_ENDED_BADLY, finish.native, finish.detail) if word)
    return error_object("api_error", words)


def _tool_use(start: BlockStart) -> Mapping[str, object]:
    return {"type": "tool_use", "id": start.tool_id or "", "name": start.tool_name or ""}


def _redacted(signature: Signature) -> JsonObject:
    return {"type": "redacted_thinking", "data": signature.value}


def _signature(signature: Signature | None, *, shown: bool) -> str:
    if signature and signature.form in _SIGNED:
        return signature.value
    return CUT if shown else ""


def _citation(part: Annotation) -> JsonObject:
    """Lossy: a citation of this protocol is of a whole block of text, so the offsets go."""
    return {
        "type": "web_search_result_location",
        "url": part.url,
        "title": part.title or None,
        "cited_text": "",
        "encrypted_index": SOURCE,
    }


def _block_stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})


def _delta(index: int, kind: str, **fields: object) -> bytes:
    return _event({"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}})


def _event(data: JsonObject) -> bytes:
    return write_event(data, text_at(data, "type"))
