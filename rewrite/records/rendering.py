"""What an answer said, put together from its parts, as plain data for JSON: for the trace of its call."""

from collections.abc import Iterator, Mapping

from protocols.model.parts import BlockKind, Finish, StreamError
from protocols.model.progress import Block, Progress
from protocols.model.wirejson import encoded, given, load_object


def rendered_parts(progress: Progress) -> Mapping[str, object]:
    """All of it."""
    return given(
        id=progress.head.id or None if progress.head else None,
        model=progress.head.model or None if progress.head else None,
        parts=list(_blocks(progress)),
        finishes=[_finish(progress.finished[choice]) for choice in sorted(progress.finished)],
        usage=progress.usage.said() if progress.usage else None,
        error=_error(progress.error) if progress.error else None,
    )


def _blocks(progress: Progress) -> Iterator[Mapping[str, object]]:
    """`torn`: an upstream that began again left it open."""
    yield from ({**_block(block), "torn": True} for block in progress.torn)
    yield from (_block(progress.blocks[place]) for place in sorted(progress.blocks))


def _block(block: Block) -> Mapping[str, object]:
    start, stop = block.start, block.stop
    said: dict[str, object] = {"choice": start.choice, "kind": start.kind.value}
    if start.kind is BlockKind.TOOL:
        said |= given(id=start.tool_id, name=start.tool_name, namespace=start.namespace or None)
        whole = load_object(encoded(block.text))
        said["input"] = block.text if whole is None else whole
    elif block.text:
        said["text"] = block.text
    sources = [{"url": each.url, "title": each.title} for each in block.annotations]
    said |= given(payload=start.payload, sources=sources or None)
    return said | given(
        signed=True if stop and stop.signature else None, unfinished=True if stop is None else None
    )


def _finish(finish: Finish) -> Mapping[str, object]:
    return {"choice": finish.choice, "reason": finish.reason.value, "native": finish.native} | given(
        detail=finish.detail or None
    )


def _error(error: StreamError) -> Mapping[str, object]:
    return given(type=error.type, message=error.message, code=error.code, status=error.status)
