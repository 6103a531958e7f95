"""suppress_developer_role: for providers that refuse the role `developer`, OpenAI's newer name of `system`.

`to` says what becomes of such a message: "system" (the default), "user", or "drop". Changes chat messages
and the input items of openai_responses.

Loses: with "user", the rank of what was said; with "drop", what was said. A conversation of nothing else
is never dropped to nothing: then its messages stay.
"""

from dataclasses import dataclass
from typing import ClassVar

from protocols.model.wirejson import JsonObject
from rewrite.adapters.base import Context, Factory, Options, Unchanged

_LISTS = {"openai_chat": "messages", "openai_responses": "input"}
_TO = ("system", "user", "drop")


@dataclass(frozen=True, slots=True)
class SuppressDeveloperRole(Unchanged):
    """See the module's docstring."""

    name: ClassVar[str] = "suppress_developer_role"
    to: str = "system"

    def request(self, body: JsonObject, context: Context) -> JsonObject:
        field = _LISTS.get(context.protocol, "")
        messages = body.get(field)
        if not isinstance(messages, list) or not any(_from_developer(message) for message in messages):
            return body
        return {**body, field: self._dropped(messages) if self.to == "drop" else self._renamed(messages)}

    def _dropped(self, messages: list[object]) -> list[object]:
        return [message for message in messages if not _from_developer(message)] or messages

    def _renamed(self, messages: list[object]) -> list[object]:
        return [
            {**message, "role": self.to}
            if isinstance(message, dict) and _from_developer(message)
            else message
            for message in messages
        ]


def _from_developer(message: object) -> bool:
    return isinstance(message, dict) and message.get("role") == "developer"


def _make(options: Options) -> SuppressDeveloperRole:
    return SuppressDeveloperRole(options.one_of("to", _TO, "system"))


ADAPTER = Factory(SuppressDeveloperRole.name, _make, ("to",))
