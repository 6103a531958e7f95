"""Calls for a ledger."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from rewrite.usage.entry import CallEntry, Tokens
from tests.addons.entries import ended

NOON = datetime(2026, 11, 23, 12, 10).timestamp()  # noqa: DTZ001  # days are those of this place

CALL = ended(
    at=NOON,
    served="gpt-4o-2024-08-06",
    credential="work",
    seconds=2.0,
    first_token=0.5,
    tokens=Tokens(input=8, cache_read=4, output=9, reasoning=2),
)


def call(number: int = 0, **changed: Any) -> CallEntry:
    """CALL with an id of its own."""
    return replace(CALL, call=f"{number:08x}", **changed)
