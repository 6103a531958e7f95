"""An add-on beside rotator, for the tests: it notes which hooks it is called for, and makes neighbours come,
go, wait, raise and halt. Loaded before rotator; a twin of it stands at the end of all add-ons.

Orders are requests to http://probe.test/ORDER. `ORDINARY` in the environment: mitmproxy is changed, so that
it calls hooks itself.
"""

import asyncio
import json
import os
from collections.abc import Callable

from mitmproxy import ctx, http
from mitmproxy.connection import Client
from mitmproxy.exceptions import AddonHalt
from mitmproxy.flow import Flow
from mitmproxy.hooks import Hook
from mitmproxy.tls import ClientHelloData, TlsData

HOST = "probe.test"
ORDINARY = "CALLED_BY_MITMPROXY"

called: list[str] = []


class Neighbour:
    """What it is called for, it says under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _says(self, hook: str, flow: http.HTTPFlow | None = None) -> None:
        if flow is None or flow.request.host != HOST:
            called.append(f"{self.name}.{hook}")

    def client_connected(self, client: Client) -> None:
        self._says("client_connected")

    def tls_clienthello(self, data: ClientHelloData) -> None:
        self._says("tls_clienthello")

    def tls_established_client(self, data: TlsData) -> None:
        self._says("tls_established_client")

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._says("http_connect", flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._says("requestheaders", flow)

    async def request(self, flow: http.HTTPFlow) -> None:
        """It has to be awaited."""
        self._says("request", flow)
        await asyncio.sleep(0)
        self._says("request, later", flow)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        self._says("responseheaders", flow)

    def response(self, flow: http.HTTPFlow) -> None:
        self._says("response", flow)

    def update(self, flows: list[Flow]) -> None:
        for flow in flows:
            if isinstance(flow, http.HTTPFlow):
                self._says("update", flow)


class First(Neighbour):
    """Takes the orders."""

    def running(self) -> None:
        ctx.master.addons.add(Neighbour("last"))  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        super().requestheaders(flow)
        if flow.request.host == HOST:
            order = getattr(self, f"order_{flow.request.path_components[0]}")
            answer = json.dumps(order(**dict(flow.request.query.items())))
            flow.response = http.Response.make(200, answer, {"content-type": "application/json"})

    def order_own_task(self) -> bool:
        """Whether the hook of this order has a task of its own, as mitmproxy gives it."""
        task = asyncio.current_task()
        return task is not None and "hook_task" in repr(task.get_coro())

    def order_called(self) -> list[str]:
        """What was called since this was asked before."""
        found = called[:]
        called.clear()
        return found

    def order_add(self, does: str) -> None:
        """Another neighbour, at the end, that does something when an answer is whole."""
        added = Neighbour("added")
        vars(added)["response"] = DOES[does]
        ctx.master.addons.add(added)  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def order_remove(self) -> None:
        addons = ctx.master.addons
        addons.remove(addons.get("added"))  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def order_listen(self) -> None:
        """The last one begins to listen to something else."""
        last = ctx.master.addons.get("last")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        last.http_connected = lambda flow: last._says("http_connected", flow)

    def order_scripts(self, other: str) -> None:
        """Another script at the end, or without it; as when one is reloaded."""
        kept = [path for path in ctx.options.scripts if path != other]
        ctx.options.scripts = [*kept, other] if len(kept) == len(ctx.options.scripts) else kept

    def order_option(self) -> None:
        """The answer is from now on the block_list's."""
        ctx.options.block_list = ["/~d api.openai.com & ~u blocked/418"]


def _raises(flow: http.HTTPFlow) -> None:
    called.append("raises")
    raise LookupError("of the neighbour")


def _halts(flow: http.HTTPFlow) -> None:
    called.append("halts")
    raise AddonHalt  # the registry of flows and `last` have been called, who stand before


async def _waits(flow: http.HTTPFlow) -> None:
    await asyncio.sleep(0)
    called.append("waited")


DOES: dict[str, Callable[[http.HTTPFlow], object]] = {"raises": _raises, "halts": _halts, "waits": _waits}


def _keep_to_mitmproxys_way() -> None:
    addons = ctx.master.addons
    handle = addons.handle_lifecycle

    async def handle_lifecycle(event: Hook) -> None:
        await handle(event)

    addons.handle_lifecycle = handle_lifecycle  # type: ignore[method-assign]  # as a script may


if ORDINARY in os.environ:
    _keep_to_mitmproxys_way()

addons = [First("first")]
