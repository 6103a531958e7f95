"""Which key a request leaves with, in which form, and that nothing else of it changes."""

from collections.abc import Iterator
from itertools import count
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, Http2, ask, client, curl, post, tunnel
from tests.vendor import (
    Received,
    VendorThread,
    chat_error,
    chat_stream,
    messages_error,
    streamed,
)
from tests.vendor.responses import responses_error, responses_stream

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.replacing]
base_url = "{url}"
hosts = ["replacing.test"]
protocols = ["anthropic_messages", "openai_chat"]
auth = "x-api-key"
replace_oauth = true
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.poolless]
base_url = "{url}"
hosts = ["poolless.test"]
protocols = ["openai_chat", "anthropic_messages"]
[providers.turns]
base_url = "{url}"
hosts = ["turns.test"]
protocols = ["openai_chat", "anthropic_messages"]
rotation = "round_robin"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
"""
ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"
KEYS = {"ONE": ONE, "TWO": TWO}
OAUTH = "sk-ant-oat01-subscription-of-the-client"
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
RESPONSES = "/v1/responses"
ANTHROPIC, OPENAI = "https://api.anthropic.com", "https://api.openai.com"

_models = (f"gpt-4o-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path_factory.mktemp("credentials"), config, keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


@pytest.fixture(autouse=True)
def _no_requests(vendor: VendorThread) -> None:
    vendor.requests.clear()


@pytest.fixture
def model() -> str:
    """Cooldowns are kept per model: each test has its own."""
    return next(_models)


@pytest.fixture
def http(proxy: Proxy) -> Iterator[httpx.Client]:
    with client(proxy) as running:
        yield running


def carriers(received: Received) -> list[tuple[bytes, bytes]]:
    """Every header in which a key may travel, as it arrived."""
    names = {b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"}
    return [(name, value) for name, value in received.headers if name.lower() in names]


# -- forms --------------------------------------------------------------------------------------------

FORMS = [
    (ANTHROPIC + MESSAGES, {"X-Api-Key": "sk-own-key"}, [(b"X-Api-Key", ONE.encode())]),
    (
        ANTHROPIC + MESSAGES,
        {"Authorization": "Bearer sk-own-key"},
        [(b"Authorization", b"Bearer " + ONE.encode())],
    ),
    (ANTHROPIC + MESSAGES, {"api-key": "sk-own-key"}, [(b"x-api-key", ONE.encode())]),
    (ANTHROPIC + MESSAGES, {}, [(b"x-api-key", ONE.encode())]),
    (OPENAI + CHAT, {"authorization": "bearer sk-own-key"}, [(b"authorization", b"Bearer " + ONE.encode())]),
    (OPENAI + CHAT, {"x-api-key": "sk-own-key"}, [(b"Authorization", b"Bearer " + ONE.encode())]),
    (OPENAI + CHAT, {}, [(b"Authorization", b"Bearer " + ONE.encode())]),
    (OPENAI + "/v1/files", {"x-goog-api-key": "sk-own-key"}, [(b"Authorization", b"Bearer " + ONE.encode())]),
]


@pytest.mark.parametrize(("url", "sent", "left"), FORMS)
def test_a_pool_key_takes_the_clients_form_if_the_provider_does(
    http: httpx.Client,
    vendor: VendorThread,
    model: str,
    url: str,
    sent: dict[str, str],
    left: list[tuple[bytes, bytes]],
) -> None:
    http.post(url, headers=sent, content=ask(model))
    assert [carriers(one) for one in vendor.requests] == [left]


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_every_carrier_is_taken_out(http: httpx.Client, vendor: VendorThread, model: str, path: str) -> None:
    own = {
        "authorization": "Bearer sk-own-1",
        "x-api-key": "sk-own-2",
        "api-key": "sk-own-3",
        "x-goog-api-key": "sk-own-4",
    }
    http.post(f"{OPENAI}{path}?a=1&key=sk-own-5&b=%20x", headers=own, content=ask(model))
    (received,) = vendor.requests
    assert carriers(received) == [(b"authorization", b"Bearer " + ONE.encode())]
    assert received.target == f"{path}?a=1&b=%20x"
    assert b"sk-own" not in b"".join(value for _, value in received.headers)


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
@pytest.mark.parametrize(
    "own",
    [
        {"Authorization": "Bearer sk-own-1", "X-API-Key": "sk-own-2"},
        {"x-goog-api-key": "sk-own-1"},
        {"authorization": "Basic c2stb3du"},
        {},
    ],
)
def test_without_a_pool_the_clients_own_stays_as_it_was(
    http: httpx.Client, vendor: VendorThread, own: dict[str, str], path: str
) -> None:
    http.post(f"https://poolless.test{path}?x=&key=sk-own-3", headers=own, content=ask())
    (received,) = vendor.requests
    assert carriers(received) == [(name.encode(), value.encode()) for name, value in own.items()]
    assert received.target == f"{path}?x=&key=sk-own-3"


# -- tokens of a subscription -------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_subscription_is_left_alone(
    http: httpx.Client, vendor: VendorThread, model: str, *, stream: bool
) -> None:
    own = {"authorization": f"Bearer {OAUTH}"}
    good = http.post(ANTHROPIC + MESSAGES, headers=own, content=ask(model, stream=stream))
    rejection = messages_error(
        401, "authentication_error", "OAuth token has expired", (("x-mark", "theirs"),)
    )
    vendor.on(key=OAUTH, path=MESSAGES).reply(rejection)
    bad = http.post(ANTHROPIC + MESSAGES, headers=own, content=ask(model, stream=stream))
    assert good.status_code == 200
    assert (bad.status_code, bad.headers["x-mark"]) == (401, "theirs")
    assert bad.json()["error"]["message"] == "OAuth token has expired"
    assert [one.credential for one in vendor.requests] == [OAUTH, OAUTH]


def test_a_subscription_is_replaced_on_request(http: httpx.Client, vendor: VendorThread, model: str) -> None:
    http.post(
        f"https://replacing.test{MESSAGES}", headers={"authorization": f"Bearer {OAUTH}"}, content=ask(model)
    )
    assert [carriers(one) for one in vendor.requests] == [[(b"x-api-key", ONE.encode())]]


def test_the_sdk_is_served_by_the_pool(proxy: Proxy, vendor: VendorThread) -> None:
    sdk.python("anthropic-current")  # skips before an answer waits for a request that does not come
    vendor.on(key=ONE, path=MESSAGES).reply(messages_error(429, "rate_limit_error", "slow down"))
    result = sdk.run(
        "anthropic-current",
        "anthropic_messages",
        proxy.environment(),
        request={"stream": True, "model": "claude-3-5-haiku-latest"},
    )
    assert (result["error"], result["finish"]) == (None, "end_turn")
    assert [one.credential for one in vendor.requests] == [ONE, TWO]


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_what_connection_lists_strips_no_key(
    proxy: Proxy, vendor: VendorThread, model: str, path: str
) -> None:
    """A proxy before the provider would strip it too, if the header said so: what is listed is not
    forwarded."""
    headers = ("Connection: keep-alive, Authorization, X-Own", "Authorization: Bearer sk-own", "X-Own: 1")
    sent = [part for header in (*headers, "OpenAI-Project: p") for part in ("-H", header)]
    curl(proxy, OPENAI + path, "--http1.1", *sent, "--data-binary", ask(model).decode())
    (received,) = vendor.requests
    gone = [received.header(name) for name in ("connection", "x-own", "openai-project")]
    assert (received.credential, gone) == (ONE, [None, None, None])


def test_a_web_page_does_not_spend_the_pool(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    """As a browser sends it without asking before: a form's content type, an Origin, and no key."""
    headers = ("-H", "Origin: https://page.example", "-H", "Content-Type: text/plain")
    answer = curl(proxy, OPENAI + CHAT, "-w", "%{http_code}", *headers, "--data-binary", ask(model).decode())
    assert answer.stdout.endswith(b"403")
    assert b"[browsers] allow" in answer.stdout
    assert not vendor.requests
    proxy.wait_log("a web page (https://page.example) does not use the proxy's keys")


# -- nothing else changes -----------------------------------------------------------------------------

ODD = [
    ("User-Agent", "odd/1.0 (x; y)"),
    ("anthropic-BETA", "one"),
    ("X-Api-Key", "sk-own-key"),
    ("Anthropic-Beta", "two"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("Cookie", "a=b; c=d"),
    ("Content-Type", "application/json"),
    ("X-Empty", ""),
    ("X-Latin", "caf\xe9"),
]
ODD_BODY = b'{ "model":"gpt-4o" ,"stream":true,\n"unknown":[1.0,1e5,"\\u00e9\xc3\xa9"],"messages":[]}\r\n'


@pytest.mark.parametrize("path", [f"{MESSAGES}?beta=true&x=%2F%20+~", "/v1/files?beta=true&x=%2F%20+~"])
def test_head_and_body_leave_as_they_came(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    """Order, case, repetition, target and every byte of the body."""
    pairs = [(name, value.encode("latin-1").decode("latin-1")) for name, value in ODD]
    request = post(path, "api.anthropic.com", ODD_BODY, pairs)
    with Http1(tunnel(proxy, "api.anthropic.com")) as us:
        us.send(request)
        us.until(b"\r\n\r\n")
        vendor.wait_requests(1)
    (received,) = vendor.requests
    sent = [("Host", urlsplit(vendor.base_url).netloc), *pairs, ("Content-Length", str(len(ODD_BODY)))]
    replaced = [(name, ONE if name == "X-Api-Key" else value) for name, value in sent]
    assert list(received.headers) == [(name.encode(), value.encode()) for name, value in replaced]
    assert received.target == path
    assert received.body == ODD_BODY


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_httpx_cannot_be_distinguished_from_a_direct_call(
    http: httpx.Client, vendor: VendorThread, model: str, path: str
) -> None:
    own = {"authorization": f"Bearer {ONE}", "x-stainless-lang": "python"}
    httpx.post(vendor.base_url + path, headers=own, content=ask(model), trust_env=False)
    http.post(OPENAI + path, headers=own, content=ask(model))
    direct, through = vendor.requests
    assert without_hops(through) == without_hops(direct)
    assert (through.target, through.body) == (direct.target, direct.body)


def without_hops(received: Received) -> list[tuple[bytes, bytes]]:
    """The client's connection to us is another one than ours to the provider."""
    return [pair for pair in received.headers if pair[0].lower() != b"connection"]


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_cannot_be_distinguished_from_a_direct_call(
    proxy: Proxy, vendor: VendorThread, model: str, version: str, path: str
) -> None:
    arguments = (
        "-H",
        f"Authorization: Bearer {ONE}",
        "-H",
        "X-Mixed: Case",
        "--data-binary",
        ask(model).decode(),
    )
    curl(proxy, vendor.base_url + path, "-x", "", "--http1.1", *arguments)
    answer = curl(proxy, OPENAI + path, version, *arguments)
    assert answer.returncode == 0, answer
    direct, through = vendor.requests
    is_h2 = version == "--http2"
    expected = [
        (name.lower() if is_h2 and name != b"Host" else name, value) for name, value in direct.headers
    ]
    got = [(b"Host" if name.lower() == b"host" else name, value) for name, value in through.headers]
    assert sorted(got) == sorted(expected) if is_h2 else got == expected
    assert (through.target, through.body) == (direct.target, direct.body)


def test_http2_pseudo_headers_become_a_head(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    with Http2(proxy, "api.openai.com") as us:
        us.finished(us.post(CHAT, ask(model), {"authorization": "Bearer sk-own-key", "x-a": "1", "x-b": "2"}))
    (received,) = vendor.requests
    names = [name.lower() for name, _ in received.headers]
    assert names == [b"host", b"authorization", b"x-a", b"x-b", b"content-length"]
    assert received.credential == ONE


# -- conversations ------------------------------------------------------------------------------------

CLAUDE = {"user-agent": "claude-cli/2.1.329 (external, cli)", "x-api-key": "sk-own-key"}


def test_a_conversation_stays_where_it_was_served(
    http: httpx.Client, vendor: VendorThread, model: str
) -> None:
    """Also when the key it came from is free again."""
    here, there = {"X-Claude-Code-Session-Id": "here"}, {"X-Claude-Code-Session-Id": "there"}
    wait = messages_error(429, "rate_limit_error", "slow down", (("retry-after", "1"),))
    vendor.on(key=ONE, path=MESSAGES).reply(wait)
    http.post(ANTHROPIC + MESSAGES, headers=CLAUDE | here, content=ask(model))
    # Until ONE serves again, which another conversation finds out.
    while vendor.requests[-1].credential != ONE or len(vendor.requests) < 3:
        http.post(
            ANTHROPIC + MESSAGES,
            headers=CLAUDE | {"X-Claude-Code-Session-Id": f"{len(vendor.requests)}"},
            content=ask(model),
        )
    vendor.requests.clear()
    http.post(ANTHROPIC + MESSAGES, headers=CLAUDE | here, content=ask(model))
    http.post(ANTHROPIC + MESSAGES, headers=CLAUDE | there, content=ask(model))
    http.post(ANTHROPIC + MESSAGES, headers=CLAUDE, content=ask(model))
    http.post(ANTHROPIC + MESSAGES, headers=CLAUDE | here, content=ask(model))
    assert [one.credential for one in vendor.requests] == [TWO, ONE, ONE, TWO]


def test_a_prompt_cache_key_is_a_conversation(http: httpx.Client, vendor: VendorThread, model: str) -> None:
    def call(key: str) -> None:
        http.post(f"https://turns.test{CHAT}", content=ask(model, prompt_cache_key=key))

    for key in ("a", "b", "a", "a", "b", "a"):
        call(key)
    credentials = [one.credential for one in vendor.requests]
    first, second = credentials[:2]
    assert {first, second} == {ONE, TWO}
    assert credentials == [first, second, first, first, second, first]


def test_who_continues_from_an_answer_stays_with_the_key_that_made_it(
    http: httpx.Client, vendor: VendorThread, model: str
) -> None:
    """Though the first key is free again for the other model that is asked."""
    vendor.on(key=ONE, path=RESPONSES).reply(responses_error(429, "rate_limit_exceeded", "slow"))
    vendor.on(key=TWO, path=RESPONSES).reply(
        streamed(responses_stream(["Hi"], model=model, id="resp_theirs"))
    )
    vendor.on(path=RESPONSES).reply(streamed(responses_stream(["Yes"], model=model, id="resp_next")), 2)
    url = OPENAI + RESPONSES
    body = {"model": model, "input": "hi", "stream": True}
    http.post(url, json=body)
    http.post(url, json={**body, "model": f"{model}-other", "previous_response_id": "resp_theirs"})
    http.post(url, json={**body, "model": f"{model}-third", "previous_response_id": "resp_unknown"})
    assert [one.credential for one in vendor.requests] == [ONE, TWO, TWO, ONE]


def test_in_turn_or_one_after_the_other(http: httpx.Client, vendor: VendorThread, model: str) -> None:
    for _ in range(4):
        http.post(f"https://turns.test{CHAT}", content=ask(model))
    turns = [one.credential for one in vendor.requests]
    vendor.requests.clear()
    for _ in range(4):
        http.post(OPENAI + CHAT, content=ask(model))
    assert sorted(turns[:2]) == sorted(turns[2:]) == [ONE, TWO]
    assert turns[0] == turns[2]
    assert [one.credential for one in vendor.requests] == [ONE] * 4


# -- the client's own key, tried again ----------------------------------------------------------------


def test_without_a_pool_a_rejection_goes_back_and_a_fault_is_tried_again(
    http: httpx.Client, vendor: VendorThread
) -> None:
    own = {"authorization": "Bearer sk-own-key"}
    url = f"https://poolless.test{CHAT}"
    vendor.on(key="sk-own-key").reply(
        chat_error(429, "rate_limit_exceeded", "slow down", (("retry-after", "7"),))
    )
    rejected = http.post(url, headers=own, content=ask())
    vendor.on(key="sk-own-key").reply(chat_error(500, "server_error", "oops"))
    served = http.post(url, headers=own, content=ask())
    assert (rejected.status_code, rejected.headers["retry-after"]) == (429, "7")
    assert served.status_code == 200
    assert [one.credential for one in vendor.requests] == ["sk-own-key"] * 3


def test_an_answers_bytes_are_the_providers(http: httpx.Client, vendor: VendorThread, model: str) -> None:
    events = chat_stream(["caf\xe9 ", "\u2028", "b"])
    headers = (
        ("X-Request-ID", "req_1"),
        ("openai-Version", "2020"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    )
    vendor.on(key=ONE, path=CHAT).reply(streamed(events, headers=headers))
    answer = http.post(OPENAI + CHAT, content=ask(model))
    assert answer.content == b"".join(events)
    assert [
        pair for pair in answer.headers.raw if pair[0].lower() not in (b"transfer-encoding", b"content-type")
    ] == [(name.encode(), value.encode()) for name, value in headers]
