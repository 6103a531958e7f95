"""What a page answers, whoever serves it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from addons.secrets.printable import escaped

JSON, TEXT = "application/json", "text/plain; charset=utf-8"

GUARDS: Mapping[str, str] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers by which browsers keep a page from others: nobody stores it, frames it or includes it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes
    kind: str
    """Its content type."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Headers besides."""

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.kind, **GUARDS, **self.extra}


def json_reply(status: int, data: object) -> Reply:
    return Reply(status, json.dumps(data, indent=2).encode() + b"\n", JSON)


def text_reply(status: int, text: str, extra: Mapping[str, str] | None = None) -> Reply:
    """One line, in which something that was asked for may be quoted."""
    return Reply(status, f"{escaped(text)}\n".encode(), TEXT, extra or {})
