"""One request to the endpoint of a login, and its whole answer."""

import asyncio
from contextlib import aclosing

from addons.upstream.client import Upstream
from addons.upstream.events import Closed, Data, Started, events
from protocols.model.http import Head, UpstreamRequest, WireResponse
from rewrite.oauth.refreshing import Failed

DEADLINE = 30.0
"""Seconds for all of it: less than a lock lasts that gives no sign of life."""

_LONGEST = 1 << 20
_CONNECT = 10.0


async def asked(upstream: Upstream, request: UpstreamRequest) -> WireResponse | Failed:
    """The answer to `request`; what came of it is unknown where there is none."""
    try:
        async with asyncio.timeout(DEADLINE):
            return await _asked(upstream, request)
    except TimeoutError:
        return Failed(f"no answer within {DEADLINE:.0f} s")


async def _asked(upstream: Upstream, request: UpstreamRequest) -> WireResponse | Failed:
    head, body = Head(0, ()), bytearray()
    async with aclosing(events(upstream, request, fresh=True, connect_timeout=_CONNECT)) as coming:
        async for event in coming:
            match event:
                case Started(head=head):
                    pass
                case Data(data=data):
                    body += data
                case Closed(cause=cause) if cause is not None:
                    return Failed(f"no answer: {cause.text}")
                case _:
                    pass
            if len(body) > _LONGEST:
                return Failed("an answer that is too long")
    return WireResponse(head.status, head.headers, bytes(body), head.reason)
