"""Calls without an Exchange: one that no provider is asked about, and one that is passed on as it is."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from addons.call.driver import Response, give
from protocols.model.errors import Fault
from protocols.model.http import Head, WireResponse
from protocols.model.progress import Progress
from rewrite.values.events import Summary


@dataclass(frozen=True, slots=True)
class Refusal:
    """In the place of a driver. `fault` is what `answer` says, for the record."""

    answer: WireResponse
    fault: Fault
    report: Callable[[Summary], None]

    async def run(self, response: Response) -> None:
        now = time.monotonic()
        self.report(self._summary(now))
        await give(self.answer, response)

    def _summary(self, now: float) -> Summary:
        answer, fault = self.answer, self.fault
        head = Head(answer.status, answer.headers, answer.reason)
        return Summary(
            "refused",
            fault.message,
            (),
            Progress(),
            now,
            0.0,
            status=fault.status,
            head=head,
            body=answer.body,
        )


@dataclass(frozen=True, slots=True)
class Passing:
    """In the place of a driver: one attempt, its answer as it comes."""

    once: Callable[[Response], Awaitable[None]]

    async def run(self, response: Response) -> None:
        await self.once(response)
