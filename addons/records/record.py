"""A call whose record is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mitmproxy import http

from protocols.model.call import Call
from rewrite.catalog.routes import Rule
from rewrite.records.passes import CallTrace
from rewrite.targets.target import Target


@dataclass(frozen=True, slots=True)
class Record:
    """A call whose record is kept."""

    flow: http.HTTPFlow
    """In which its record is."""
    call: Call
    """As it is planned."""
    provider: str
    """The name of the provider that the client called."""
    targets: Sequence[Target]
    """Those that can be asked, in order."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """By target, why it cannot be asked."""
    rule: Rule | None = None
    """The route that fits it."""
    trace: CallTrace | None = None
    """None: the call is not traced."""
