"""A proxy that is stopped for a while (SIGSTOP, a laptop that sleeps): no provider was silent meanwhile."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, ask, post, tunnel
from tests.vendor import Send, VendorThread, WaitFor, chat_answer, chat_stream, streamed, whole

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[streaming]
first_event_timeout = 2
first_token_timeout = 2
slow_start_timeout = 2
stall_timeout = 2
response_timeout = 2
"""
LONGER_THAN_ANY_TIMER = 3.0
EVENTS = chat_stream(["Hello", " there"])
KEY = (("authorization", "Bearer sk-own"),)


@contextmanager
def stopped(proxy: Proxy) -> Iterator[None]:
    """The proxy is stopped until so long after the end of the block. There is no scripted clock for a process
    that does not run."""
    proxy.process.send_signal(signal.SIGSTOP)
    try:
        yield
        time.sleep(LONGER_THAN_ANY_TIMER)
    finally:
        proxy.process.send_signal(signal.SIGCONT)


def test_what_came_while_the_proxy_was_stopped_is_read_before_any_timer_fires(tmp_path: Path) -> None:
    """A stream in the middle, one before its first event, and a whole answer."""
    live = streamed(EVENTS[:2], WaitFor("go"), *map(Send, EVENTS[2:]))
    late = streamed([], WaitFor("go"), *map(Send, EVENTS))
    unstreamed = replace(whole(chat_answer(" there")), before=(WaitFor("go"),))
    with (
        VendorThread() as vendor,
        Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys={"ONE": "sk-pool-one"}) as proxy,
        ExitStack() as connections,
    ):
        clients = [connections.enter_context(Http1(tunnel(proxy, "api.openai.com"))) for _ in range(3)]
        for number, (one, answer) in enumerate(zip(clients, (live, late, unstreamed), strict=True), start=1):
            vendor.reply(answer)
            one.send(
                post("/v1/chat/completions", "api.openai.com", ask(stream=answer is not unstreamed), KEY)
            )
            vendor.wait_requests(number)
        clients[0].until(b"Hello")
        with stopped(proxy):
            vendor.release("go")
        for one in clients:
            one.until(b" there")
        log = proxy.wait_log("end=completed", count=3)
    assert len(vendor.requests) == 3, log
    assert "stalled" not in log
