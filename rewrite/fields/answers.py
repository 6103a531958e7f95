"""What the parts of an answer come to, and what is of the unified model, as plain JSON."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import msgspec

from protocols.model.parts import BlockKind, Signature
from protocols.model.progress import Block, Progress
from protocols.model.prompt import Thought
from protocols.model.wirejson import object_at, text_at


def put_together(progress: Progress) -> dict[str, object]:
    """An answer as an object: `id`, `model`, `usage`, and `choices` in order, each with `index`, `finish`
    (the canonical reason) and `blocks`, each with `type` (a BlockKind), `text`, `id` and `name` (of a call),
    `signature` (`form` and `value`) and `payload`. Null, or "" for a text, where there is none."""
    blocks: dict[int, list[object]] = {choice: [] for choice in sorted(progress.seen)}
    for block in progress.ordered:
        blocks.setdefault(block.start.choice, []).append(_block(block))
    head, finished = progress.head, progress.finished
    return {
        "id": head.id if head else "",
        "model": head.model if head else "",
        "choices": [
            {
                "index": choice,
                "finish": finished[choice].reason.value if choice in finished else None,
                "blocks": found,
            }
            for choice, found in blocks.items()
        ],
        "usage": plain(progress.usage),
    }


def _block(block: Block) -> dict[str, object]:
    return {
        "type": block.kind.value,
        "text": block.text,
        "id": block.start.tool_id,
        "name": block.tool_name,
        "signature": plain(block.stop.signature) if block.stop else None,
        "payload": plain(block.start.payload),
    }


def as_said(value: object) -> object:
    """Reasoning of an answer, a block of `put_together`, as a request repeats it; else `value` as it is."""
    if not isinstance(value, Mapping) or value.get("type") != BlockKind.REASONING:
        return value
    signature = object_at(value, "signature")
    form, sealed = text_at(signature, "form"), text_at(signature, "value")
    return Thought(text_at(value, "text"), Signature(form, sealed) if form else None)


def plain(value: object) -> object:
    """`value` as JSON has it: objects of the unified model as objects of their fields. What is plain already
    is shared."""
    match value:
        case list() | dict():
            return value
        case tuple():
            return [plain(each) for each in value]
        case Mapping():
            return dict(value)
        case msgspec.Struct():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case str():
            return str(value)
        case bytes():
            return value.decode("utf-8", "replace")
        case _ if is_dataclass(value):
            return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
        case _:
            return value
