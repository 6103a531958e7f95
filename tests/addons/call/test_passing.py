"""Answers without an exchange: refused, and passed on once."""

import time
from typing import Any

import pytest
from mitmproxy.test import tflow
from pydantic import SecretStr

from addons.call.passing import ErrorResponse, Passed, Passing
from addons.call.reports import Reports
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.record import KEY, Record
from addons.responses.kept import Responses
from addons.responses.storage import Memory, Storage
from addons.secrets.redaction import Blackout, Redactor
from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Started, UpstreamEvent
from addons.upstream.failure import Cause, CauseKind
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from protocols.model.errors import Fault
from protocols.model.http import Head, UpstreamRequest, WireResponse, parsed
from rewrite.records.verdict import Verdict, verdict_of
from rewrite.values.events import Summary
from tests.rewrite.scenes import call
from tests.vendor import Vendor, chat_error

HIDDEN = "sk-hidden-key-of-it"


class Kept:
    """A response in memory."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        self.said.append((status, reason, headers))
        return True

    def send(self, data: bytes) -> bool:
        self.said.append(data)
        return False

    def end(self) -> None:
        self.said.append("end")

    def abort(self, message: str) -> None:
        self.said.append(message)

    async def drained(self) -> None:
        self.said.append("drained")


async def test_the_client_gets_an_error_and_a_record_is_kept() -> None:
    flow = tflow.tflow()
    pool = Pool(time.monotonic, lambda notice: None)
    responses = Responses(Storage(Memory(), time.time), time.time)
    reports = Reports(Journal(Redactor()), pool, responses)
    fault = Fault(400, "invalid_request", "nobody can", should_retry=False)
    answer = WireResponse(400, (("x-should-retry", "false"),), b"{}", "No")
    kept = Kept()
    await ErrorResponse(answer, fault, Record(flow, call(), "vendor", ()), None, reports).run(kept)
    assert kept.said == [(400, b"No", [(b"x-should-retry", b"false")]), b"{}", "end"]
    record = flow.metadata[KEY]
    assert (record["end"], record["detail"], record["status"]) == ("refused", "nobody can", 400)


async def test_what_is_not_ours_is_asked_once() -> None:
    async with Vendor() as vendor:
        vendor.reply(chat_error(500, "oops", HIDDEN, (("x-a", HIDDEN),)))
        upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
        headers = (("Host", "x"), ("Authorization", f"Bearer {HIDDEN}"))
        request = UpstreamRequest(parsed(vendor.base_url), "POST", b"/v1/chat/completions", headers, b"{}")
        kept = Kept()
        heard: list[Head] = []
        over: list[Summary] = []
        blackout = Blackout([SecretStr(HIDDEN)])
        await Passing(upstream, request, 10.0, blackout, heard.append, over.append, "one").run(kept)
        await upstream.close()
        assert len(vendor.requests) == 1
    assert [(head.status, ("x-a", HIDDEN) in head.headers) for head in heard] == [(500, True)]
    assert [(one.end, one.status, one.attempts[0].credential) for one in over] == [("rejected", 500, "one")]
    (status, _, headers_), *body, end = kept.said
    assert (status, end) == (500, "end")
    assert "drained" in body
    assert b'"*******************"' in b"".join(piece for piece in body if isinstance(piece, bytes))
    assert (b"x-a", b"*******************") in headers_


HEAD, RESET = Head(200, ()), Cause(CauseKind.CONNECT, "reset")


@pytest.mark.parametrize(
    ("events", "end", "verdict"),
    [
        ((Started(HEAD), Closed(None)), "completed", Verdict.OK),
        ((Started(Head(429, ())), Closed(None)), "rejected", Verdict.REFUSED),
        ((Started(Head(503, ())), Closed(None)), "rejected", Verdict.FAILED),
        ((Started(HEAD), Data(b"x"), Closed(RESET)), "failed", Verdict.FAILED),
        ((Closed(RESET),), "failed", Verdict.FAILED),
        ((Started(HEAD), Data(b"x")), "abandoned", Verdict.LEFT),
        ((), "abandoned", Verdict.LEFT),
    ],
)
def test_what_is_passed_on_counts_as_a_call(
    events: tuple[UpstreamEvent, ...], end: str, verdict: Verdict
) -> None:
    passed = Passed(10.0)
    for event in events:
        passed.note(event)
    summary = passed.summary("one", 12.5, 0.0)
    assert (summary.end, verdict_of(summary), summary.seconds) == (end, verdict, 2.5)
