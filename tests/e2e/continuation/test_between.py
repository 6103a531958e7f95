"""While the rest of an answer is waited for: the client is kept alive, and may leave at any moment."""

import json
import re
from collections.abc import Iterator
from itertools import count

import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, Http2, ask, post, tunnel, wait_order
from tests.vendor import Answer, End, Hang, VendorThread, WaitFor, chat_stream, streamed

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.poolless]
base_url = "{url}"
hosts = ["poolless.test"]
protocols = ["openai_chat"]
[streaming]
on_truncation = "continue"
heartbeat_interval = 0.2
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two"}
HOST, PATH = "api.openai.com", "/v1/chat/completions"
OWN = {"authorization": "Bearer sk-own-key"}
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}
WHOLE = chat_stream(["Hello wor", "ld."])
FIRST = streamed(WHOLE[:2])
NEVER = WaitFor("never")
STAGES: dict[str, tuple[Answer, bytes]] = {
    "before its head": (Hang(), b"Hello wor"),
    "before a word of it": (streamed(WHOLE[:1], NEVER), b"Hello wor"),
    "while it repeats": (streamed(WHOLE[:2], NEVER), b"Hello wor"),
    "while it runs": (streamed(WHOLE[:3], NEVER), b"ld."),
}
_models = (f"gpt-4o-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("between")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS, scripts=(ADDON, PROBE)) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


def requested(proxy: Proxy, model: str, host: str = HOST) -> Http1:
    client = Http1(tunnel(proxy, host))
    client.send(post(PATH, host, ask(model), [*OWN.items(), ("Connection", "close")]))
    return client


@pytest.mark.parametrize("stage", STAGES)
def test_a_client_that_leaves_is_waited_for_no_longer(proxy: Proxy, vendor: VendorThread, stage: str) -> None:
    """Its second request is closed, and nothing is asked after it."""
    rest, seen = STAGES[stage]
    model = next(_models)
    vendor.on(path=PATH).reply(FIRST).reply(rest)
    client = requested(proxy, model)
    second = vendor.wait_requests(2)[1]
    client.until(seen)
    client.leave()
    vendor.run(second.closed_by_client.wait())
    log = proxy.wait_log(f"model={model} ")
    (line,) = (each for each in log.splitlines() if f"model={model} " in each)
    assert "end=abandoned" in line
    assert 'attempts="one:truncated' in line
    assert "two:abandoned" in line
    assert len(vendor.requests) == 2


def test_a_stream_that_is_reset_is_waited_for_no_longer(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=PATH).reply(FIRST).reply(Hang())
    with Http2(proxy, HOST) as client:
        number = client.post(PATH, ask(next(_models)), OWN)
        second = vendor.wait_requests(2)[1]
        client.until(number, b"Hello wor")
        client.reset(number)
        vendor.run(second.closed_by_client.wait())


@pytest.mark.parametrize("silent_at", [0, 1, 2])
def test_beats_stand_between_whole_frames(proxy: Proxy, vendor: VendorThread, silent_at: int) -> None:
    """The first answer is cut inside a frame; the second comes late, at whatever place."""
    gate = f"go-{silent_at}"
    torn = streamed([*WHOLE[:2], WHOLE[2][:20]], End())
    events = WHOLE if silent_at else []
    late = streamed(events[:silent_at], WaitFor(gate), *streamed(WHOLE[silent_at:]).steps)
    vendor.on(path=PATH).reply(torn).reply(late)
    with requested(proxy, next(_models)) as client:
        vendor.wait_gate(gate)
        client.until(b"1\r\n\n\r\n1\r\n\n\r\n")
        vendor.release(gate)
        body = unchunked(client.rest().partition(b"\r\n\r\n")[2])
    said = [json.loads(frame) for frame in frames(body)[:-1]]
    assert frames(body)[-1] == b"[DONE]"
    deltas = [choice["delta"].get("content") or "" for one in said for choice in one["choices"]]
    assert "".join(deltas) == "Hello world."
    assert len({one["id"] for one in said}) == 1


def test_the_clients_own_key_is_asked_to_continue(proxy: Proxy, vendor: VendorThread) -> None:
    """There is no other one."""
    vendor.on(path=PATH).reply(FIRST).reply(streamed(WHOLE))
    with requested(proxy, next(_models), "poolless.test") as client:
        body = unchunked(client.rest().partition(b"\r\n\r\n")[2])
    assert frames(body)[-1] == b"[DONE]"
    assert body.count(b"Hello") == 1
    assert [request.credential for request in vendor.requests] == ["sk-own-key"] * 2


def frames(body: bytes) -> list[bytes]:
    """The data of all events, by the grammar: events end with a blank line, and further ones are nothing."""
    events = [event.strip(b"\n") for event in re.split(rb"\n\n+", body)]
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events if event)
    return [event.removeprefix(b"data: ") for event in events if event]


def unchunked(body: bytes) -> bytes:
    data = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        data += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return data
