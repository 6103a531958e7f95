"""Which key a flow leaves with, and where to, under a config that is read from its text."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tflow

from addons.call.recognition import Interception
from addons.config.settings import known_protocols, load
from addons.credentials.pool import Pool
from addons.mitm.messages import headers_of
from addons.records.journal import Journal
from addons.secrets.redaction import Redactor
from protocols.model.origin import is_origin_form

POOL = "sk-pool-number-one"
OWN = "sk-own-key-of-the-client"
CONFIG = """
[providers.openai]
credentials = [{ name = "one", key = "env:ONE" }]
[providers.azure]
hosts = ["mine.openai.azure.com", "odd.openai.azure.com:8443"]
credentials = [{ name = "one", key = "env:ONE" }]
"""
CHAT = "/v1/chat/completions"

type Configure = Callable[[str], Interception]


def made(folder: Path, text: str) -> Interception:
    path = folder / "rotator.toml"
    path.write_text(text)
    redactor = Redactor()
    pool = Pool(lambda: 0.0, lambda _: None)
    interception = Interception(known_protocols(), pool, Journal(redactor), redactor)
    interception.configure(load(str(path), {"ONE": POOL}, folder))
    return interception


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    return partial(made, tmp_path)


@pytest.fixture
def interception(configure: Configure) -> Interception:
    return configure(CONFIG)


def flow_of(url: str, method: str = "POST", **headers: str) -> http.HTTPFlow:
    """A flow of HTTP/1.1; `_` in the names of headers stands for `-`."""
    flow = tflow.tflow()
    flow.request = http.Request.make(method, url)
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"Host": flow.request.host, **pairs}
    flow.request.headers = http.Headers([(name.encode(), value.encode()) for name, value in fields.items()])
    return flow


def leaves(interception: Interception, flow: http.HTTPFlow) -> http.Request:
    """The head of a passed-through flow as it leaves."""
    intercepted = interception.admit(flow)
    assert intercepted is not None
    return interception.forwarding(flow, intercepted).head(flow.request.copy())


def sent_key(request: http.Request) -> str:
    return str(request.headers.get("authorization", "")).removeprefix("Bearer ")


@pytest.mark.parametrize("url", ["http://mine.openai.azure.com", "https://mine.openai.azure.com:8080"])
def test_a_pool_key_goes_to_an_exact_host_over_tls(interception: Interception, url: str) -> None:
    """Neither the scheme nor the port that a client names decides where the pool's key goes."""
    flow = flow_of(f"{url}/openai/deployments/d/files", api_key=OWN)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    forwarding = interception.forwarding(flow, intercepted)
    assert (forwarding.address, forwarding.tls) == (("mine.openai.azure.com", 443), True)
    assert forwarding.head(flow.request.copy()).headers["api-key"] == POOL


def test_a_port_of_an_exact_host_is_its_own(interception: Interception) -> None:
    intercepted = interception.admit(flow_of(f"https://odd.openai.azure.com:8443{CHAT}", api_key=OWN))
    assert intercepted is not None
    assert (intercepted.pooled, intercepted.origin.address) == (True, ("odd.openai.azure.com", 8443))
    assert interception.admit(flow_of(f"http://odd.openai.azure.com:80{CHAT}", api_key=OWN)) is None


def test_a_client_s_own_key_goes_where_the_client_sent_it(configure: Configure) -> None:
    flow = flow_of("http://mine.openai.azure.com:8080/x", api_key=OWN)
    intercepted = configure("").admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, intercepted.origin.url(b"/x")) == (
        False,
        "http://mine.openai.azure.com:8080/x",
    )


def test_a_flow_keeps_no_key(interception: Interception) -> None:
    flow = flow_of("https://api.openai.com/v1/files?a=1", authorization=f"Bearer {OWN}")
    assert sent_key(leaves(interception, flow)) == POOL
    assert [name for name, _ in headers_of(flow.request)] == ["Host"]


@pytest.mark.parametrize("listed", ["Authorization", "keep-alive, authorization, host"])
def test_connection_strips_no_key(interception: Interception, listed: str) -> None:
    flow = flow_of("https://api.openai.com/v1/files", connection=listed, authorization=f"Bearer {OWN}")
    sent = leaves(interception, flow)
    assert (sent_key(sent), sent.headers["host"]) == (POOL, "api.openai.com")
    assert "connection" not in sent.headers


def test_a_password_for_a_proxy_ends_here(interception: Interception) -> None:
    flow = flow_of("https://api.openai.com/v1/files", Proxy_Authorization="Basic eDp5", a="1")
    sent = leaves(interception, flow)
    assert [name for name, _ in headers_of(sent)] == ["Host", "a"]
    assert [name for name, _ in headers_of(flow.request)] == ["Host", "a"]


@pytest.mark.parametrize(("path", "kept"), [("/v1/files", False), ("/v1/organization/x", True)])
def test_an_account_of_the_client_s_goes_beside_its_own_key_alone(
    interception: Interception, path: str, *, kept: bool
) -> None:
    accounts = {"OpenAI_Organization": "org-1", "openai_project": "p", "X_Goog_User_Project": "g"}
    flow = flow_of(f"https://api.openai.com{path}", **accounts, authorization=f"Bearer {OWN}")
    sent = leaves(interception, flow)
    names = ["Host", "OpenAI-Organization", "openai-project", "X-Goog-User-Project", "authorization"]
    assert [name for name, _ in headers_of(sent)] == (names if kept else ["Host", "authorization"])
    assert sent_key(sent) == (OWN if kept else POOL)


def test_a_key_keeps_its_place_among_what_goes_on(interception: Interception) -> None:
    flow = flow_of(
        "https://api.openai.com/v1/files", connection="keep-alive", authorization=f"Bearer {OWN}", a="1"
    )
    assert [name for name, _ in headers_of(leaves(interception, flow))] == ["Host", "authorization", "a"]


def test_a_replay_takes_no_key_to_another_provider(interception: Interception) -> None:
    """Though the flow that a person edits still carries the fingerprint of a key that is remembered."""
    flow = flow_of("https://api.openai.com/v1/organization/x", authorization=f"Bearer {OWN}")
    interception.admit(flow)
    flow.request.host = "api.groq.com"
    flow.request.headers["Host"] = "api.groq.com"
    again = interception.admit(flow)
    assert again is not None
    assert (again.provider.name, again.own) == ("groq", None)


@pytest.mark.parametrize(
    ("value", "path", "sent"),
    [
        ("Bearer sk-typed-by-the-user", "/v1/files", f"Bearer {POOL}"),
        ("Bearer sk-typed-by-the-user", "/v1/organization/x", "Bearer sk-typed-by-the-user"),
        ("Basic dXNlcjpwYXNzd29yZA==", "/v1/files", "Basic dXNlcjpwYXNzd29yZA=="),
    ],
)
def test_a_key_that_is_written_later_takes_the_place_of_the_client_s(
    interception: Interception, value: str, path: str, sent: str
) -> None:
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    interception.admit(flow)
    flow.request.headers["Authorization"] = value
    intercepted = interception.leaving(flow)
    assert intercepted is not None
    head = interception.forwarding(flow, intercepted).head(flow.request.copy())
    assert head.headers.get_all("authorization") == [sent]
    assert "authorization" not in flow.request.headers


def test_so_it_does_where_the_flow_goes_to_another_provider(interception: Interception) -> None:
    flow = flow_of("https://api.openai.com/v1/files", authorization=f"Bearer {OWN}")
    interception.admit(flow)
    flow.request.host, flow.request.headers["Host"] = "api.groq.com", "api.groq.com"
    moved = interception.leaving(flow)
    flow.request.headers["Authorization"] = "Bearer gsk_typed"
    typed = interception.leaving(flow)
    assert moved is not None
    assert typed is not None
    assert typed.own is not None
    assert (moved.own, typed.own.secret.get_secret_value()) == (None, "gsk_typed")


# -- web pages ----------------------------------------------------------------------------------------

PAGE = "https://page.example"
ALLOWING = CONFIG + f'[browsers]\nallow = ["{PAGE}"]\n'
CHAT_URL, FILES_URL = f"https://api.openai.com{CHAT}", "https://api.openai.com/v1/files"
FROM_A_PAGE = [
    {"origin": PAGE},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"sec_fetch_site": "cross-site"},
]


@pytest.mark.parametrize("headers", FROM_A_PAGE)
def test_a_page_without_a_key_is_refused(interception: Interception, headers: dict[str, str]) -> None:
    flow = flow_of(CHAT_URL, **headers)
    interception.admit(flow)
    answer = interception.refusal(flow)
    assert answer is not None
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "[browsers] allow" in answer.json()["error"]["message"]


@pytest.mark.parametrize("headers", FROM_A_PAGE)
@pytest.mark.parametrize("url", [CHAT_URL, FILES_URL])
def test_a_page_with_a_key_keeps_it(interception: Interception, headers: dict[str, str], url: str) -> None:
    """It can make one up."""
    flow = flow_of(url, authorization=f"Bearer {OWN}", **headers)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.refusal(flow)) == (False, None)


@pytest.mark.parametrize("headers", [{}, {"origin": PAGE.upper()}, {"origin": "https://api.openai.com"}])
@pytest.mark.parametrize("keys", [{}, {"authorization": f"Bearer {OWN}"}])
def test_who_may_use_the_pool(configure: Configure, headers: dict[str, str], keys: dict[str, str]) -> None:
    interception = configure(ALLOWING)
    flow = flow_of(CHAT_URL, **headers, **keys)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.refusal(flow)) == (True, None)


@pytest.mark.parametrize(("url", "method"), [(CHAT_URL, "OPTIONS"), (FILES_URL, "GET")])
def test_what_spends_nothing_is_the_provider_s_to_judge(
    interception: Interception, url: str, method: str
) -> None:
    """A preflight never carries a credential; the provider says what pages may do."""
    flow = flow_of(url, method, origin=PAGE)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.refusal(flow)) == (False, None)


def test_without_a_pool_nothing_is_refused(configure: Configure) -> None:
    interception = configure("")
    flow = flow_of(CHAT_URL, origin=PAGE)
    interception.admit(flow)
    assert interception.refusal(flow) is None


def test_a_page_is_named_once(interception: Interception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        interception.admit(flow_of(FILES_URL, authorization=f"Bearer {OWN}", origin=PAGE))
    assert [PAGE in line for line in caplog.messages] == [True]


# -- keys and paths of another kind -------------------------------------------------------------------

ADMINISTRATION = [
    "/v1/organization/users",
    "/v1/Organization/users/",
    "/v1/projects",
    "/v1/projects/p/users/u/roles",
    "/v1/fine_tuning/checkpoints/ft:gpt:org::id/permissions",
    "/v1/fine_tuning/checkpoints/ft%3Agpt/permissions/cp_1",
    "/v1//files",
    "/v1/x/../organization/users",
    "/v1/%6frganization/users",
    "/v1/files%2f..%2forganization",
]


@pytest.mark.parametrize("path", ADMINISTRATION)
def test_the_client_s_own_affairs_keep_its_key(interception: Interception, path: str) -> None:
    """And so does a path that a server may read as another one."""
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    sent = leaves(interception, flow)
    assert (sent_key(sent), sent.path) == (OWN, path)


@pytest.mark.parametrize(
    "path", ["/v1/organization/projects%3f", "/v1/projects;", "/v1/x/%2e%2e/projects%00"]
)
def test_a_call_s_path_that_may_be_the_client_s_own_affair_gets_no_key(
    interception: Interception, path: str
) -> None:
    intercepted = interception.admit(flow_of(f"https://api.openai.com{path}/chat/completions"))
    assert intercepted is not None
    assert (intercepted.operation is not None, intercepted.pooled) == (True, False)


@pytest.mark.parametrize("path", ["/v1", "/", "/v1/a%2fb", "/v1/projects/p"])
def test_any_other_call_gets_one(interception: Interception, path: str) -> None:
    intercepted = interception.admit(flow_of(f"https://api.openai.com{path}/chat/completions"))
    assert intercepted is not None
    assert intercepted.pooled


@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/a%20b/content", "/v1/fine_tuning/jobs/x"])
def test_what_belongs_to_the_account_gets_the_pool_s(interception: Interception, path: str) -> None:
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    assert sent_key(leaves(interception, flow)) == POOL


@pytest.mark.parametrize("key", ["sk-admin-abc", "ek_abc", "sess-abc", "sk-ant-admin01-abc"])
@pytest.mark.parametrize("path", [CHAT, "/v1/files", "/v1/realtime/calls"])
def test_a_key_of_another_kind_is_left_alone(configure: Configure, key: str, path: str) -> None:
    interception = configure(CONFIG.replace("[providers.openai]", "[providers.openai]\nreplace_oauth = true"))
    intercepted = interception.admit(flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {key}"))
    assert intercepted is not None
    assert not intercepted.pooled


@pytest.mark.parametrize("query", ["key", "KEY", "api-key", "%6bey"])
def test_a_key_in_a_query_is_replaced_however_it_is_named(interception: Interception, query: str) -> None:
    flow = flow_of(f"https://api.openai.com/v1/files?{query}={OWN}&a=1")
    sent = leaves(interception, flow)
    assert (sent.path, sent_key(sent), flow.request.path) == ("/v1/files?a=1", POOL, "/v1/files?a=1")


def test_nothing_stays_in_a_flow_whose_host_is_refused(interception: Interception) -> None:
    flow = flow_of(
        f"https://api.openai.com/v1/files?key={OWN}", authorization=OWN, x_api_key=OWN, cookie=f"a={OWN}"
    )
    flow.request.headers["Host"] = "x@api.openai.com"
    interception.admit(flow)
    assert interception.refusal(flow)
    assert OWN not in repr(flow.get_state())


# -- where a request goes -----------------------------------------------------------------------------

_ODD = [
    "/",
    "//",
    "@",
    ":",
    ".",
    "..",
    "#",
    "?",
    "%2f",
    "\\",
    "*",
    " ",
    "\r\n",
    "a",
    "v1",
    "evil.test",
    "https://",
]
_TEXTS = st.lists(st.sampled_from(_ODD), max_size=6).map("".join)
_PATHS = st.one_of(_TEXTS, _TEXTS.map(CHAT.__add__), _TEXTS.map(lambda text: text + CHAT))
_HOSTS = st.sampled_from(["api.openai.com", "mine.openai.azure.com", "api.x.githubcopilot.com"])


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Interception:
    return made(tmp_path_factory.mktemp("lasting"), CONFIG)


@given(host=_HOSTS, before=_TEXTS, path=_PATHS)
def test_no_host_and_no_path_sends_a_key_elsewhere(
    lasting: Interception, host: str, before: str, path: str
) -> None:
    flow = flow_of("https://api.openai.com/", authorization=f"Bearer {OWN}", api_key=OWN)
    flow.request.headers["Host"] = before + host
    flow.request.path = path
    intercepted = lasting.admit(flow)
    assert intercepted is not None
    if lasting.refusal(flow) is None:
        forwarding = lasting.forwarding(flow, intercepted)
        called, port = forwarding.address
        assert (forwarding.tls, port, is_origin_form(flow.request.data.path)) == (True, 443, True)
        assert called in {"api.openai.com", "mine.openai.azure.com"} or (
            called.endswith(".githubcopilot.com") and not intercepted.pooled
        )
