"""The field cache of this proxy: its values stay while settings come and go."""

from collections.abc import Callable, Sequence

from addons.config.providers import Configured
from addons.credentials.carriers import ClientCredential
from addons.credentials.conversations import Asker
from protocols.model.call import Call, Operation
from rewrite.catalog.routes import Route
from rewrite.credentials.evidence import stated_conversation
from rewrite.fields.call_fields import Asked, CallFields, call_fields
from rewrite.fields.store import Store

_WITH_TOOLS = frozenset({"tools", "functions", "input", "request"})
"""Fields of requests that declare tools, or may: Responses may have them in its input, Code Assist has all in
`request`."""


class FieldCache:
    """`clock` gives seconds that pass evenly, while the machine sleeps too."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.store = Store()

    def configure(self, providers: Sequence[Configured]) -> None:
        """Follow their rules from now on. What is kept for one that is gone is forgotten."""
        self.store.retain([rule for one in providers for rule in one.provider.field_cache])

    def of(self, call: Call, route: Route, asker: Asker, own: ClientCredential | None) -> CallFields | None:
        """What there is for `call` on `route`, which `asker` makes with its `own` credential. None: no rule
        is for it; only generations have any."""
        rules = route.provider.field_cache
        if not rules or call.operation is not Operation.GENERATE or call.background or not call.body:
            return None
        key = own.fingerprint if own else ""
        session = stated_conversation(call, asker.facts, asker.client, key)
        asked = Asked(
            route.provider.name,
            route.protocol,
            route.model or "",
            session.hex() if session else None,
            tools=not _WITH_TOOLS.isdisjoint(call.body),
        )
        return call_fields(rules, self.store, asked, self.clock())

    def keep(self, fields: Sequence[CallFields]) -> None:
        """What the attempts had whose answer a client got, in order."""
        for each in fields:
            each.keep(self.clock())
