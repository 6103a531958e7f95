"""The last calls of conversations, for their status lines."""

from collections import OrderedDict
from collections.abc import Iterable

from protocols.model.call import Operation
from rewrite.usage.entry import CallEntry

MOST_SESSIONS = 1000
MOST_MODELS = 8
"""Of a conversation: a tool asks a small model beside the one that its user talks to."""


class LastCalls:
    """By the hash of a conversation's id, and the model that was asked for."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, OrderedDict[str, CallEntry]] = OrderedDict()

    def take(self, entries: Iterable[CallEntry]) -> None:
        """Calls are over. What was used least recently is forgotten first."""
        for entry in entries:
            if entry.session and entry.operation == Operation.GENERATE:
                self._note(entry)

    def _note(self, entry: CallEntry) -> None:
        models = self._sessions.setdefault(entry.session, OrderedDict())
        self._sessions.move_to_end(entry.session)
        models[entry.model] = entry
        models.move_to_end(entry.model)
        if len(models) > MOST_MODELS:
            models.popitem(last=False)
        if len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)

    def find(self, session: str, model: str) -> CallEntry | None:
        """The last call of a conversation that asked for `model`, or else its last one."""
        models = self._sessions.get(session)
        return (models.get(model) or next(reversed(models.values()))) if models else None
