"""Calls for a ledger."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens

NOON = datetime(2026, 11, 23, 12, 10).timestamp()  # noqa: DTZ001  # days are those of this place

CALL = CallEntry(
    at=NOON,
    call="c0ffee",
    provider="openai",
    protocol="openai_chat",
    operation="generate",
    model="gpt-4o",
    served="gpt-4o-2024-08-06",
    credential="work",
    user="",
    verdict=Verdict.OK,
    status=200,
    seconds=2.0,
    first_token=0.5,
    attempts=1,
    tokens=Tokens(input=8, cache_read=4, output=9, reasoning=2),
    estimated=False,
    cost=0.25,
    cost_source="prices",
)


def call(number: int = 0, **changed: Any) -> CallEntry:
    """CALL with an id of its own."""
    return replace(CALL, call=f"{number:08x}", **changed)
