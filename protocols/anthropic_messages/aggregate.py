"""The events of a stream put together as the message that would have come whole.

Measured: usage of `message_delta` is cumulative and overrides that of `message_start`, which may have counts
that it leaves out; an upstream that begins again sends a second `message_start`, and what came before is
void.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocols.model.wirejson import JsonObject, beside, count_at, object_at, objects_at, text_at
from protocols.shared.arguments import is_complete, value_of

_INPUT = "input_json_delta"
_GROWING = ("text", "thinking")
_OF_DELTA = frozenset({"type", "delta", "usage"})


class MessagesFold:
    """See `protocols.base.Fold`."""

    def __init__(self) -> None:
        self._message: dict[str, object] = {}
        self._usage: dict[str, object] = {}
        self._blocks: list[_Block] = []
        self._open: dict[int, _Block] = {}

    def feed(self, event: JsonObject, name: str = "") -> None:
        index = count_at(event, "index") or 0
        match event.get("type"):
            case "message_start":
                self._start(object_at(event, "message"))
            case "content_block_start":
                self._open[index] = _Block(dict(object_at(event, "content_block")))
                self._blocks.append(self._open[index])
            case "content_block_delta" if index in self._open:
                self._open[index].feed(object_at(event, "delta"))
            case "content_block_stop" if index in self._open:
                self._open[index].stopped = True
            case "message_delta":
                self._message |= beside(event, _OF_DELTA) | dict(object_at(event, "delta"))
                self._usage |= beside(object_at(event, "usage"))

    def _start(self, message: JsonObject) -> None:
        self._message = {name: value for name, value in message.items() if name not in ("content", "usage")}
        self._usage = dict(object_at(message, "usage"))
        self._blocks = [_Block(dict(block), stopped=True) for block in objects_at(message, "content")]
        self._open.clear()

    def whole(self, *, done: bool) -> JsonObject | None:
        """A tool's block whose input is no JSON is left out: clients run a call with none. An end that says
        that it is to be run is none then."""
        if not self._message:
            return None
        kept = [block for block in self._blocks if block.is_whole(done=done)]
        content = [block.whole() for block in kept]
        message = {**self._message, "content": content}
        torn = len(kept) < len(self._blocks)
        if torn or not text_at(message, "stop_reason"):
            message["stop_reason"] = "max_tokens" if torn or not done else _supplied(content)
            message.setdefault("stop_sequence", None)
        return {**message, "usage": self._usage}


def _supplied(content: Sequence[JsonObject]) -> str:
    return "tool_use" if any(text_at(block, "type") == "tool_use" for block in content) else "end_turn"


@dataclass(slots=True)
class _Block:
    """`block` as it began and as its deltas changed it; `pieces`: of its input."""

    block: dict[str, object]
    pieces: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    stopped: bool = False

    def feed(self, delta: JsonObject) -> None:
        if text_at(delta, "type") == _INPUT:
            self.pieces.append(text_at(delta, "partial_json"))
            return
        for name, value in delta.items():
            if name in _GROWING and isinstance(value, str):
                self.texts.setdefault(name, [text_at(self.block, name)]).append(value)
            elif name == "citation":
                self.block["citations"] = [*objects_at(self.block, "citations"), value]
            elif name != "type" and value is not None:
                self.block[name] = value

    @property
    def calls(self) -> bool:
        """Measured: llama.cpp's blocks of tools begin without an input."""
        return "input" in self.block or bool(self.pieces) or text_at(self.block, "type") == "tool_use"

    def is_whole(self, *, done: bool) -> bool:
        """Of an input that is empty its stop says that it is."""
        if not self.calls:
            return True
        return is_complete("".join(self.pieces), done=done or self.stopped)

    def whole(self) -> JsonObject:
        value = value_of("".join(self.pieces))
        texts = {name: "".join(pieces) for name, pieces in self.texts.items()}
        given = {} if value is None and "input" in self.block else {"input": {} if value is None else value}
        return {**self.block, **texts, **(given if self.calls else {})}
