"""The items of one response as far as its stream has reported them.

The reader keeps a `Layout` up to date; it travels in `MessageStart.template`, so that whoever closes a cut
stream closes the provider's own items, under their own ids and indexes. Text is not kept twice: a piece
knows where in its block it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocols.model.parts import MessageStart
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject, count_at, object_at, text_at

LAYOUT = "layout"
"""The field of `MessageStart.template` that holds it."""

_ALWAYS_THE_CLIENTS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "apply_patch_call",
        "computer_call",
        "mcp_approval_request",
    }
)
_LOCAL = ("", "local")


def run_by_client(item: JsonObject) -> bool:
    """Whether the client is to act on an output item.

    Measured: a shell call for the client has no environment, one in a container names it.
    """
    match text_at(item, "type"):
        case "shell_call":
            return text_at(object_at(item, "environment"), "type") in _LOCAL
        case "tool_search_call":
            return item.get("execution") == "client"
        case kind:
            return kind in _ALWAYS_THE_CLIENTS


_ITEM_OF_EVENTS: Mapping[str, str] = {
    "content_part": "message",
    "output_text": "message",
    "refusal": "message",
    "reasoning_summary_part": "reasoning",
    "reasoning_summary_text": "reasoning",
    "reasoning_text": "reasoning",
    "reasoning": "reasoning",
    "reasoning_summary": "reasoning",
    "function_call_arguments": "function_call",
    "custom_tool_call_input": "custom_tool_call",
    "mcp_call_arguments": "mcp_call",
    "mcp_list_tools": "mcp_list_tools",
    "code_interpreter_call_code": "code_interpreter_call",
    "shell_call_command": "shell_call",
    "shell_call_output_content": "shell_call_output",
}


def item_of(event: str) -> str | None:
    """The type of item that an event (its type, without `response.`) is about; None if it says none.

    A hosted tool's are named by its item: `web_search_call.searching`.
    """
    name = event.partition(".")[0]
    return _ITEM_OF_EVENTS.get(name) or (name if name.endswith("_call") else None)


@dataclass(slots=True)
class Piece:
    """One part of an item's content or summary."""

    kind: str
    """Its type on the wire."""
    index: int
    """Its place in the content or the summary."""
    block: int
    """The index of the block that its text is in."""
    start: int = 0
    """The character of that block which its text begins with."""
    length: int = 0
    """Characters of its text."""
    open: bool = True
    """Whether its end has not come."""
    annotations: list[JsonObject] = field(default_factory=list)
    """As they came."""


@dataclass(slots=True)
class Item:
    """One item of the output."""

    output_index: int
    """Its place, as the provider counts."""
    native: JsonObject
    """The item as the provider gave it last."""
    done: bool = False
    """Whether its end came."""
    block: int | None = None
    """The index of the block of a tool call or a hosted item. None: it is neither."""
    pieces: list[Piece] = field(default_factory=list)
    """The parts of a message or of reasoning, in order."""

    @property
    def kind(self) -> str:
        return text_at(self.native, "type")


@dataclass(slots=True)
class Layout:
    """What a stream has reported of its response."""

    response: JsonObject = field(default_factory=dict)
    """The object of the lifecycle events."""
    items: dict[int, Item] = field(default_factory=dict)
    """By output index."""
    sequence: int | None = None
    """The last sequence number. None: the provider does not count (measured: two recorded streams)."""
    ended: bool = False
    """Whether the last frame came."""
    gone: set[int] = field(default_factory=set)
    """The output indexes of items that the client does not see."""
    unsaid: int = 0
    """How many events about those items were counted."""

    @property
    def ordered(self) -> list[Item]:
        return [self.items[index] for index in sorted(self.items)]

    @property
    def reported(self) -> list[Item]:
        """The items that the client knows."""
        return [item for item in self.ordered if item.output_index not in self.gone]

    @property
    def free(self) -> int:
        """The output index of the next item."""
        return max(self.items, default=-1) + 1

    def find(self, event: JsonObject, kind: str | None = None) -> int | None:
        """The output index of the item that an event is about; `kind`: its type, where the event says it.

        Measured: llama.cpp gives the item's id alone, one gateway nothing with the end of an item: it is the
        one that is open then, if there is only one.
        """
        index = count_at(event, "output_index")
        if index is not None:
            return index
        if named := text_at(event, "item_id") or text_at(object_at(event, "item"), "id"):
            known = (at for at, item in self.items.items() if text_at(item.native, "id") == named)
            return next(known, None)
        still = [at for at, item in self.items.items() if not item.done and item.kind == kind]
        return still[0] if len(still) == 1 else None

    def place(self, index: int) -> int:
        """The output index by which the client knows an item."""
        return index - sum(each < index for each in self.gone)


def layout_of(progress: Progress) -> Layout | None:
    """That of the stream that `progress` follows; None before its first event."""
    found = progress.head.template.get(LAYOUT) if progress.head else None
    return found if isinstance(found, Layout) else None


def layout_at(head: MessageStart | None) -> Layout:
    """That of the stream that began with `head`."""
    return layout_of(Progress(head)) or Layout()
