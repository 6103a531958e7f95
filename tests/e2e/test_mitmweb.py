"""A mitmweb whose user looks, holds, edits and kills, between real clients (curl, HTTP/2, WebSockets) and a
provider that echoes: no key goes astray, and none is shown."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket, from_provider
from tests.e2e.talk import PATIENCE, Http1, Http2, ask, curl, post, tunnel
from tests.vendor import (
    Raw,
    Send,
    Upgrade,
    VendorThread,
    WaitFor,
    chat_stream,
    streamed,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.azure]
hosts = ["mine.azure.test"]
credentials = [{{ name = "one", key = "env:ONE" }}]
[retry]
deadline = 0.5
"""
ONE, OWN = "sk-pool/number-one+1", "sk-own-key-of-the-client"
ESCAPED, QUOTED = ONE.replace("/", "\\/"), "sk-pool%2Fnumber-one%2B1"
FORMS = (ONE, ESCAPED, QUOTED)
CHAT, FILES, REALTIME, ECHO = "/v1/chat/completions", "/v1/files", "/v1/realtime", "/v1/echo"
HOST = "api.openai.com"
AUTH = {"authorization": f"Bearer {OWN}"}
BY_CURL = ("--data-binary", ask().decode(), "-o", "/dev/null", "-w", "%{http_code}")
WITH_KEY = ("-H", f"authorization: Bearer {OWN}")
TEXT = chat_stream(["Hello", " there"])
STARS = "*" * len(ONE)


class Web:
    """What the page of mitmweb asks of its server."""

    def __init__(self, port: int, password: str) -> None:
        base_url = f"http://127.0.0.1:{port}"
        token = "0" * 32  # a forged request could not send it twice, in a cookie and in a header
        headers = {"authorization": f"Bearer {password}", "x-xsrftoken": token}
        cookies = {"_xsrf": token, "_mitmproxy_xsrf": token}  # its name up to mitmproxy 12.1, and since
        self._http = httpx.Client(base_url=base_url, headers=headers, cookies=cookies, trust_env=False)

    def text(self, path: str) -> str:
        answer = self._http.get(path)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._http.get("/flows").json()
        return found

    def everything(self) -> str:
        """All that is shown of any flow, and what was logged."""
        shown = [self.text("/flows"), self.text("/flows/dump"), self.text("/events")]
        for flow in self.flows():
            for part in ("request", "response"):
                if (flow.get(part) or {}).get("contentLength") is None:
                    continue  # what is streamed is not shown, or not yet
                place = f"/flows/{flow['id']}/{part}"
                shown += [self.text(f"{place}/content.data"), self.text(f"{place}/content/auto")]
            if flow.get("websocket"):
                shown.append(self.text(f"/flows/{flow['id']}/messages/content/auto"))
        return "\n".join(shown)

    def held(self) -> str:
        """The place of the flow that is intercepted, once one is."""
        end = time.monotonic() + PATIENCE
        while not (found := [flow["id"] for flow in self.flows() if flow["intercepted"]]):
            assert time.monotonic() < end, "nothing was intercepted"
        return f"/flows/{found[0]}"

    def edit(self, place: str, **request: object) -> None:
        answer = self._http.put(place, json={"request": request})
        assert answer.status_code == 200, (place, answer.text)

    def post(self, path: str) -> None:
        answer = self._http.post(path)
        assert answer.status_code == 200, (path, answer.text)

    def command(self, name: str, *arguments: str) -> Any:
        """What a command of the command bar answers."""
        return self._http.post(f"/commands/{name}", json={"arguments": arguments}).json()

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[VendorThread]:
    """A server of no provider."""
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def web_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, web_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    options = (
        *("--web-port", str(web_port), "--no-web-open-browser", "--set", "web_password=the-word", "-v"),
        *("--set", "intercept=~q & ~u held"),
    )
    folder, config = tmp_path_factory.mktemp("mitmweb"), CONFIG.format(url=vendor.base_url)
    with Proxy(folder, config, keys={"ONE": ONE}, options=options, program="mitmweb") as running:
        yield running


@pytest.fixture(scope="module")
def web(proxy: Proxy, web_port: int) -> Iterator[Web]:
    """Nothing that it has shown after all tests, and nothing that was logged, has a key in it."""
    page = Web(web_port, "the-word")
    yield page
    shown = page.everything()
    page.close()
    for text in (shown, proxy.log):
        assert [word for word in (*FORMS, OWN, "Traceback", "crashed") if word in text] == []


@pytest.fixture(autouse=True)
def _nobody_was_asked(web: Web, vendor: VendorThread, elsewhere: VendorThread) -> None:
    vendor.requests.clear()
    elsewhere.requests.clear()


def received(vendor: VendorThread) -> list[tuple[str, str]]:
    return [(one.target, one.credential) for one in vendor.requests]


# -- where a key goes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["@127.0.0.1:{}", ":x@127.0.0.1:{}/..", ".evil.test", "http://127.0.0.1:{}", "#@127.0.0.1:{}/"]
)
def test_no_target_takes_a_key_elsewhere(
    proxy: Proxy, vendor: VendorThread, elsewhere: VendorThread, target: str
) -> None:
    target = target.format(elsewhere.port)
    for path in (CHAT, FILES):
        with Http2(proxy, HOST) as us:
            answer = us.finished(us.post(target + path, ask(), AUTH))
        assert answer.headers[b":status"] == b"400"
        for version in ("--http1.1", "--http2"):
            sent = ("--request-target", target + path, version, *WITH_KEY, *BY_CURL)
            assert curl(proxy, f"https://{HOST}/", *sent).stdout == b"400"
    assert vendor.requests == elsewhere.requests == []


@pytest.mark.parametrize("host", ["x@127.0.0.1:{}", "127.0.0.1:{}#", "127.0.0.1:{}/?.openai.com"])
def test_no_host_header_takes_a_key_elsewhere(
    proxy: Proxy, vendor: VendorThread, elsewhere: VendorThread, host: str
) -> None:
    sent = ("-H", f"Host: {host.format(elsewhere.port)}", "--http1.1", *WITH_KEY, *BY_CURL)
    assert curl(proxy, f"https://{HOST}{CHAT}", *sent).stdout == b"400"
    assert vendor.requests == elsewhere.requests == []


def test_a_provider_without_a_base_url_gets_its_key_at_its_hosts_alone(
    proxy: Proxy, elsewhere: VendorThread
) -> None:
    for path in (CHAT, FILES):
        sent = ("-H", "Host: mine.azure.test", *WITH_KEY, *BY_CURL)
        curl(proxy, f"http://127.0.0.1:{elsewhere.port}/openai{path}", *sent)
    assert ONE not in repr(elsewhere.requests)


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_what_is_the_client_s_own_affair_keeps_its_key(
    proxy: Proxy, vendor: VendorThread, version: str
) -> None:
    """However the path and the query are written, and whatever `Connection` lists."""
    for path in ("/v1/%6frganization/users", "/v1//files", "/v1/Projects/p/users"):
        sent = ("--path-as-is", version, *WITH_KEY, *BY_CURL)
        curl(proxy, f"https://{HOST}{path}", *sent)
    assert [credential for _, credential in received(vendor)] == [OWN] * 3
    vendor.requests.clear()
    for query in ("?KEY=", "?api-key=", "?%6bey="):
        curl(proxy, f"https://{HOST}{FILES}{query}{OWN}", version, *BY_CURL)
    listed = ("--http1.1", "-H", "Connection: keep-alive, Authorization", *WITH_KEY, *BY_CURL)
    curl(proxy, f"https://{HOST}{FILES}", *listed)
    assert received(vendor) == [(FILES, ONE)] * 4


def test_a_web_page_spends_nothing(proxy: Proxy, vendor: VendorThread) -> None:
    page = ("-H", "Origin: https://page.test")
    for version in ("--http1.1", "--http2"):
        assert curl(proxy, f"https://{HOST}{CHAT}", version, *page, *BY_CURL).stdout == b"403"
    upgrade = [f"Sec-WebSocket-Key: {'A' * 22}==", "Sec-WebSocket-Version: 13", "Upgrade: websocket"]
    headers = [part for one in (*upgrade, "Connection: Upgrade") for part in ("-H", one)]
    sent = (*headers, *page, "--http1.1", "-o", "/dev/null", "-w", "%{http_code}")
    assert curl(proxy, f"https://{HOST}{REALTIME}", *sent).stdout == b"403"
    assert vendor.requests == []


# -- echoes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path", [CHAT, ECHO])
def test_an_echo_reaches_no_client(proxy: Proxy, vendor: VendorThread, path: str, version: str) -> None:
    head = f"HTTP/1.1 400 is {ONE}\r\nx-{ONE.replace('/', '-')}: 1\r\nx-you: {QUOTED}\r\n\r\n"
    vendor.on(path=path).reply(Raw((Send(head.encode() + f"{ONE} {ESCAPED} {QUOTED}".encode()),)))
    answer = curl(proxy, f"https://{HOST}{path}", version, "-i", *WITH_KEY, "--data-binary", ask().decode())
    assert b" 400" in answer.stdout
    assert [form for form in FORMS if form.encode() in answer.stdout] == []
    assert STARS.encode() in answer.stdout


def test_an_echo_in_a_websocket_reaches_no_client(proxy: Proxy, vendor: VendorThread) -> None:
    events = (TextMessage(f"you are {ESCAPED}"), BytesMessage(ONE.encode()), CloseConnection(4000, ONE))
    vendor.on(path=REALTIME).reply(Upgrade(said=from_provider(*events)))
    with WebSocket(proxy, HOST, REALTIME, key=OWN) as us:
        assert us.text() == "you are " + "*" * len(ESCAPED)
        assert us.next() == BytesMessage(bytearray(STARS.encode()))
        assert us.next() == CloseConnection(4000, STARS)


# -- the user at the page ---------------------------------------------------------------------------------


def test_a_live_stream_is_shown_and_replayed_without_a_key(
    proxy: Proxy, web: Web, vendor: VendorThread
) -> None:
    vendor.on(path=CHAT).reply(streamed(TEXT[:2], WaitFor("web"), *map(Send, TEXT[2:])))
    with Http1(tunnel(proxy, HOST)) as us:
        us.send(post(f"{CHAT}?live", HOST, ask("gpt-4o-web"), list(AUTH.items())))
        us.until(b"Hello")
        (flow,) = [one for one in web.flows() if one["request"]["path"].endswith("?live")]
        live = web.everything()
        vendor.release("web")
        us.until(b"[DONE]")
    vendor.on(path=CHAT).reply(streamed(TEXT))
    ended = proxy.wait_log("end=completed").count("end=completed")
    web.post(f"/flows/{flow['id']}/replay")
    proxy.wait_log("end=completed", count=ended + 1)
    assert "Hello" in web.everything()
    assert "gpt-4o-web" in live
    assert [form for form in (*FORMS, OWN) if form in live] == []
    assert [credential for _, credential in received(vendor)] == [ONE, ONE]


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_the_user_edits_is_what_leaves(proxy: Proxy, web: Web, vendor: VendorThread, path: str) -> None:
    vendor.on(path=path).reply(streamed(TEXT))
    with Http1(tunnel(proxy, HOST)) as us:
        us.send(post(f"{path}?held", HOST, ask("gpt-before"), list(AUTH.items())))
        place = web.held()
        shown = web.everything()
        web.edit(place, content=ask("gpt-after").decode(), headers=[["Host", HOST], ["x-typed", "1"]])
        web.post(f"{place}/resume")
        us.until(b"[DONE]")
    (asked,) = vendor.requests
    assert (asked.credential, asked.json()["model"], asked.header("x-typed")) == (ONE, "gpt-after", "1")
    assert OWN not in shown


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_an_edit_takes_no_key_elsewhere(
    proxy: Proxy, web: Web, vendor: VendorThread, elsewhere: VendorThread, path: str
) -> None:
    """Neither by the path nor by the host, to which the request does go."""
    moves: list[dict[str, object]] = [
        {"path": f"@127.0.0.1:{elsewhere.port}{path}"},
        {"host": "127.0.0.1", "port": elsewhere.port, "scheme": "http"},
    ]
    answers = []
    for move in moves:
        with Http1(tunnel(proxy, HOST)) as us:
            us.send(post(f"{path}?held", HOST, ask(), [*AUTH.items(), ("Connection", "close")]))
            place = web.held()
            web.edit(place, **move)
            web.post(f"{place}/resume")
            answers.append(us.rest()[:12])
    assert answers[0] == b"HTTP/1.1 400"
    assert vendor.requests == []
    assert received(elsewhere) == [(f"{path}?held", "")]
    assert [key for key in (ONE, OWN) if key in repr(elsewhere.requests)] == []


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_a_replay_goes_where_the_user_sends_it(
    proxy: Proxy, web: Web, vendor: VendorThread, elsewhere: VendorThread, path: str
) -> None:
    """Though the flow went to a provider before, on a key of the pool."""
    vendor.on(path=path).reply(streamed(TEXT))
    assert curl(proxy, f"https://{HOST}{path}?moved", *BY_CURL, *WITH_KEY).stdout == b"200"
    (flow,) = [one for one in web.flows() if one["request"]["path"] == f"{path}?moved"]
    authority = f"127.0.0.1:{elsewhere.port}"
    web.edit(f"/flows/{flow['id']}", host="127.0.0.1", port=elsewhere.port, scheme="http")
    web.edit(f"/flows/{flow['id']}", headers=[["Host", authority], ["Authorization", "Bearer typed"]])
    web.post(f"/flows/{flow['id']}/replay")
    elsewhere.wait_requests(1)
    assert received(elsewhere) == [(f"{path}?moved", "typed")]
    assert received(vendor) == [(f"{path}?moved", ONE)]


@pytest.mark.parametrize("path", [CHAT, FILES])
def test_what_the_user_kills_asks_nobody(proxy: Proxy, web: Web, vendor: VendorThread, path: str) -> None:
    with Http1(tunnel(proxy, HOST)) as us:
        us.send(post(f"{path}?held", HOST, ask(), list(AUTH.items())))
        web.post(f"{web.held()}/kill")
        us.rest()
    assert vendor.requests == []
