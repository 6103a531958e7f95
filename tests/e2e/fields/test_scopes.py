"""Which call gets a kept field back, and which never does, through a real proxy."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import Http1, client, post, tunnel
from tests.vendor import (
    SPEECHES,
    Received,
    Reply,
    Reset,
    Said,
    Send,
    VendorThread,
    WaitFor,
    chat_answer,
    chat_error,
    chat_error_event,
    chat_stream,
    messages_answer,
    streamed,
    whole,
)

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
KEYS = {"ONE": ONE, "TWO": TWO}
RULE = """
[[providers.{provider}.field_cache]]
name = "{name}"
match = {{ model = "{model}" }}
source = "{source}"
path = "{path}"
scope = {scope}
inject = {inject}
"""
STATE = RULE.format(
    provider="acme",
    name="state",
    model="*",
    source="response",
    path="x_state",
    scope='["provider", "model", "session"]',
    inject='{ path = "x_state" }',
)
CONFIG = """
[providers.acme]
base_url = "{url}"
hosts = ["acme.test"]
protocols = ["openai_chat", "openai_responses"]
paths = {{ openai_responses = "/v1/responses" }}
websocket = "bridge"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.other]
base_url = "{url}"
hosts = ["other.test"]
protocols = ["openai_chat"]
[providers.talks]
base_url = "{url}"
hosts = ["talks.test"]
protocols = ["anthropic_messages"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.down]
base_url = "{url}/down"
hosts = ["down.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.mirror]
base_url = "{url}/mirror"
hosts = ["mirror.test"]
protocols = ["openai_chat"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ model = "falls-*" }}
to = ["down", "mirror"]
[[routes]]
match = {{ model = "claude-*" }}
to = ["acme/served"]
protocol = "openai_chat"
[retry]
max_attempts = 2
"""
RULES = (
    STATE
    + RULE.format(
        provider="acme",
        name="account",
        model="counted",
        source="response",
        path="x_account",
        scope='["credential"]',
        inject='{ path = "x_account" }',
    )
    + RULE.format(
        provider="acme",
        name="header",
        model="*",
        source="stream_event",
        path="x_header",
        scope='["session"]',
        inject='{ target = "headers", path = "x-acme-state" }',
    )
    + RULE.format(
        provider="acme",
        name="unified",
        model="*",
        source="unified_response",
        path="choices[0].blocks[0].text",
        scope='["session", "provider"]',
        inject='{ target = "unified_request", path = "user" }',
    )
    + RULE.format(
        provider="acme",
        name="trail",
        model="trailed",
        source="response",
        path="x_step",
        scope='["session"]',
        inject='{ path = "x_trail", as_list = true }',
    )
    + 'mode = "all"\n'
    + "".join(STATE.replace("acme", name) for name in ("other", "talks", "down", "mirror"))
)

_names = (f"conversation-of-the-tests-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("fields")
    with Proxy(folder, CONFIG.format(url=vendor.base_url) + RULES, keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture
def session(vendor: VendorThread) -> str:
    vendor.requests.clear()
    return next(_names)


def whole_with(**fields: object) -> Reply:
    """A whole answer of Chat with `fields` besides."""
    (body,) = chat_answer("Hello")
    return whole(json.dumps({**json.loads(body), **fields}).encode())


def events_with(**fields: object) -> list[bytes]:
    """The same as a stream, whose second chunk has them."""
    first, second, *others = chat_stream(["Hel", "lo"])
    chunk = json.loads(second.removeprefix(b"data: "))
    return [first, b"data: %b\n\n" % json.dumps({**chunk, **fields}).encode(), *others]


def streamed_with(**fields: object) -> Reply:
    return streamed(events_with(**fields))


def ask(proxy: Proxy, session: str = "", host: str = "acme.test", **fields: Any) -> int:
    """A call of a client, with its status. `key` is its own, `path` another one than that of Chat."""
    key, path = fields.pop("key", ""), fields.pop("path", CHAT)
    named = {"x-session-id": session} if session else {}
    headers = {**named, **({"authorization": f"Bearer {key}"} if key else {})}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    with client(proxy) as http:
        return http.post(f"https://{host}{path}", headers=headers, json=body).status_code


def sent(vendor: VendorThread, count: int) -> list[Received]:
    found = vendor.wait_requests(count)
    assert len(found) == count
    return found


def states(vendor: VendorThread, count: int, name: str = "x_state") -> list[Any]:
    """What the first requests had of the field; None: nothing."""
    return [received.json().get(name) for received in sent(vendor, count)]


# -- it goes back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("answered", [False, True], ids=["whole", "streamed"])
def test_a_client_of_another_protocol_gets_it_back_too(
    proxy: Proxy, vendor: VendorThread, session: str, asked: bool, answered: bool
) -> None:
    """Whichever way it is asked for, and comes."""
    vendor.on(path=CHAT).reply((streamed_with if answered else whole_with)(x_state=1), times=2)
    for _ in range(2):
        asks: dict[str, Any] = {"path": MESSAGES, "model": "claude-x", "max_tokens": 9, "stream": asked}
        assert ask(proxy, session, "api.anthropic.com", **asks) == 200
    assert states(vendor, 2) == [None, 1]
    assert states(vendor, 2, "user") == [None, "Hello"]


def test_a_turn_over_a_websocket_is_a_call_like_others(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    speech = SPEECHES["openai_responses"]
    steps = speech.stream(Said(("Hello",)), model="m").steps
    events = [step.data for step in steps if isinstance(step, Send)]
    stated = [event.replace(b'"response":{', b'"response":{"x_state":7,') for event in events]
    vendor.on(path=RESPONSES).reply(streamed(stated), times=2)
    with WebSocket(proxy, "acme.test") as socket:
        for _ in range(2):
            socket.turn(model="m", input="hi")
        assert socket.close().code == 1000
    assert states(vendor, 2) == [None, 7]


def test_a_header_is_one_more_among_those_of_the_client(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    vendor.on(path=CHAT).reply(streamed_with(x_header="s1"), times=2)
    body = json.dumps({"model": "m", "messages": [], "stream": True}).encode() + b"  "
    headers = [("X-Session-Id", session), ("Content-Type", "application/json"), ("X-Odd", "Kept")]
    with Http1(tunnel(proxy, "acme.test")) as talker:
        for _ in range(2):
            talker.send(post(CHAT, "acme.test", body, headers))
            talker.until(b"0\r\n\r\n")
            talker.received.clear()
    first, second = sent(vendor, 2)
    assert (first.body, second.body) == (body, body)
    assert second.headers == (*first.headers, (b"x-acme-state", b"s1"))


def test_of_two_calls_of_a_session_at_once_both_add_theirs(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    """Both began before either ended."""
    for step in (1, 2):
        vendor.on(path=CHAT).reply(replace(whole_with(x_step=step), before=(WaitFor(session),)))
    with ThreadPoolExecutor(2) as workers:
        calls = [workers.submit(ask, proxy, session, model="trailed") for _ in range(2)]
        sent(vendor, 2)
        vendor.release(session)
        assert [call.result() for call in calls] == [200, 200]
    vendor.on(path=CHAT).reply(whole_with())
    assert ask(proxy, session, model="trailed") == 200
    first, second, trail = states(vendor, 3, "x_trail")
    assert (first, second, sorted(trail)) == (None, None, [1, 2])


# -- and nobody else gets it -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"session": "another-conversation-of-tests"},
        {"session": ""},
        {"key": "sk-of-another-client-1"},
        {"key": ""},
        {"model": "another"},
        {"host": "other.test", "key": "sk-of-a-client-of-tests"},
    ],
    ids=["session", "no session", "client", "client without a key", "model", "provider"],
)
def test_it_is_kept_from_another(
    proxy: Proxy, vendor: VendorThread, session: str, other: dict[str, str]
) -> None:
    vendor.on(path=CHAT).reply(whole_with(x_state=session), times=3)
    same = {"session": session, "key": "sk-of-a-client-of-tests"}
    ask(proxy, **same)
    ask(proxy, **{**same, **other})
    ask(proxy, **same)
    assert states(vendor, 3) == [None, None, session]


def test_it_is_kept_from_another_credential_of_the_pool(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    vendor.on(key=ONE).reply(whole_with(x_account="one"))
    assert ask(proxy, session, model="counted") == 200
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", "slow down"))
    vendor.on(key=TWO).reply(whole_with(x_account="two"))
    assert ask(proxy, session, model="counted") == 200
    vendor.on(key=TWO).reply(whole_with())
    assert ask(proxy, session, model="counted") == 200
    found = sent(vendor, 4)
    assert [one.credential for one in found] == [ONE, ONE, TWO, TWO]
    assert [one.json().get("x_account") for one in found] == [None, "one", None, "two"]


# -- attempts ----------------------------------------------------------------------------------------------


def test_an_attempt_that_is_thrown_away_leaves_nothing(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    first, second, *_ = events_with(x_header="lost")
    opens = second.replace(b'"content": "Hel"', b'"content": ""')
    assert opens != second
    failed = streamed([first, opens, chat_error_event("server_error", "overloaded")])
    vendor.on(path=CHAT).reply(failed).reply(streamed_with(), times=2)
    for _ in range(2):
        assert ask(proxy, session, stream=True) == 200
    assert [one.header("x-acme-state") for one in sent(vendor, 3)] == [None, None, None]


def test_of_a_cut_answer_what_an_event_said_is_kept_alone(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    cut = streamed(events_with(x_header="seen", x_state="half")[:2], Reset())
    vendor.on(path=CHAT).reply(cut).reply(streamed_with())
    for _ in range(2):
        assert ask(proxy, session, stream=True) == 200
    _, second = sent(vendor, 2)
    assert (second.header("x-acme-state"), second.json().get("x_state")) == ("seen", None)


def test_the_target_that_is_asked_has_its_own_rules(proxy: Proxy, vendor: VendorThread, session: str) -> None:
    down, mirror = f"/down{CHAT}", f"/mirror{CHAT}"
    vendor.on(path=down).reply(whole_with(x_state="down")).always(chat_error(500, "server_error", "down"))
    vendor.on(path=mirror).always(whole_with(x_state="mirror"))
    for _ in range(3):
        assert ask(proxy, session, model="falls-back") == 200
    asked = [(one.path, one.json().get("x_state")) for one in vendor.requests]
    assert asked[0] == (down, None)
    assert {state for path, state in asked[1:] if path == down} == {"down"}
    assert [state for path, state in asked if path == mirror] == [None, "mirror"]


# -- promises ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [None, 1], ids=["nothing kept", "its client says it itself"])
def test_a_call_that_no_rule_changes_leaves_byte_for_byte(
    proxy: Proxy, vendor: VendorThread, session: str, state: int | None
) -> None:
    vendor.on(path=CHAT).reply(whole_with(x_state=state), times=2)
    body = b'{"model":"m", "messages":[ ],\n "x_state":2,"a":1.0e1, "\\u0061b":"\\/"}'
    headers = [("X-Session-Id", session), ("content-TYPE", "application/json"), ("X-Odd", "Kept ")]
    with Http1(tunnel(proxy, "acme.test")) as talker:
        for _ in range(2):
            talker.send(post(CHAT, "acme.test", body, headers))
            talker.until(b"Hello")
            talker.received.clear()
    first, second = sent(vendor, 2)
    assert (first.body, second.body, second.headers) == (body, body, first.headers)


def test_only_generations_have_it(proxy: Proxy, vendor: VendorThread, session: str) -> None:
    vendor.on(path=CHAT).reply(whole_with(x_state=1))
    vendor.on(path="/v1/embeddings").reply(whole(b'{"object":"list","data":[],"x_state":2}'))
    assert ask(proxy, session) == 200
    assert ask(proxy, session, path="/v1/embeddings", input="hi") == 200
    assert states(vendor, 2) == [None, None]


def test_a_count_of_tokens_leaves_as_it_came_and_leaves_nothing(
    proxy: Proxy, vendor: VendorThread, session: str
) -> None:
    (message,) = messages_answer("Hello")
    vendor.on(path=MESSAGES).reply(whole(json.dumps({**json.loads(message), "x_state": 1}).encode()), times=2)
    vendor.on(path=f"{MESSAGES}/count_tokens").reply(whole(b'{"input_tokens":9,"x_state":2}'))
    asked = b'{"model":"m", "max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'
    with client(proxy) as http:
        for path in (MESSAGES, f"{MESSAGES}/count_tokens", MESSAGES):
            named = {"x-session-id": session, "content-type": "application/json"}
            assert http.post(f"https://talks.test{path}", headers=named, content=asked).status_code == 200
    assert sent(vendor, 3)[1].body == asked
    assert states(vendor, 3) == [None, None, 1]


def test_what_is_kept_outlives_a_change_of_the_config(
    vendor: VendorThread, tmp_path: Path, session: str
) -> None:
    """But for rules that are gone, whose values are forgotten."""
    vendor.on(path=CHAT).reply(whole_with(x_state=1, x_account=2), times=3)
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config + RULES, keys=KEYS) as proxy:
        ask(proxy, session)
        proxy.config.write_text(config + STATE)
        proxy.wait_log("the changed config is in force")
        ask(proxy, session)
        proxy.config.write_text(config + RULES)
        proxy.wait_log("the changed config is in force", count=2)
        ask(proxy, session)
    assert states(vendor, 3) == [None, 1, 1]
    assert states(vendor, 3, "x_account") == [None, None, None]
