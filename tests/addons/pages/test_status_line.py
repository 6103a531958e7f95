"""What the page for status lines says of a conversation."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from rewrite.credentials.evidence import hash_of_session
from tests.addons.pages.bench import Bench, asked
from tests.addons.records.test_last_calls import ENTRY

SESSION = "5e55-1001"
HASH = hash_of_session(SESSION)


@pytest.fixture
def bench() -> Bench:
    return Bench(anthropic=["work"])


def page(bench: Bench, query: str) -> dict[str, Any]:
    response = bench.own_host.answer(asked(f"http://rotator.local/statusline{query}"))
    assert response is not None
    assert response.status_code == 200
    found: dict[str, Any] = json.loads(response.get_text() or "")
    return found


def test_a_conversation_that_nobody_knows(bench: Bench) -> None:
    for query in ("", "?session=", f"?session={SESSION}", "?model=x"):
        assert page(bench, query) == {"last": None, "windows": [], "waits": None}


def test_its_last_call(bench: Bench) -> None:
    bench.last.take([replace(ENTRY, session=HASH)])
    assert page(bench, f"?session={SESSION}&model=claude-opus-4-5") == {
        "last": {
            "provider": "anthropic",
            "model": "claude-opus-4-5",
            "served": "claude-opus-4-5-20251101",
            "credential": "work",
            "verdict": "ok",
            "ago": 10.0,
        },
        "windows": [],
        "waits": None,
    }


def test_what_it_waits_for(bench: Bench) -> None:
    other = {"session": "another", "state": "waits", "why": "no", "seconds": 1.0}
    busy = {"session": HASH, "state": "streams", "why": "", "seconds": None}
    waits = {"session": HASH, "state": "waits", "why": "work is rate-limited", "seconds": 30.0}
    bench.calls = [other, busy]
    assert page(bench, f"?session={SESSION}")["waits"] is None
    bench.calls = [other, busy, waits]
    assert page(bench, f"?session={SESSION}")["waits"] == waits
