"""The field cache of this proxy: its values stay while settings come and go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from addons.config.providers import Configured
from addons.credentials.carriers import ClientCredential
from addons.credentials.conversations import Asker
from protocols.model.call import Call, Operation
from rewrite.catalog.routes import Route
from rewrite.credentials.evidence import stated_conversation
from rewrite.fields.call_fields import Asked, CallFields, fitting
from rewrite.fields.rule import Rule
from rewrite.fields.store import Store

_WITH_TOOLS = frozenset({"tools", "functions", "input", "request"})
"""Fields of requests that declare tools, or may: Responses may have them in its input, Code Assist has all in
`request`."""


MOST_MODELS = 1000
"""Of which is known what fits them."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """The rules for calls of one model in one protocol."""

    rules: tuple[Rule, ...]
    """All of them."""
    without_session: tuple[Rule, ...]
    """Those for calls that state no conversation."""


NONE_FIT = Fitting((), ())


class FieldCache:
    """`clock` gives seconds that pass evenly, while the machine sleeps too; `holds_secret` says of a text
    whether a key stands in it."""

    def __init__(self, clock: Callable[[], float], holds_secret: Callable[[str], bool]) -> None:
        self.clock = clock
        self.store = Store(holds_secret)
        self._fitting: dict[tuple[str, str, str], Fitting] = {}

    def configure(self, providers: Sequence[Configured]) -> None:
        """Follow their rules from now on. What is kept for one that is gone is forgotten."""
        self.store.retain([rule for one in providers for rule in one.provider.field_cache])
        self._fitting.clear()

    def of(self, call: Call, route: Route, asker: Asker, own: ClientCredential | None) -> CallFields | None:
        """What there is for `call` on `route`, which `asker` makes with its `own` credential. None: no rule
        is for it; only generations have any."""
        found = self._fitting_for(route) if route.provider.field_cache else NONE_FIT
        if not found.rules or call.operation is not Operation.GENERATE or call.background or not call.body:
            return None
        session = None
        if found.rules != found.without_session:
            key = own.fingerprint if own else ""
            session = stated_conversation(call, asker.facts, asker.client, key)
        rules = found.rules if session else found.without_session
        if not rules:
            return None
        asked = Asked(
            route.provider.name,
            route.protocol,
            route.model or "",
            session.hex() if session else None,
            tools=not _WITH_TOOLS.isdisjoint(call.body),
        )
        return CallFields(rules, self.store, asked, self.clock())

    def _fitting_for(self, route: Route) -> Fitting:
        """Worked out once for each model: most calls have none."""
        key = (route.provider.name, route.protocol, route.model or "")
        if key not in self._fitting:
            if len(self._fitting) >= MOST_MODELS:
                self._fitting.clear()
            rules = fitting(route.provider.field_cache, route.protocol, route.model or "")
            self._fitting[key] = Fitting(rules, tuple(rule for rule in rules if rule.joins_alone))
        return self._fitting[key]

    def keep(self, fields: Sequence[CallFields]) -> None:
        """What the attempts had whose answer a client got, in order."""
        for each in fields:
            each.keep(self.clock())
