"""A second add-on beside rotator: it reports what is alive and keeps nothing itself."""

import asyncio
import gc
import json
import tracemalloc

from mitmproxy import http

from addons.call.driver import Driver
from rewrite.exchange.exchange import Exchange

HOST = "inside.test"
TOP = 25
"""Places that are named of those that hold memory."""


class Inside:
    """http://inside.test/tasks counts tasks; /calls, which is slow, what calls are made of as well, and
    /memory, which is slower, what holds memory, if the process was started with PYTHONTRACEMALLOC.
    From /uncollected on the collector rests; /held counts what is left of calls without it."""

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.request.host == HOST:
            found: dict[str, object] = {"tasks": len(asyncio.all_tasks())}
            if flow.request.path in {"/calls", "/uncollected"}:
                gc.collect()
            if flow.request.path == "/uncollected":
                gc.disable()
            if flow.request.path in {"/calls", "/held"}:
                found["calls"] = sum(isinstance(each, Driver | Exchange) for each in gc.get_objects())
                found["flows"] = sum(is_of_a_call(each) for each in gc.get_objects())
            if flow.request.path == "/memory":
                found |= {"traced": tracemalloc.get_traced_memory()[0], "top": top()}
            flow.response = http.Response.make(200, json.dumps(found))


def is_of_a_call(value: object) -> bool:
    """Whether that is a flow, and neither a tunnel nor a question to us."""
    return isinstance(value, http.HTTPFlow) and value.request.method == "POST"


def top() -> list[str]:
    """Where most of the memory that is held was taken, most first; a place has its callers' lines too."""
    hidden = [tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__)]
    taken = tracemalloc.take_snapshot().filter_traces(hidden).statistics("traceback")[:TOP]
    return [f"{each.size / 1e6:7.1f} MB in {each.count:>7}  {_place(each.traceback)}" for each in taken]


def _place(traceback: tracemalloc.Traceback) -> str:
    frames = (f"{'/'.join(each.filename.split('/')[-2:])}:{each.lineno}" for each in reversed(traceback))
    return " < ".join(frames)


addons = [Inside()]
