"""What one WebSocket of the Responses API remembers: responses, so that a turn can continue one of them.

Documented: a connection keeps the state of its last responses in memory, whatever `store` says, and a turn
names one by `previous_response_id` and brings its new items alone. Here such a turn becomes a request with
all items and without that id, so that any provider and any credential can be asked. Nothing else is
inherited, as over HTTP, but from a turn that was prepared only: of it the settings too.

Sizes are bytes of JSON.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocols.model.wirejson import JsonObject, dump, text_at

MOST_RESPONSES, MOST_BYTES = 32, 64 << 20
"""How much one connection remembers: the last responses, each with all items that it continues."""

PREVIOUS = "previous_response_id"
_CALLS = frozenset({"function_call", "custom_tool_call"})
_NOT_SETTINGS = frozenset({"input", PREVIOUS})


@dataclass(frozen=True, slots=True)
class Remembered:
    """A response."""

    items: Sequence[object]
    """Those of its input and its output, as a later input brings them."""
    size: int
    """Bytes of JSON of the items and the settings."""
    previous: str = ""
    """The id of the response that these continue and that is not remembered here. Empty: of none."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """What a later turn inherits."""


class Conversation:
    """The responses of one connection by their ids; the oldest is forgotten first."""

    def __init__(self, most: int = MOST_RESPONSES, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._responses: OrderedDict[str, Remembered] = OrderedDict()
        self._bytes = 0

    def continued(self, body: JsonObject) -> JsonObject:
        """`body` with all that it continues; the same object where it names no response of this
        connection, which is then the provider's affair."""
        found = self._responses.get(text_at(body, PREVIOUS))
        if found is None:
            return body
        own = {name: value for name, value in body.items() if name != PREVIOUS}
        further = {PREVIOUS: found.previous} if found.previous else {}
        return {**found.settings, **own, **further, "input": [*found.items, *_items(body)]}

    def prepared(self, response_id: str, body: JsonObject) -> None:
        """A turn with `body` (as `continued` gave it) was prepared under this id."""
        settings = {name: value for name, value in body.items() if name not in _NOT_SETTINGS}
        self._keep(response_id, _remembered(body, (), settings))

    def ended(self, response_id: str, body: JsonObject, output: Sequence[JsonObject]) -> None:
        """A turn with `body` (as `continued` gave it) ended with this output."""
        stored = body.get("store") is not False
        replayed = [item for item in output if _is_replayed(item, stored=stored)]
        self._keep(response_id, _remembered(body, replayed, {}))

    def _keep(self, response_id: str, one: Remembered) -> None:
        former = self._responses.pop(response_id, None)
        self._bytes += one.size - (former.size if former else 0)
        self._responses[response_id] = one
        while len(self._responses) > self._most or (
            self._bytes > self._most_bytes and len(self._responses) > 1
        ):
            self._bytes -= self._responses.popitem(last=False)[1].size


def _remembered(body: JsonObject, output: Sequence[JsonObject], settings: Mapping[str, object]) -> Remembered:
    items = [*_items(body), *output]
    return Remembered(items, len(dump(items)) + len(dump(settings)), text_at(body, PREVIOUS), settings)


def _items(body: JsonObject) -> list[object]:
    said = body.get("input")
    if isinstance(said, str):
        return [{"type": "message", "role": "user", "content": said}]
    return said if isinstance(said, list) else []


def _is_replayed(item: JsonObject, *, stored: bool) -> bool:
    """A provider that was asked to keep nothing refuses reasoning that it cannot read from the item itself,
    and any refuses a call without a result, which one that was cut never gets."""
    kind = text_at(item, "type")
    if kind == "reasoning":
        return stored or bool(text_at(item, "encrypted_content"))
    return not (kind in _CALLS and text_at(item, "status") == "incomplete")
