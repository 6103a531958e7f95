"""What is left of a call beside its record, where that applies."""

import time
from collections.abc import Mapping
from dataclasses import replace

import pytest
from mitmproxy.test import tflow
from msgspec import structs
from pydantic import SecretStr

from addons.call.reports import Reports
from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.conversations import Asker
from addons.credentials.lease import Lease
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.record import Record
from addons.responses.kept import Responses, Turn
from addons.responses.storage import Memory, Storage
from addons.secrets.redaction import Redactor
from protocols.model.call import Call, Operation
from protocols.model.parts import MessageStart
from protocols.model.progress import Progress
from protocols.registry import discover
from rewrite.credentials.credential import Credential
from rewrite.values.decision import Ended
from rewrite.values.events import Acquire, Summary
from rewrite.values.outcome import Completed
from tests.rewrite.scenes import TERMS, VENDOR, own

REGISTRY = discover()
PROGRESS = Progress(head=MessageStart("resp_1", "gpt"))
ANSWERED = Summary("completed", "", (Ended(1, "two", Completed(), 1.0),), PROGRESS, 0.0, 1.0, status=200)


def pool() -> Pool:
    keys = tuple(
        PoolCredential(Credential(name, VENDOR.name), SecretStr(f"sk-{name}")) for name in ("one", "two")
    )
    made = Pool(time.monotonic, lambda notice: None)
    made.configure(Settings(providers=(Configured(VENDOR, keys),)))
    return made


def ended(
    keys: Pool,
    *,
    protocol: str = "openai_responses",
    body: Mapping[str, object] | None = None,
    pooled: bool = True,
    summary: Summary = ANSWERED,
) -> None:
    """A call that its provider answered in `protocol`."""
    call = Call("c", protocol, Operation.GENERATE, "gpt", True, (), body or {})
    target = own(call, REGISTRY[protocol], structs.replace(TERMS, pooled=pooled))
    record = Record(tflow.tflow(), call, VENDOR.name, [target])
    journal, responses = Journal(Redactor()), Responses(Storage(Memory(), time.time), time.time)
    Reports(journal, keys, responses).over(record, summary, Turn(call, "", call.body), None)


def continued_with(keys: Pool) -> str:
    """The key that a call gets which continues the answer."""
    body = {"previous_response_id": "resp_1"}
    call = Call("d", "openai_responses", Operation.GENERATE, "gpt", True, (), body)
    lease = keys.acquire(VENDOR.name, call, Acquire(1), Asker("openai_responses", "client", call=call))
    assert isinstance(lease, Lease)
    return lease.name


def test_an_answer_that_its_provider_keeps_is_continued_on_its_key() -> None:
    keys = pool()
    ended(keys)
    assert continued_with(keys) == "two"


@pytest.mark.parametrize(
    "call",
    [
        {"protocol": "openai_chat"},
        {"body": {"store": False}},
        {"pooled": False},
        {"summary": replace(ANSWERED, end="failed")},
        {"summary": replace(ANSWERED, progress=Progress())},
    ],
    ids=["another protocol", "not stored", "the client's key", "failed", "no id"],
)
def test_any_other_is_not(call: dict[str, object]) -> None:
    keys = pool()
    ended(keys, **call)  # type: ignore[arg-type]
    assert continued_with(keys) == "one"
