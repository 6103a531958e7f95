"""The field cache of this proxy: its values stay while settings come and go."""

from collections.abc import Callable, Sequence

from addons.config.providers import Configured
from protocols.model.call import Call
from rewrite.catalog.routes import Route
from rewrite.credentials.evidence import Digest
from rewrite.fields.call_fields import Asked, CallFields
from rewrite.fields.rule import Rule
from rewrite.fields.store import Store

_WITH_TOOLS = frozenset({"tools", "functions", "input", "request"})
"""Fields of requests that declare tools, or may: Responses may have them in its input, Code Assist has all in
`request`."""


class FieldCache:
    """`clock` gives seconds that pass evenly, while the machine sleeps too; `holds_secret` says of a text
    whether a key stands in it."""

    def __init__(self, clock: Callable[[], float], holds_secret: Callable[[str], bool]) -> None:
        self.clock = clock
        self.store = Store(holds_secret)

    def configure(self, providers: Sequence[Configured]) -> None:
        """Follow their rules from now on. What is kept for one that is gone is forgotten."""
        self.store.retain([rule for one in providers for rule in one.provider.field_cache])

    def of(self, call: Call, route: Route, rules: Sequence[Rule], session: Digest | None) -> CallFields:
        """What `rules` have for `call` on `route`, which states the conversation of `session`, or none."""
        asked = Asked(
            route.provider.name,
            route.protocol,
            route.model or "",
            session.hex() if session else None,
            tools=not _WITH_TOOLS.isdisjoint(call.body),
        )
        return CallFields(rules, self.store, asked, self.clock())

    def keep(self, fields: Sequence[CallFields]) -> None:
        """What the attempts had whose answer a client got, in order."""
        for each in fields:
            each.keep(self.clock())
