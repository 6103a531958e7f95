"""What a person finds in saved flows and in the log: never a key, always what happened."""

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow
from wsproto import ConnectionType, WSConnection
from wsproto.events import CloseConnection, Request

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, ask, client, order, post, tunnel, wait_order
from tests.vendor import (
    Reset,
    Send,
    Upgrade,
    VendorThread,
    WaitFor,
    chat_error,
    chat_stream,
    streamed,
    whole,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.poolless]
base_url = "{url}"
hosts = ["poolless.test"]
protocols = ["openai_chat"]
[streaming]
first_event_timeout = 0.3
first_token_timeout = 0.3
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
OWN = "sk-own-key-of-the-client"
SECRETS = (ONE, TWO, OWN)
CHAT, FILES = "/v1/chat/completions", "/v1/files"
URL = f"https://api.openai.com{CHAT}"
AUTH = {"authorization": f"Bearer {OWN}"}
TEXT = chat_stream(["Hello", " there"])
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}

_models = (f"gpt-4o-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    running = make_proxy(vendor, tmp_path_factory.mktemp("inspection"))
    with running:
        yield running
    assert clean(running.log) == [], running.log
    assert clean(saved(running)) == []


def make_proxy(vendor: VendorThread, folder: Path) -> Proxy:
    """All flows go to a file, all that can be logged is."""
    config = CONFIG.format(url=vendor.base_url)
    options = ("-v", "-w", str(folder / "flows"), "--set", "flow_detail=4")
    return Proxy(folder, config, keys={"ONE": ONE, "TWO": TWO}, options=options, scripts=(ADDON, PROBE))


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


@pytest.fixture
def model() -> str:
    return next(_models)


@pytest.fixture
def path() -> str:
    """Of the flow that a test looks for; the query reaches the provider."""
    return f"{CHAT}?test={next(_models)}"


def saved(proxy: Proxy) -> bytes:
    return (proxy.folder / "flows").read_bytes()


def clean(found: str | bytes) -> list[str]:
    """The secrets, and the marks of a crash, that are in there."""
    text = found if isinstance(found, str) else found.decode("utf-8", "replace")
    return [word for word in (*SECRETS, "Traceback", "crashed") if word in text]


def flows(proxy: Proxy) -> list[http.HTTPFlow]:
    if proxy.process.poll() is None:
        order(proxy, "save")
    with (proxy.folder / "flows").open("rb") as file:
        return [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]


def saved_flow(proxy: Proxy, path: str) -> http.HTTPFlow:
    (flow,) = (each for each in flows(proxy) if each.request.path == path)
    return flow


def seen(proxy: Proxy, path: str) -> list[dict[str, Any]]:
    """The flows of that path as the proxy has them now."""
    answer: list[dict[str, Any]] = order(proxy, "seen", path=path)
    return answer


def call(proxy: Proxy, path: str, model: str, *, host: str = "api.openai.com") -> httpx.Response:
    with client(proxy) as talker:
        return talker.post(f"https://{host}{path}", headers=AUTH, content=ask(model))


# -- the record of a call -----------------------------------------------------------------------------


def test_a_rotation_is_on_record(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", f"{ONE} is too fast"))
    call(proxy, path, model)
    flow = saved_flow(proxy, path)
    record = flow.metadata["rotator"]
    assert (
        record.items()
        >= {
            "provider": "openai",
            "protocol": "openai_chat",
            "operation": "generate",
            "model": model,
            "stream": True,
            "end": "completed",
            "truncated": False,
            "status": 200,
        }.items()
    )
    assert [(one["credential"], one["outcome"]) for one in record["attempts"]] == [
        ("one", "rejected(429 rate)"),
        ("two", "completed"),
    ]
    assert record["client_credential"] not in OWN
    assert flow.comment.startswith("spare x2 26>~8\n· ")
    assert "attempt 1 with one: rejected(429 rate) after 0." in flow.comment
    assert flow.marked == ":key:"
    assert flow.response
    assert flow.response.content
    assert flow.response.content.endswith(b"data: [DONE]\n\n")


def test_a_cut_is_marked(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:3], Reset()))
    call(proxy, path, model)
    flow = saved_flow(proxy, path)
    assert (flow.metadata["rotator"]["end"], flow.metadata["rotator"]["truncated"]) == ("truncated", True)
    assert flow.marked == ":scissors:"
    assert "cut" in flow.comment
    assert "tokens_out" in flow.metadata["rotator"]


def test_a_stall_is_reported(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(key=ONE).reply(streamed(TEXT[:1], WaitFor("never")))
    call(proxy, path, model)
    attempts = saved_flow(proxy, path).metadata["rotator"]["attempts"]
    assert attempts[0]["outcome"].startswith("stalled(first_token ")
    assert attempts[1]["outcome"] == "completed"
    assert attempts[0]["ended"] <= attempts[1]["ended"]


def test_a_rejection_is_marked(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(path=CHAT).reply(chat_error(400, "bad", "bad"))
    call(proxy, path, model)
    flow = saved_flow(proxy, path)
    assert (flow.marked, flow.metadata["rotator"]["end"]) == (":no_entry:", "rejected")
    assert flow.response
    assert flow.response.status_code == 400


def test_what_is_passed_through_is_on_record(proxy: Proxy, path: str, model: str) -> None:
    path = path.replace(CHAT, FILES)
    call(proxy, path, model)
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    record = saved_flow(proxy, path).metadata["rotator"]
    assert (record["provider"], record["credential"], record["passed_through"]) == ("openai", "one", True)


def test_who_left_is_on_record(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("never")))
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model), list(AUTH.items())))
        us.until(b"Hello")
    proxy.wait_log(f"model={model} end=abandoned")
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    flow = saved_flow(proxy, path)
    assert flow.metadata["rotator"]["end"] == "abandoned"
    assert flow.error


# -- never a key --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["api.openai.com", "poolless.test"])
def test_a_running_flow_has_no_key(
    proxy: Proxy, vendor: VendorThread, path: str, model: str, host: str
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor(path), *map(Send, TEXT[2:])))
    with Http1(tunnel(proxy, host)) as us:
        us.send(post(path + "&key=" + OWN, host, ask(model), [*AUTH.items(), ("x-api-key", OWN)]))
        us.until(b"Hello")
        (running,) = seen(proxy, path)
        file_while_running = saved(proxy)
        vendor.release(path)
        us.until(b"[DONE]")
    assert running["live"]
    assert clean(running["text"]) == []
    assert clean(file_while_running) == []
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    assert clean(str(saved_flow(proxy, path).get_state())) == []


def test_a_websockets_flow_has_no_key(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path="/v1/realtime").reply(Upgrade())
    ws = WSConnection(ConnectionType.CLIENT)
    headers = [(b"Authorization", b"Bearer " + OWN.encode())]
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(ws.send(Request(host="api.openai.com", target="/v1/realtime", extra_headers=headers)))
        ws.receive_data(us.until(b"\r\n\r\n"))
        list(ws.events())
        us.send(ws.send(CloseConnection(1000)))
        us.rest()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path="/v1/realtime")
    flow = saved_flow(proxy, "/v1/realtime")
    assert flow.websocket
    assert clean(str(flow.get_state())) == []
    assert flow.metadata["rotator"]["credential"] == "one"
    assert vendor.requests[-1].credential == ONE


def test_what_was_running_at_the_end_is_saved_without_a_key(tmp_path: Path, vendor: VendorThread) -> None:
    """The file's last flows are those that had not ended when the proxy was stopped."""
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("never")))
    with make_proxy(vendor, tmp_path) as proxy, Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(CHAT, "api.openai.com", ask("gpt-4o-end"), list(AUTH.items())))
        us.until(b"Hello")
        proxy.process.send_signal(signal.SIGINT)
        proxy.wait_exit()
    assert saved_flow(proxy, CHAT).request.method == "POST"
    assert clean(saved(proxy)) == []
    assert [word for word in clean(proxy.log) if word in SECRETS] == [], proxy.log


# -- a user steps in ----------------------------------------------------------------------------------


def test_a_killed_flow_ends_its_attempt(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("never")))
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model), list(AUTH.items())))
        us.until(b"Hello")
        assert order(proxy, "kill", path=path) == 1
        assert not us.rest().endswith(b"0\r\n\r\n")
    vendor.run(vendor.requests[-1].closed_by_client.wait())
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    flow = saved_flow(proxy, path)
    assert flow.error
    assert flow.error.msg == "Connection killed."
    assert flow.metadata["rotator"]["end"] == "killed"
    assert "killed: the user killed the flow" in flow.comment
    assert len(vendor.requests) == 1


def test_a_held_flow_waits_and_continues(proxy: Proxy, vendor: VendorThread, path: str, model: str) -> None:
    order(proxy, "hold", path=path)
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model), list(AUTH.items())))
        state = wait_order(proxy, lambda state: state["intercepted"] == [path], "state")
        assert (vendor.requests, state["drivers"]) == ([], 0)  # no timer runs meanwhile
        (held,) = seen(proxy, path)
        order(proxy, "resume")
        us.until(b"[DONE]")
    assert clean(held["text"]) == []
    assert [one.credential for one in vendor.requests] == [ONE]


def test_a_held_flow_that_is_killed_asks_nothing(
    proxy: Proxy, vendor: VendorThread, path: str, model: str
) -> None:
    order(proxy, "hold", path=path)
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model), list(AUTH.items())))
        wait_order(proxy, lambda state: state["intercepted"] == [path], "state")
        order(proxy, "kill", path=path)
        us.rest()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    assert vendor.requests == []


@pytest.mark.parametrize(("host", "key"), [("api.openai.com", ONE), ("poolless.test", OWN)])
def test_a_replay_finds_its_key_again(
    proxy: Proxy, vendor: VendorThread, path: str, model: str, host: str, key: str
) -> None:
    """The pool's, or the client's from memory; the flow still has none."""
    call(proxy, path, model, host=host)
    assert order(proxy, "replay", path=path) == 1
    found = wait_order(proxy, lambda found: len(found) == 2 and found[1]["body"], "seen", path=path)
    assert (found[1]["status"], found[1]["is_replay"]) == (200, "request")
    assert found[1]["body"].endswith("data: [DONE]\n\n")
    assert [one.credential for one in vendor.requests] == [key, key]
    assert clean(found[1]["text"]) == []
    assert found[1]["rotator"]["end"] == "completed"


def test_a_passed_flow_that_is_held_and_killed_asks_nothing(
    proxy: Proxy, vendor: VendorThread, path: str, model: str
) -> None:
    path = path.replace(CHAT, FILES)
    order(proxy, "hold", path=path)
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model), list(AUTH.items())))
        wait_order(proxy, lambda state: state["intercepted"] == [path], "state")
        order(proxy, "kill", path=path)
        us.rest()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    assert vendor.requests == []


@pytest.mark.parametrize("path_", [CHAT, FILES])
def test_a_killed_replay_stops(proxy: Proxy, vendor: VendorThread, path: str, model: str, path_: str) -> None:
    path = path.replace(CHAT, path_)
    call(proxy, path, model)
    vendor.on(path=path_).reply(streamed(TEXT[:2], WaitFor("never")))
    order(proxy, "replay", path=path)
    vendor.wait_requests(2)
    assert order(proxy, "kill", path=path) == 1
    vendor.run(vendor.requests[-1].closed_by_client.wait())
    found = wait_order(proxy, lambda found: not found[1]["live"], "seen", path=path)
    assert found[1]["error"] == "Connection killed."


def test_the_inspector_shows_who_answered_and_when(
    proxy: Proxy, vendor: VendorThread, path: str, model: str
) -> None:
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", "slow"))
    call(proxy, path, model)
    flow = saved_flow(proxy, path)
    server, request = flow.server_conn, flow.request
    assert server.address == ("127.0.0.1", vendor.port)
    assert server.timestamp_start
    assert server.timestamp_end
    assert server.timestamp_tcp_setup
    assert server.timestamp_start <= server.timestamp_tcp_setup < server.timestamp_end
    assert request.timestamp_start < server.timestamp_end
    assert (server.peername, server.timestamp_tls_setup) == (("127.0.0.1", vendor.port), None)


def test_a_recorded_answer_is_served_if_it_is_whole(tmp_path: Path, vendor: VendorThread) -> None:
    """By --server-replay, which asks nobody then, and leaves no record of a call that somebody left."""
    long = chat_stream(["x" * 1_000_000] * 5)
    vendor.on(path=CHAT).reply(streamed(TEXT))
    vendor.on(path=CHAT).reply(streamed(long))
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with make_proxy(vendor, tmp_path / "first") as proxy:
        answers = [call(proxy, CHAT, model).content for model in ("short", "long")]
        call(proxy, FILES, "passed")
    _, cut, passed = flows(proxy)
    assert passed.response
    assert passed.response.raw_content is None
    assert cut.response
    assert (len(cut.response.raw_content or b""), cut.metadata["rotator_body_truncated"]) == (4 << 20, True)
    assert cut.comment.endswith("the answer is not shown whole: its first 4194304 bytes")
    vendor.on(path=CHAT).reply(streamed(TEXT))
    vendor.on(path=FILES).reply(whole(b"the file"))
    config = CONFIG.format(url=vendor.base_url)
    replayed = ("--server-replay", str(tmp_path / "first" / "flows"), "--set", "server_replay_extra=forward")
    with Proxy(tmp_path / "second", config, keys={"ONE": ONE, "TWO": TWO}, options=replayed) as second:
        assert [call(second, CHAT, model).content for model in ("short", "long")] == [answers[0], answers[0]]
        assert call(second, FILES, "passed").content == b"the file"
    assert len(vendor.requests) == 5
    assert second.log.count(" end=") == 1


@pytest.mark.parametrize("path_", [CHAT, FILES])
def test_flows_of_another_proxy_are_replayed_without_their_key(
    tmp_path: Path, vendor: VendorThread, path_: str
) -> None:
    """A file that a bare mitmproxy has saved holds keys: they are taken out, and replaced by the pool's."""
    flow = tflow.tflow()
    flow.request = http.Request.make("POST", f"https://api.openai.com{path_}", ask())
    flow.request.headers.update(AUTH)
    with (tmp_path / "old").open("wb") as file:
        FlowWriter(file).add(flow)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    vendor.on(path=FILES).reply(chat_error(400, "bad", f"not for {ONE}", (("x-you-are", ONE),)))
    proxy = make_proxy(vendor, tmp_path)
    with proxy:
        order(proxy, "replay_file", file=str(tmp_path / "old"))
        found = wait_order(proxy, lambda found: found and found[0]["status"], "seen", path=path_)
        wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path_)
    assert [one.credential for one in vendor.requests] == [ONE]
    assert clean(found[0]["text"]) == []
    assert clean(saved(proxy)) == []
    assert clean(proxy.log) == [], proxy.log
