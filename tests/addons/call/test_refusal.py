"""A call that no provider is asked about."""

from addons.call.refusal import Refusal
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse
from rewrite.values.events import Summary


class Kept:
    """A response in memory."""

    draining = False

    def __init__(self) -> None:
        self.said: list[object] = []

    async def start(self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.said.append((status, reason, headers))

    async def send(self, data: bytes) -> None:
        self.said.append(data)

    async def end(self) -> None:
        self.said.append("end")

    async def abort(self, message: str) -> None:
        self.said.append(message)


async def test_the_client_is_told_and_a_record_is_kept() -> None:
    reports: list[Summary] = []
    fault = Fault(400, "invalid_request", "nobody can", should_retry=False)
    answer = WireResponse(400, (("x-should-retry", "false"),), b"{}", "No")
    kept = Kept()
    await Refusal(answer, fault, reports.append).run(kept)
    assert kept.said == [(400, b"No", [(b"x-should-retry", b"false")]), b"{}", "end"]
    (summary,) = reports
    assert (summary.end, summary.words, summary.status) == ("refused", "nobody can", 400)
    assert (summary.attempts, summary.route) == ((), 0)
    assert (summary.head, summary.body) == (Head(400, answer.headers, "No"), b"{}")
