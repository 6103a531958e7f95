"""Attempts that nobody looks at, for tests of calls; and one that is asked, for those of views."""

import json
from dataclasses import dataclass, field

from mitmproxy import http
from mitmproxy.test import tflow
from pydantic import SecretStr

from addons.credentials.lease import Lease
from addons.mitm.messages import request_of
from addons.records.journal import Journal
from addons.secrets.redaction import Redactor
from addons.upstream.failure import Cause
from addons.upstream.network import Reached
from addons.views.attempts import Attempts
from protocols.model.http import Head, UpstreamRequest
from rewrite.targets.target import Target
from tests.rewrite.scenes import own

KEY = "sk-pool-number-one-of-tests"
LEASE = Lease("main", SecretStr(KEY))
TARGET: Target = own()
REACHED = Reached(("192.0.2.1", 443), 1.0, 2.0, 3.0)
BODY = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}


def unwatched(journal: Journal) -> Attempts:
    return Attempts(journal, lambda _: None, lambda _: None)


@dataclass
class Seen:
    """What is shown and saved of attempts, and what comes to whom they are for."""

    shown: list[http.HTTPFlow] = field(default_factory=list)
    saved: list[http.HTTPFlow] = field(default_factory=list)
    came: list[object] = field(default_factory=list)

    def attempts(self, *, is_listed: bool = True, as_flows: bool = True) -> Attempts:
        made = Attempts(Journal(Redactor()), self.shown.append, self.saved.append)
        made.configure(is_listed=is_listed, as_flows=as_flows)
        return made

    # -- as a receiver --

    def sent(self) -> None:
        self.came.append("sent")

    def started(self, head: Head, reached: Reached) -> None:
        self.came.append(head)

    def received(self, data: bytes) -> None:
        self.came.append(data)

    def closed(self, cause: Cause | None) -> None:
        self.came.append(cause)


def client_flow() -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.request.content = json.dumps(BODY).encode()
    return flow


def upstream_request(flow: http.HTTPFlow, body: bytes | None = None) -> UpstreamRequest:
    """As it leaves for TARGET."""
    headers = (("host", "elsewhere.example"), ("Authorization", f"Bearer {KEY}"), ("x-mine", "1"))
    content = request_of(flow.request).body if body is None else body
    return UpstreamRequest(
        TARGET.origin, "POST", b"/v1/chat/completions?key=" + KEY.encode(), headers, content
    )
