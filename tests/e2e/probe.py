"""A second add-on beside rotator, for the tests: it reports what is left inside, and makes things go wrong.

Orders are requests to http://probe.test/ORDER?...: see `Probe`. Loaded with a further `-s`.
"""

import asyncio
import gc
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.flow import Flow
from msgspec import structs

from addons.call import answering, forwarding, recognition, request
from addons.call.driver import Driver
from addons.credentials.pool import Pool
from addons.mitm.flows import FlowRegistry
from addons.records.journal import Journal
from addons.secrets.redaction import Blackout
from rewrite.exchange.exchange import Exchange
from tests.e2e.queues import queued

HOST = "probe.test"
SECRET_WORDS = "a fault that quotes sk-pool-number-one"

PLACES: dict[str, tuple[Any, str]] = {
    "admit": (recognition.Interception, "admit"),
    "forwarding": (forwarding.Forwarder, "forwarding"),
    "written": (request, "written"),
    "forwarded_head": (forwarding, "written"),
    "acquire": (Pool, "acquire"),
    "release": (Pool, "release"),
    "handle": (Exchange, "handle"),
    "blackout": (Blackout, "headers"),
    "blackout_of_a_message": (Blackout, "feed"),
    "journal": (Journal, "end"),
}


class Planted(LookupError):
    """The fault; its text holds a key, which must not get out."""


class Probe:
    """`/state`, `/seen?path=`; `/fault?place=&event=`, `/mend`; what a user does with a flow: the rest."""

    def __init__(self) -> None:
        self._flows: list[http.HTTPFlow] = []
        self._mend: list[Callable[[], None]] = []
        self._hold: set[str] = set()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.request.host != HOST:
            self._flows.append(flow)
            return
        order = getattr(self, f"order_{flow.request.path_components[0]}")
        answer = order(**dict(flow.request.query.items()))
        flow.response = http.Response.make(200, json.dumps(answer), {"content-type": "application/json"})

    def order_state(self) -> dict[str, object]:
        """What is alive now: responders, drivers, credentials in use, flows that are paused."""
        pools, registries, answerings = alive(Pool, FlowRegistry, answering.Answering)
        states = [state for pool in pools for state in pool.states.values()]
        in_flight = {name: one.in_flight for state in states for name, one in state.states.items()}
        return {
            "responders": sum(flows.active() for flows in registries),
            "drivers": sum(len(each._drivers) for each in answerings),
            "in_flight": {name: number for name, number in in_flight.items() if number},
            "intercepted": [flow.request.path for flow in self._flows if flow.intercepted],
        }

    def order_save(self) -> None:
        """What `-w` writes gets into its file: mitmproxy 12.1 keeps the end of it in memory."""
        stream = ctx.master.addons.get("save").stream  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        stream.fo.flush()

    def order_held(self) -> dict[str, int]:
        """What the process holds on to: tasks, timers, descriptors, and all that calls are made of."""
        gc.collect()
        timers: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # nothing public
        return {
            "tasks": len(asyncio.all_tasks()),
            "timers": sum(not each.cancelled() and "Alarm._look" in repr(each) for each in timers),
            "descriptors": sum(1 for _ in Path("/dev/fd").iterdir()),
            "calls": sum(map(len, alive(Driver, Exchange))),
        }

    def order_queued(self) -> int:
        """Bytes in the system's buffers of the proxy's sockets."""
        return queued()

    def order_fault(self, place: str, event: str = "") -> None:
        """Let a part raise, always or when it is given an event of that name, until `mend`."""
        owner, name = PLACES[place]
        original = getattr(owner, name)

        def faulty(*args: object, **named: object) -> object:
            if not event or any(type(each).__name__ == event for each in args):
                raise Planted(SECRET_WORDS)
            return original(*args, **named)

        setattr(owner, name, faulty)
        self._mend.append(lambda: setattr(owner, name, original))

    def order_reset(self) -> None:
        """Forget which credentials are in use, after a fault in just that."""
        (pools,) = alive(Pool)
        for pool in pools:
            for name, state in pool.states.items():
                pool.states[name] = structs.replace(state, states={})

    def order_mend(self) -> None:
        while self._mend:
            self._mend.pop()()

    def order_kill(self, path: str) -> int:
        """Kill the live flows of that path, as `flow.kill` does."""
        killed = [flow for flow in self._flows if flow.request.path == path and flow.killable]
        ctx.master.commands.call("flow.kill", killed)
        return len(killed)

    def order_resume(self) -> None:
        ctx.master.commands.call("flow.resume", [flow for flow in self._flows if flow.intercepted])

    def order_hold(self, path: str) -> None:
        """Intercept the next flow of that path in the request hook, as the `intercept` option does."""
        self._hold.add(path)

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.request.path in self._hold:
            self._hold.discard(flow.request.path)
            flow.intercept()  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    def order_replay_file(self, file: str) -> None:
        ctx.master.commands.call("replay.client.file", file)

    def order_replay(self, path: str) -> int:
        """Replay the flows of that path that are over."""
        over: Iterable[Flow] = [flow for flow in self._flows if flow.request.path == path and not flow.live]
        copies = [flow.copy() for flow in over]  # type: ignore[no-untyped-call]  # the same
        ctx.master.commands.call("replay.client", copies)
        return len(copies)

    def order_seen(self, path: str) -> list[dict[str, object]]:
        """The flows of that path: state, answer, and everything of it as text to search in."""
        return [
            {
                "live": flow.live,
                "status": flow.response and flow.response.status_code,
                "body": flow.response and flow.response.text,
                "error": flow.error and flow.error.msg,
                "marked": flow.marked,
                "comment": flow.comment,
                "rotator": flow.metadata.get("rotator"),
                "is_replay": flow.is_replay,
                "text": repr(flow.get_state()),
            }
            for flow in self._flows
            if flow.request.path == path
        ]


def alive(*kinds: type) -> list[list[Any]]:
    """The objects of each kind, found in one walk over all that there are."""
    gc.unfreeze()  # what the proxy froze at its start is not listed else
    found: dict[type, list[Any]] = {kind: [] for kind in kinds}
    for each in gc.get_objects():
        if type(each) in found:
            found[type(each)].append(each)
    return list(found.values())


addons = [Probe()]
