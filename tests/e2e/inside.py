"""A second add-on beside rotator, for the soak: it tells what is alive and keeps nothing itself."""

import asyncio
import gc
import json

from mitmproxy import http

from addons.driver import Driver
from rewrite.exchange import Exchange

HOST = "inside.test"


class Inside:
    """http://inside.test/tasks counts tasks; /calls, which is slow, what calls are made of as well."""

    def request(self, flow: http.HTTPFlow) -> None:
        if flow.request.host == HOST:
            told = {"tasks": len(asyncio.all_tasks())}
            if flow.request.path == "/calls":
                gc.collect()
                told["calls"] = sum(isinstance(each, Driver | Exchange) for each in gc.get_objects())
            flow.response = http.Response.make(200, json.dumps(told))


addons = [Inside()]
