"""What an answer says, as plain data for a reader: a stream is put together from its bytes."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

from protocols.base import Decoder
from protocols.model.errors import ProtocolError
from protocols.model.parts import BlockKind, Opaque, StreamPart, Usage
from protocols.model.progress import Block, Progress
from protocols.model.segment import Segment
from protocols.model.wirejson import given, load_value
from rewrite.views.content import call, joined, piece, readable

LARGEST = 4 << 20
"""Bytes of a stream that are read."""

MOST_EVENTS = 50_000
"""Events and lines of it that are read. Each takes some 10 us, an empty one too, in which no call goes on."""

_TURN = 1 << 16
"""Bytes that are read at once."""


def answer_data(decoder: Decoder, body: bytes, status: int | None = None) -> dict[str, object]:
    """What `body` comes to, as far as it can be read. `status`: that of HTTP; None: it has none."""
    progress, notes = _read(decoder, body)
    found = _answer(progress) if progress.said else {}
    if not progress.blocks and not progress.error:
        found |= _unread(body, progress)
    if status is not None and status >= 400:
        found = {"status": status, **found}
    if len(body) > LARGEST:
        notes["cut"] = f"the first {LARGEST:,} of {len(body):,} bytes were read"
    return found | notes


def _read(decoder: Decoder, body: bytes) -> tuple[Progress, dict[str, str]]:
    """What it says, what is wrong with it, and whether there is more."""
    progress, odd = Progress(), 0
    segments = _segments(decoder, body[:LARGEST])
    try:
        for segment in islice(segments, MOST_EVENTS):
            parts = decoder.read(segment)
            progress.fold(parts)
            odd += _odd(parts)
        cut = {"cut": f"the first {MOST_EVENTS:,} events were read"} if next(segments, None) else {}
    except (ProtocolError, ValueError, RecursionError) as error:
        return progress, {"not understood": f"the answer cannot be read further: {error}"}
    return progress, ({"not understood": f"{odd} events of another form"} if odd else {}) | cut


def _segments(decoder: Decoder, body: bytes) -> Iterator[Segment]:
    for at in range(0, len(body), _TURN):
        yield from decoder.feed(body[at : at + _TURN])
    yield from decoder.eof()


def _odd(parts: Sequence[StreamPart]) -> int:
    return sum([isinstance(part, Opaque) for part in parts])


def _unread(body: bytes, progress: Progress) -> dict[str, object]:
    """An answer that has no parts, such as a list of models: what it is."""
    value = load_value(body) if len(body) <= LARGEST else None
    if isinstance(value, dict | list):
        return {"answer": readable(value)}
    if not body:
        return {"answer": "[empty]"}
    return {} if progress.said else {"answer": body[:LARGEST].decode("utf-8", "replace")}


def _answer(progress: Progress) -> dict[str, object]:
    head, error = progress.head, progress.error
    found: dict[str, object] = given(
        model=(head.model or None) if head else None,
        id=(head.id or None) if head else None,
        finish=_finish(progress),
        usage=usage_data(progress.usage) if progress.usage else None,
    )
    if error is not None:
        found["error"] = given(
            type=error.type or None, code=error.code, status=error.status, message=error.message
        )
    choices = {
        choice: joined([_block(each) for each in blocks])
        for choice, blocks in groupby(progress.ordered, lambda block: block.start.choice)
    }
    torn = [_block(each) for each in progress.torn]
    found |= {"begun and left": torn} if torn else {}
    if len(choices) == 1:
        found["answer"] = next(iter(choices.values()))
    elif choices:
        found |= {f"answer {choice}": said for choice, said in choices.items()}
    return found


def _finish(progress: Progress) -> object:
    said = {choice: _reason(progress, choice) for choice in sorted(progress.finished)}
    if not said:
        return None if progress.complete or progress.error else "none: it has no end"
    return next(iter(said.values())) if len(said) == 1 else said


def _reason(progress: Progress, choice: int) -> str:
    finish = progress.finished[choice]
    native = f" ({finish.native})" if finish.native and finish.native != finish.reason.value else ""
    return f"{finish.reason.value}{native}{f', {finish.detail}' if finish.detail else ''}"


def usage_data(usage: Usage) -> dict[str, object]:
    return given(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        output=usage.output,
        reasoning=usage.reasoning,
        cost=usage.cost,
    )


def _block(block: Block) -> object:
    found = _said(block)
    sources = [f"{each.title} {each.url}".strip() for each in block.annotations]
    return {"text": found, "sources": sources} if sources else found


def _said(block: Block) -> object:
    start, text = block.start, block.text
    cut = " [cut]" if block.stop is None else ""
    match start.kind:
        case BlockKind.TEXT:
            return f"{text}{cut}"
        case BlockKind.TOOL:
            return call(f"{start.tool_name or ''}{cut}", start.tool_id or "", text)
        case BlockKind.MEDIA | BlockKind.HOSTED:
            return {f"{start.kind.value}{cut}": piece(start.payload or text)}
        case BlockKind.REASONING:
            return {f"reasoning{cut}": text or "[hidden]"}
        case BlockKind.REFUSAL:
            return {f"refusal{cut}": text}
