"""A trace in memory."""

from collections.abc import Sequence

from protocols.model.call import Call, Operation
from rewrite.records.passes import Asked, CallTrace, Entry


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.files: dict[str, bytes] = {}
        self.closed = 0

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def data(self, file: str, chunk: bytes) -> None:
        self.files[file] = self.files.get(file, b"") + chunk

    def close(self) -> None:
        self.closed += 1

    @property
    def names(self) -> Sequence[str]:
        return [entry.name for entry in self.entries]


def trace_of(kept: Kept, call: Call | None = None) -> CallTrace:
    """The trace of a call, which began in second 5 of the machine's clock."""
    made = call or Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt-5", True, (), session="s-1")
    began = Asked(made.protocol, "openai", made.model or "")
    return CallTrace(kept, made.id, began, 5.0, 1000.0, made.session or "")
