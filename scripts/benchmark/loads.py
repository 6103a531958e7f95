"""What a call asks of the provider, and the requests that say so. Client and provider both read this."""

import json
import re
from dataclasses import dataclass
from functools import cache

_WISH = re.compile(rb"events=(\d+) burst=(\d+) gap=([\d.e-]+) stamped=(\d)")
_PROSE = (
    "Look at the function that reads a frame, say where it may wait, and name the tests that hold it. " * 5
)[:431]
_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"


@dataclass(frozen=True, slots=True)
class Load:
    """The answer that a request asks for."""

    events: int
    """How many tokens, each an event of about 230 bytes."""
    burst: int = 1
    """How many of them are in one write, each a chunk. Where that is all, the whole answer is a chunk."""
    gap: float = 0.0
    """Seconds between two writes."""
    stamped: bool = False
    """Each event says when it was written."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """What a request has beside its wish."""

    messages: int = 0
    """Of a conversation, each of about 487 bytes."""
    lines: int = 0
    """Of base64 in one more message, each of 76 characters."""


NOTHING = Bulk()


@cache
def request_body(load: Load, bulk: Bulk) -> bytes:
    text = f"events={load.events} burst={load.burst} gap={load.gap} stamped={load.stamped:d}"
    messages = [{"role": "user", "content": text}, *_conversation(bulk)]
    return json.dumps({"model": "gpt-4o", "stream": True, "messages": messages}).encode()


def _conversation(bulk: Bulk) -> list[dict[str, str]]:
    roles = ("assistant", "user")
    messages = [
        {"role": roles[number % 2], "content": f"{number:08d} {_PROSE}"} for number in range(bulk.messages)
    ]
    if bulk.lines:
        messages.append({"role": "user", "content": "\n".join([_BASE64] * bulk.lines)})
    return messages


def load_of(body: bytes) -> Load:
    """What a request asks for, in whatever protocol it comes."""
    found = _WISH.search(body)
    assert found
    return Load(int(found[1]), int(found[2]), float(found[3]), found[4] == b"1")
