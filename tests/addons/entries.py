"""Entries of calls that are over."""

from typing import Any

from msgspec.structs import replace

from rewrite.records.verdict import Verdict
from rewrite.usage.entry import CallEntry, Tokens

ENDED = CallEntry(
    at=1_000_000.0,
    call="c0ffee",
    provider="openai",
    protocol="openai_chat",
    operation="generate",
    model="gpt-4o",
    served="gpt-4o-2024",
    credential="one",
    user="",
    verdict=Verdict.OK,
    status=200,
    seconds=2.5,
    first_token=0.4,
    attempts=1,
    tokens=Tokens(input=100, cache_read=900, output=50),
    estimated=False,
    cost=0.25,
    cost_source="prices",
)


def ended(**changed: Any) -> CallEntry:
    """A call that went well, but for what is `changed`."""
    return replace(ENDED, **changed)
