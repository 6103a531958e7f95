"""WebSockets of the Responses API through a real mitmdump: refused, passed on, and bridged."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wsproto.events import CloseConnection, Ping, Pong
from wsproto.extensions import PerMessageDeflate

from addons.mitm.websocket_limits import CONTROL_BURST, KEPT_MESSAGES
from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.sockets import ENDS, WebSocket, from_provider, text_of
from tests.e2e.talk import PROBE, Http1, client, order, post, tunnel, wait_order
from tests.vendor import (
    SPEECHES,
    Said,
    Tool,
    Upgrade,
    VendorThread,
    WaitFor,
    streamed,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.chatgpt]
base_url = "{url}"
[providers.passing]
base_url = "{url}"
hosts = ["passing.test"]
protocols = ["openai_responses"]
websocket = "pass"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.bridged]
base_url = "{url}"
hosts = ["bridged.test"]
protocols = ["openai_chat", "openai_responses"]
paths = {{ openai_responses = "/v1/responses" }}
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.ownkey]
base_url = "{url}"
hosts = ["ownkey.test"]
protocols = ["openai_responses"]
websocket = "bridge"
[providers.turning]
base_url = "{url}"
hosts = ["turning.test"]
protocols = ["openai_responses"]
websocket = "bridge"
rotation = "round_robin"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.chatting]
base_url = "{url}"
hosts = ["chatting.test"]
protocols = ["openai_chat"]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "other", key = "env:OTHER" }}]
[browsers]
allow = ["https://friend.test"]
[[routes]]
match = {{ model = "routed-*" }}
to = ["anthropic/claude-test"]
[retry]
deadline = 5.0
[streaming]
first_event_timeout = 0.3
first_token_timeout = 0.3
slow_start_timeout = 2.0
heartbeat_interval = 0.05
"""
KEYS = {"ONE": "sk-pool-number-one", "TWO": "sk-pool-number-two", "OTHER": "sk-pool-of-anthropic"}
ONE, TWO = KEYS["ONE"], KEYS["TWO"]
RESPONSES = "/v1/responses"
IDLE = {"responders": 0, "drivers": 0, "in_flight": {}, "intercepted": []}
SPEECH = SPEECHES["openai_responses"]
HANDSHAKE = (
    "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = Said(("Hello", " there"))
USER = {"type": "message", "role": "user"}

_models = (f"gpt-4o-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("websocket")
    config = CONFIG.format(url=vendor.base_url)
    options = ("-w", str(folder / "flows"))
    with Proxy(folder, config, keys=KEYS, options=options, scripts=(ADDON, PROBE)) as running:
        yield running
    assert not [word for word in ("Traceback", "crashed", "never retrieved") if word in running.log], (
        running.log
    )


@pytest.fixture(autouse=True)
def _all_is_idle(vendor: VendorThread, proxy: Proxy) -> Iterator[None]:
    vendor.requests.clear()
    yield
    wait_order(proxy, lambda state: state == IDLE, "state")


@pytest.fixture
def model() -> str:
    return next(_models)


def bodies(vendor: VendorThread) -> list[Any]:
    return [one.json() for one in vendor.requests]


def record(proxy: Proxy, model: str, count: int = 1) -> str:
    """The lines of the calls that name the model, once there are so many."""
    log = proxy.wait_log(f"model={model} ", count=count)
    return "\n".join(line for line in log.splitlines() if f"model={model} " in line)


def saved(proxy: Proxy, path: str) -> http.HTTPFlow:
    """The last saved WebSocket of that path."""
    with (proxy.folder / "flows").open("rb") as file:
        flows = [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
    return [flow for flow in flows if flow.websocket and flow.request.path == path][-1]


# -- refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.openai.com", "/v1/responses"),
        ("api.openai.com", "/v1/responses?model=gpt-5"),
        ("chatgpt.com", "/backend-api/codex/responses"),
    ],
)
def test_a_websocket_of_the_responses_api_is_refused_at_once(
    proxy: Proxy, vendor: VendorThread, host: str, path: str
) -> None:
    with WebSocket(proxy, host, path) as socket:
        status, headers, body = socket.refusal()
    assert (status, headers["content-type"], headers["upgrade"]) == (426, "application/json", "HTTP/1.1")
    assert json.loads(body)["error"]["code"] == "websocket_refused"
    assert vendor.requests == []
    assert vendor.open_connections == 0


def test_the_connection_of_a_refused_websocket_serves_on(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    with WebSocket(proxy, "api.openai.com") as socket:
        socket.refusal()
        us = socket.connection
        us.send(post(RESPONSES, "api.openai.com", json.dumps({"model": model, "stream": True}).encode()))
        us.until(b"response.completed")
    assert [one.method for one in vendor.requests] == ["POST"]
    (seen, *_) = order(proxy, "seen", path=RESPONSES)
    assert seen["rotator"]["websocket"] == "refused"
    assert not seen["live"]


@pytest.mark.parametrize(
    ("host", "path", "credential"),
    [
        ("api.openai.com", "/v1/realtime", ONE),
        ("api.openai.com", "/v1/responses/resp_1", ONE),
        ("chatting.test", "/v1/responses", "sk-own-key"),
        ("chatgpt.com", "/backend-api/other", "sk-own-key"),
    ],
)
def test_any_other_websocket_passes(
    proxy: Proxy, vendor: VendorThread, host: str, path: str, credential: str
) -> None:
    vendor.on(path=path).reply(Upgrade())
    with WebSocket(proxy, host, path) as socket:
        assert socket.accepted
        socket.say("hello")
        assert socket.text() == "hello"
        socket.close()
    assert [one.credential for one in vendor.requests] == [credential]


# -- passed on --------------------------------------------------------------------------------------------


def test_one_that_passes_has_the_pools_key_and_its_flow_does_not(proxy: Proxy, vendor: VendorThread) -> None:
    path = f"{RESPONSES}?passes"
    vendor.on(path=RESPONSES).reply(Upgrade())
    with WebSocket(proxy, "passing.test", path) as socket:
        assert socket.accepted
        socket.say(f"you are {ONE}")
        assert socket.text() == "you are " + "*" * len(ONE)
        socket.close()
    assert [one.credential for one in vendor.requests] == [ONE]
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    (seen,) = order(proxy, "seen", path=path)
    assert "sk-own-key" not in seen["text"]
    assert seen["text"].count(ONE) == 1  # what the client itself said
    assert seen["rotator"]["credential"] == "one"


def test_a_message_that_could_not_be_looked_at_stays_here(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=RESPONSES).reply(Upgrade())
    with WebSocket(proxy, "passing.test") as socket:
        order(proxy, "fault", place="blackout_of_a_message")
        socket.say("lost")
        assert socket.next() == CloseConnection(1011, "a fault of the proxy")
        order(proxy, "mend")
    assert "a WebSocket to passing.test is closed: Planted in " in proxy.log


def test_a_subscriptions_token_passes_as_it_is(proxy: Proxy, vendor: VendorThread) -> None:
    path = "/backend-api/realtime"
    vendor.on(path=path).reply(Upgrade())
    with WebSocket(proxy, "chatgpt.com", path, key="eyJ-login") as socket:
        assert socket.accepted
        socket.close()
    assert [one.credential for one in vendor.requests] == ["eyJ-login"]


def test_one_that_passes_keeps_its_last_messages_alone(proxy: Proxy, vendor: VendorThread) -> None:
    path = f"{RESPONSES}?long"
    vendor.on(path=RESPONSES).reply(Upgrade())
    with WebSocket(proxy, "passing.test", path) as socket:
        for number in range(KEPT_MESSAGES):
            socket.say(f"number {number}")
            assert socket.text() == f"number {number}"
        socket.close()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    flow = saved(proxy, path)
    assert flow.websocket
    texts = [message.text for message in flow.websocket.messages]
    assert len(texts) == KEPT_MESSAGES
    assert texts[-1] == f"number {KEPT_MESSAGES - 1}"


def test_pings_and_close_reasons_of_one_that_passes_are_searched_for_the_pools_key(
    proxy: Proxy, vendor: VendorThread
) -> None:
    path = f"{RESPONSES}?searched"
    said = from_provider(Ping(ONE.encode()), Pong(ONE.encode()), CloseConnection(4000, f"you are {ONE}"))
    vendor.on(path=RESPONSES).reply(Upgrade(said=said))
    with WebSocket(proxy, "passing.test", path) as socket:
        assert [socket.any() for _ in range(3)] == [
            Ping(b"*" * len(ONE)),
            Pong(b"*" * len(ONE)),
            CloseConnection(4000, "you are " + "*" * len(ONE)),
        ]
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    assert ONE not in order(proxy, "seen", path=path)[0]["text"] + proxy.log


def test_pings_without_end_close_one_that_passes(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=RESPONSES).reply(Upgrade())
    with WebSocket(proxy, "passing.test") as socket:
        for _ in range(CONTROL_BURST * 2):
            socket.send(Ping())
        while not isinstance(event := socket.any(), CloseConnection):
            assert isinstance(event, Pong)
    assert event == CloseConnection(1008, "too many pings")


def test_a_provider_that_agrees_on_nonsense_is_left(proxy: Proxy, vendor: VendorThread) -> None:
    nonsense = ("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99")
    vendor.on(path=RESPONSES).reply(Upgrade((nonsense,)))
    with Http1(tunnel(proxy, "passing.test")) as us:
        us.send(HANDSHAKE.format(RESPONSES, "passing.test").encode())
        assert b"the provider's compression makes no sense" in us.until(b"no sense")


def test_a_user_kills_one_that_passes(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    path = f"{RESPONSES}?{model}"
    vendor.on(path=RESPONSES).reply(Upgrade())
    with WebSocket(proxy, "passing.test", path) as socket:
        socket.say("hello")
        assert socket.text() == "hello"
        assert order(proxy, "kill", path=path) == 1
        assert socket.any() == CloseConnection(1001, "killed")


# -- who opens it -----------------------------------------------------------------------------------------


PAGE = {"Origin": "https://evil.test"}


@pytest.mark.parametrize("host", ["api.openai.com", "passing.test", "bridged.test"])
def test_a_web_page_without_a_key_is_refused_in_every_mode(
    proxy: Proxy, vendor: VendorThread, host: str
) -> None:
    with WebSocket(proxy, host, key="", headers={**PAGE, "Cookie": "a=b"}) as socket:
        status, _, body = socket.refusal()
    assert status == 403
    message = json.loads(body)["error"]["message"]
    assert ("https://evil.test" in message, "[browsers] allow" in message) == (True, True)
    assert vendor.requests == []


def test_a_web_page_with_a_key_spends_that_one(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path="/v1/realtime").reply(Upgrade())
    with WebSocket(proxy, "api.openai.com", "/v1/realtime", headers=PAGE) as socket:
        assert socket.accepted
        socket.close()
    with WebSocket(proxy, "bridged.test", headers=PAGE) as socket:
        socket.turn(model=model, input="hi")
    assert [one.credential for one in vendor.requests] == ["sk-own-key", "sk-own-key"]


def test_a_page_that_the_config_allows_spends_the_pool(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    with WebSocket(proxy, "bridged.test", key="", headers={"Origin": "https://friend.test"}) as socket:
        socket.turn(model=model, input="hi")
    assert [one.credential for one in vendor.requests] == [ONE]


def test_a_handshakes_coding_is_not_that_of_its_turns(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with WebSocket(proxy, "bridged.test", headers={"Content-Encoding": "gzip"}) as socket:
        socket.turn(model=model, input="hi")
    assert [body["model"] for body in bodies(vendor)] == [model]


def test_a_providers_own_page_passes(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path="/v1/realtime").reply(Upgrade())
    headers = {"Origin": "https://api.openai.com"}
    with WebSocket(proxy, "api.openai.com", "/v1/realtime", headers=headers) as socket:
        assert socket.accepted
        socket.close()
    assert [one.credential for one in vendor.requests] == [ONE]


OFFER = "realtime, openai-insecure-api-key.{}, openai-beta.realtime-v1"


@pytest.mark.parametrize("chosen", ["realtime", f"openai-insecure-api-key.{ONE}"])
def test_a_key_among_the_subprotocols_is_replaced_and_not_echoed(
    proxy: Proxy, vendor: VendorThread, chosen: str
) -> None:
    path = f"/v1/realtime?{chosen[:8]}"
    vendor.on(path="/v1/realtime").reply(Upgrade((("Sec-WebSocket-Protocol", chosen),)))
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        offer = f"Sec-WebSocket-Protocol: {OFFER.format('sk-own-key')}\r\n\r\n"
        us.send(HANDSHAKE.format(path, "api.openai.com").removesuffix("\r\n").encode() + offer.encode())
        head = us.until(b"\r\n\r\n").lower()
    assert head.startswith(b"http/1.1 101 ")
    assert (b"sec-websocket-protocol: realtime" in head) is (chosen == "realtime")
    assert b"insecure" not in head
    (received,) = vendor.requests
    assert received.header("sec-websocket-protocol") == OFFER.format(ONE)
    assert received.header("authorization") is None
    (seen,) = order(proxy, "seen", path=path)
    assert [key for key in (ONE, "sk-own-key") if key in seen["text"]] == []


def test_a_key_among_the_subprotocols_of_a_bridged_one_leaves_as_a_bearers(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    headers = {"Sec-WebSocket-Protocol": "openai-insecure-api-key.sk-own-key"}
    with WebSocket(proxy, "ownkey.test", key="", headers=headers) as socket:
        socket.turn(model=model, input="hi")
    (received,) = vendor.requests
    assert received.credential == "sk-own-key"
    assert received.header("sec-websocket-protocol") is None


@pytest.mark.parametrize("host", ["passing.test", "bridged.test"])
def test_a_garbage_key_is_no_handshake(proxy: Proxy, vendor: VendorThread, host: str) -> None:
    with Http1(tunnel(proxy, host)) as us:
        us.send(HANDSHAKE.format(RESPONSES, host).replace("AAAAAA==", "garbage").encode())
        assert us.until(b"\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert vendor.requests == []


# -- bridged ----------------------------------------------------------------------------------------------


def test_a_turn_is_a_call_over_http(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    betas = "responses_websockets=2026-02-06, other=1"
    headers = {"OpenAI-Beta": betas, "User-Agent": "codex/1", "X-Odd": "kept"}
    with WebSocket(proxy, "bridged.test", headers=headers) as socket:
        assert socket.accepted
        assert vendor.requests == []
        events = socket.turn(model=model, input="hi", odd={"a": 1})
        assert socket.close().code == 1000
    assert text_of(events) == "Hello from the fake provider."
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    (received,) = vendor.requests
    assert (received.method, received.target, received.credential) == ("POST", RESPONSES, ONE)
    assert received.json() == {"model": model, "input": "hi", "odd": {"a": 1}, "stream": True}
    names = [name.decode().lower() for name, _ in received.headers]
    assert [name for name in names if "websocket" in name or name == "upgrade"] == []
    assert received.header("openai-beta") == "other=1"
    assert (received.header("x-odd"), received.header("user-agent")) == ("kept", "codex/1")
    assert received.header("content-type") == "application/json"
    assert received.header("content-length") == str(len(received.body))
    assert "attempts=one:completed" in record(proxy, model)


def test_a_clients_own_key_goes_to_its_provider(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with WebSocket(proxy, "ownkey.test") as socket:
        socket.turn(model=model, input="hi")
    assert [one.credential for one in vendor.requests] == ["sk-own-key"]


def test_a_client_without_a_key_gets_the_pools(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with WebSocket(proxy, "bridged.test", key="") as socket:
        socket.turn(model=model, input="hi")
    assert [one.credential for one in vendor.requests] == [ONE]


def test_the_turns_of_a_connection_stay_on_one_key(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    for _ in range(2):
        with WebSocket(proxy, "turning.test") as socket:
            socket.turn(model=model, input="hi")
            socket.turn(model=model, input="something else")
    assert [one.credential for one in vendor.requests] == [ONE, ONE, TWO, TWO]


def test_compressed_messages(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with WebSocket(proxy, "bridged.test", extensions=[PerMessageDeflate()]) as socket:
        text = "all over again " * 100_000  # large enough to be parsed in a thread
        assert text_of(socket.turn(model=model, input=text)).startswith("Hello")
        assert text_of(socket.turn(model=model, input=text)).startswith("Hello")
    assert [body["input"] for body in bodies(vendor)] == [text, text]


def test_a_prepared_turn_asks_nobody_and_the_next_turns_continue_from_it(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    first, second = {**USER, "content": "hi"}, {**USER, "content": "more"}
    with WebSocket(proxy, "bridged.test") as socket:
        prepared = socket.turn(model=model, input=[first], tools=[], store=False, generate=False)
        assert [event["type"] for event in prepared] == ["response.created", "response.completed"]
        assert vendor.requests == []
        name = prepared[-1]["response"]["id"]
        answered = socket.turn(model=model, input=[], store=False, previous_response_id=name)
        name = answered[-1]["response"]["id"]
        socket.turn(model=model, input=[second], store=False, previous_response_id=name)
    said = answered[-1]["response"]["output"]
    assert [body["input"] for body in bodies(vendor)] == [[first], [first, *said, second]]
    assert [body.get("previous_response_id") for body in bodies(vendor)] == [None, None]
    assert [body.get("tools") for body in bodies(vendor)] == [[], None]
    lines = record(proxy, model, 3)
    assert lines.count("end=completed") == 3
    assert lines.count("a turn was prepared") == 1


def test_a_response_of_somebody_else_is_the_providers_affair(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    refusal = SPEECH.error(400, "Previous response with id 'resp_other' not found.")
    vendor.on(path=RESPONSES).reply(refusal)
    with WebSocket(proxy, "bridged.test") as socket:
        (error,) = socket.turn(model=model, input="hi", previous_response_id="resp_other")
        assert (error["type"], error["status"]) == ("error", 400)
        assert "resp_other" in error["error"]["message"]
    assert bodies(vendor)[0]["previous_response_id"] == "resp_other"


def test_turns_wait_for_one_another(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    gate = f"first-{model}"
    events = SPEECH.events(HELLO, model)
    vendor.on(path=RESPONSES).reply(streamed([*events[:-1]], WaitFor(gate), *streamed(events[-1:]).steps))
    with WebSocket(proxy, "bridged.test") as socket:
        socket.create(model=model, input="one", stream_id="a")
        socket.until("response.output_item.done")
        socket.create(model=model, input="two", stream_id="b")
        assert len(vendor.requests) == 1
        vendor.release(gate)
        assert {event["stream_id"] for event in socket.answer()} == {"a"}
        assert {event["stream_id"] for event in socket.answer()} == {"b"}
    assert [body["input"] for body in bodies(vendor)] == ["one", "two"]


def test_another_key_serves_after_a_429(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(ONE, RESPONSES).reply(SPEECH.error(429, "Slow down.", (("retry-after", "30"),)))
    with WebSocket(proxy, "bridged.test") as socket:
        assert text_of(socket.turn(model=model, input="hi")).startswith("Hello")
    assert [one.credential for one in vendor.requests] == [ONE, TWO]
    assert 'attempts="one:rejected(429 rate) two:completed"' in record(proxy, model)


def test_a_silence_before_the_first_token_is_not_seen(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=RESPONSES).reply(SPEECH.silent())
    with WebSocket(proxy, "bridged.test") as socket:
        events = socket.turn(model=model, input="hi")
    assert text_of(events) == "Hello from the fake provider."
    assert [event["type"] for event in events].count("response.created") == 1
    assert len(vendor.requests) == 2
    assert "stalled(" in record(proxy, model)


def test_a_cut_in_the_text_is_an_incomplete_response(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=RESPONSES).reply(SPEECH.reset(HELLO, " there", model=model))
    with WebSocket(proxy, "bridged.test") as socket:
        events = socket.turn(model=model, input="hi")
        assert events[-1]["type"] == "response.incomplete"
        assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        name = events[-1]["response"]["id"]
        socket.turn(model=model, input="go on", previous_response_id=name)
    asked, said, more = bodies(vendor)[1]["input"]
    assert (asked["content"], more["content"]) == ("hi", "go on")
    assert said["content"][0]["text"] == "Hello there"


def test_a_cut_in_a_tool_call_is_an_error(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    call = Said(tools=(Tool("read", ('{"path"', ': "a', '.txt"}')),), finish="tools")
    vendor.on(path=RESPONSES).reply(SPEECH.reset(call, '\\"a', model=model))
    with WebSocket(proxy, "bridged.test") as socket:
        events = socket.turn(model=model, input="hi")
        assert [event["type"] for event in events if event["type"] in ENDS] == ["response.failed"]
        # What failed is not continued.
        name = events[-1]["response"]["id"]
        socket.turn(model=model, input="go on", previous_response_id=name)
    assert bodies(vendor)[1]["previous_response_id"] == name


def test_a_refusal_is_an_error_with_its_status(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    headers = (("retry-after", "7"), ("x-request-id", "req_1"))
    vendor.on(path=RESPONSES).reply(SPEECH.error(429, "Slow down.", headers))
    with WebSocket(proxy, "ownkey.test") as socket:
        (error,) = socket.turn(model=model, input="hi", stream_id="main")
        assert (error["type"], error["status"], error["stream_id"]) == ("error", 429, "main")
        assert error["error"]["message"] == "Slow down."
        assert (error["headers"]["retry-after"], error["headers"]["x-request-id"]) == ("7", "req_1")
        assert text_of(socket.turn(model=model, input="hi")).startswith("Hello")


def test_what_no_key_of_the_pool_gets_is_an_error_too(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=RESPONSES).reply(SPEECH.error(429, "Slow down.", (("retry-after", "7"),)), times=2)
    with WebSocket(proxy, "bridged.test") as socket:
        (error,) = socket.turn(model=model, input="hi")
        assert (error["type"], error["status"], error["headers"]["retry-after"]) == ("error", 429, "7")
        # Both keys are rate-limited for this model, not for another.
        assert text_of(socket.turn(model=f"{model}-b", input="hi")).startswith("Hello")


def test_what_is_not_understood_is_an_error_and_the_connection_continues(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    with WebSocket(proxy, "bridged.test") as socket:
        socket.say("hello?")
        error = socket.event()
        assert (error["type"], error["status"], error["error"]["type"]) == (
            "error",
            400,
            "invalid_request_error",
        )
        socket.say('{"type": "response.processed", "response_id": "resp_1"}')
        assert text_of(socket.turn(model=model, input="hi")).startswith("Hello")


@pytest.mark.parametrize("way", ["close", "leave", "vanish"])
def test_a_client_that_leaves_closes_the_attempt(
    proxy: Proxy, vendor: VendorThread, model: str, way: str
) -> None:
    vendor.on(path=RESPONSES).reply(SPEECH.cut(HELLO, "Hello", WaitFor("never"), model=model))
    with WebSocket(proxy, "bridged.test") as socket:
        socket.create(model=model, input="hi")
        socket.create(model=f"{model}-never", input="this is never asked")
        socket.until("response.output_text.delta")
        socket.close() if way == "close" else getattr(socket.connection, way)()
        (received,) = vendor.wait_requests(1)
        vendor.run(received.closed_by_client.wait())
        assert "attempts=one:abandoned" in record(proxy, model)
        wait_order(proxy, lambda state: state == IDLE, "state")
    assert len(vendor.requests) == 1


def test_a_user_kills_it(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    path = f"{RESPONSES}?{model}"
    vendor.on(path=RESPONSES).reply(SPEECH.cut(HELLO, "Hello", WaitFor("never"), model=model))
    with WebSocket(proxy, "bridged.test", path) as socket:
        socket.create(model=model, input="hi")
        socket.until("response.output_text.delta")
        assert order(proxy, "kill", path=path) == 1
        (received,) = vendor.wait_requests(1)
        vendor.run(received.closed_by_client.wait())


def test_a_user_kills_it_before_it_begins(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    path = f"{RESPONSES}?{model}"
    order(proxy, "hold", path=path)
    head = f"GET {path} HTTP/1.1\r\nHost: bridged.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    with Http1(tunnel(proxy, "bridged.test")) as us:
        us.send(
            f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        wait_order(proxy, lambda state: state["intercepted"] == [path], "state")
        assert order(proxy, "kill", path=path) == 1
        assert b" 101 " not in us.rest()


def test_a_waiting_client_is_pinged(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    events = SPEECH.events(HELLO, model)
    gate = f"pings-{model}"
    vendor.on(path=RESPONSES).reply(streamed(events[:-1], WaitFor(gate), *streamed(events[-1:]).steps))
    with WebSocket(proxy, "bridged.test") as socket:
        socket.create(model=model, input="hi")
        socket.until("response.output_item.done")
        socket.await_ping()
        vendor.release(gate)
        assert socket.answer()[-1]["type"] == "response.completed"


def test_a_route_to_another_protocol(proxy: Proxy, vendor: VendorThread) -> None:
    tools = [{"type": "function", "name": "read", "parameters": {"type": "object"}}]
    with WebSocket(proxy, "bridged.test") as socket:
        events = socket.turn(model="routed-1", input="hi", tools=tools)
        name = events[-1]["response"]["id"]
        socket.turn(model="routed-1", input="more", previous_response_id=name)
    assert text_of(events) == "Hello from the fake provider."
    assert [one.target for one in vendor.requests] == ["/v1/messages", "/v1/messages"]
    assert {one.credential for one in vendor.requests} == {KEYS["OTHER"]}
    roles = [message["role"] for message in bodies(vendor)[1]["messages"]]
    assert roles == ["user", "assistant", "user"]


def test_an_answer_that_is_not_streamed(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=RESPONSES).reply(SPEECH.whole(HELLO, model=model))
    with WebSocket(proxy, "bridged.test") as socket:
        events = socket.turn(model=model, input="hi")
        name = events[-1]["response"]["id"]
        socket.turn(model=model, input="more", previous_response_id=name)
    assert [event["type"] for event in events][-2:] == ["response.output_item.done", "response.completed"]
    assert len(bodies(vendor)[1]["input"]) == 3


def test_a_fault_of_ours_fails_one_turn(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    order(proxy, "fault", place="acquire")
    with WebSocket(proxy, "bridged.test") as socket:
        (error,) = socket.turn(model=model, input="hi")
        order(proxy, "mend")
        assert (error["status"], error["error"]["code"]) == (502, "proxy_fault")
        assert text_of(socket.turn(model=model, input="hi")).startswith("Hello")
    assert ONE not in proxy.log


def test_a_handshake_that_lacks_something_is_refused(proxy: Proxy, vendor: VendorThread) -> None:
    head = f"GET {RESPONSES} HTTP/1.1\r\nHost: bridged.test\r\nUpgrade: websocket\r\n"
    with Http1(tunnel(proxy, "bridged.test")) as us:
        us.send(f"{head}Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n".encode())
        assert us.until(b"\r\n\r\n").startswith(b"HTTP/1.1 426 ")
    assert vendor.requests == []


def test_a_get_without_an_upgrade_is_no_websocket(proxy: Proxy, vendor: VendorThread) -> None:
    with client(proxy) as http_client:
        assert http_client.get("https://bridged.test/v1/responses").status_code == 404
    assert [one.method for one in vendor.requests] == ["GET"]


def test_what_stands_in_the_inspector(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    path = f"{RESPONSES}?{model}"
    vendor.on(ONE, RESPONSES).reply(SPEECH.error(401, f"Incorrect API key: {ONE}"))
    vendor.on(TWO, RESPONSES).reply(SPEECH.error(401, f"Incorrect API key: {TWO}"))
    with WebSocket(proxy, "bridged.test", path) as socket:
        socket.turn(model=model, input="hi", generate=False)
        (error,) = socket.turn(model=model, input="hi")
        assert TWO not in str(error)
        socket.close()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    (seen,) = order(proxy, "seen", path=path)
    assert [text for text in (*KEYS.values(), "sk-own-key") if text in seen["text"]] == []
    turns = seen["rotator"]["turns"]
    assert [turn["status"] for turn in turns] == [200, 401]
    assert [one["credential"] for one in turns[1]["attempts"]] == ["one", "two"]
    assert "attempt 2 with two: rejected(401 auth)" in seen["comment"]
    flow = saved(proxy, path)
    assert flow.websocket
    kinds = [json.loads(message.text)["type"] for message in flow.websocket.messages]
    assert kinds == ["response.create", "response.created", "response.completed", "response.create", "error"]


def test_a_clients_own_key_that_an_error_repeats_stays_in_no_recorded_message(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    path, own = f"{RESPONSES}?{model}", "sk-own-0123456789abcdef"
    vendor.on(own, RESPONSES).reply(SPEECH.error(401, f"Incorrect API key: {own}"))
    with WebSocket(proxy, "ownkey.test", path, key=own) as socket:
        (error,) = socket.turn(model=model, input="hi")
        assert own in str(error)
        socket.close()
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    flow = saved(proxy, path)
    assert flow.websocket
    assert "Incorrect API key: *" in (flow.websocket.messages[-1].text)
    assert not [each for each in flow.websocket.messages if own in each.text]


def test_an_idle_connection_holds_no_credential(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with WebSocket(proxy, "bridged.test") as socket:
        socket.turn(model=model, input="hi")
        state = wait_order(proxy, lambda state: not state["drivers"], "state")
        assert state == {**IDLE, "responders": 1}
