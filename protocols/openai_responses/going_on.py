"""The rest of an answer that was cut: how it is asked for, and how it is written behind what there is."""

from protocols.base import Call, Reply
from protocols.openai_responses.layout import Item, Layout, Piece, layout_of
from protocols.openai_responses.shapes import Open
from protocols.openai_responses.transport import ResponsesWriter
from protocols.openai_responses.writer import EventWriter
from protocols.parts import Block, Progress
from protocols.wirejson import JsonObject


def continued(body: JsonObject, said: str, ask: str) -> JsonObject:
    """A bare text becomes the first item of a list."""
    asked = body.get("input")
    before = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    turns = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ask}]},
    ]
    return {**body, "input": [*(before if isinstance(before, list) else []), *turns]}


def resumed(call: Call, progress: Progress) -> ResponsesWriter:
    """It goes on with the provider's own response, items and count of events."""
    layout = layout_of(progress) or Layout()
    writer = EventWriter(call, Reply("", "", 0))
    writer.take_up(layout.response, layout.sequence, [item.native for item in layout.ordered if item.done])
    for item in layout.ordered:
        if not item.done and (block := _block_of(item, progress)):
            writer.take_up_item(_open(item, block), stopped=block.stop is not None)
    return ResponsesWriter(writer)


def _block_of(item: Item, progress: Progress) -> Block | None:
    index = item.pieces[-1].block if item.pieces else item.block
    return None if index is None else progress.blocks.get((0, index))


def _open(item: Item, block: Block) -> Open:
    """An item that is being written. What grows in it is apart from it."""
    piece = item.pieces[-1] if item.pieces else Piece("", 0, 0)
    native = {**item.native, **({"content": []} if "content" in item.native else {})}
    text = [block.text[piece.start :]]
    return Open(block.start, item.output_index, native, text, list(piece.annotations), bool(item.pieces))
