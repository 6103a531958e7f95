"""Which key a flow is forwarded with, and where to."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.mitm.messages import headers_of
from protocols.model.http import is_origin_form
from tests.addons.call.heads import CHAT, CONFIG, OWN, POOL, Edge, flow_of, sent_key, settings_of
from tests.addons.call.heads import edge as made


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return made(tmp_path, CONFIG)


@pytest.mark.parametrize("url", ["http://mine.openai.azure.com", "https://mine.openai.azure.com:8080"])
def test_a_pool_key_goes_to_an_exact_host_over_tls(edge: Edge, url: str) -> None:
    """Neither the scheme nor the port that a client names decides where the pool's key goes."""
    flow = flow_of(f"{url}/openai/deployments/d/files", api_key=OWN)
    intercepted = edge.interception.admit(flow)
    assert intercepted is not None
    forwarding = edge.forwarder.forwarding(flow, intercepted)
    assert (forwarding.address, forwarding.tls) == (("mine.openai.azure.com", 443), True)
    assert forwarding.head(flow.request.copy()).headers["api-key"] == POOL


def test_a_flow_keeps_no_key(edge: Edge) -> None:
    flow = flow_of("https://api.openai.com/v1/files?a=1", authorization=f"Bearer {OWN}")
    assert sent_key(edge.leaves(flow)) == POOL
    assert [name for name, _ in headers_of(flow.request)] == ["Host"]


@pytest.mark.parametrize(
    "config", ["", '[providers.anthropic]\ncredentials = [{ name = "one", key = "env:ONE" }]\n']
)
def test_the_key_that_a_flow_left_with_is_hidden(edge: Edge, tmp_path: Path, config: str) -> None:
    """Though the config has no such key any more, when what is to be searched for it begins."""
    flow = flow_of("https://api.openai.com/v1/realtime", "GET", authorization=f"Bearer {OWN}")
    assert edge.forwarder.hidden(flow) == []
    edge.leaves(flow)
    edge.interception.configure(settings_of(tmp_path, config))
    assert [secret.get_secret_value() for secret in edge.forwarder.hidden(flow)] == [POOL]


def test_a_client_s_own_key_is_not_hidden_from_it(edge: Edge) -> None:
    flow = flow_of("https://api.openai.com/v1/organization/x", "GET", authorization=f"Bearer {OWN}")
    edge.leaves(flow)
    assert edge.forwarder.hidden(flow) == []


@pytest.mark.parametrize("listed", ["Authorization", "keep-alive, authorization, host"])
def test_connection_strips_no_key(edge: Edge, listed: str) -> None:
    flow = flow_of("https://api.openai.com/v1/files", connection=listed, authorization=f"Bearer {OWN}")
    sent = edge.leaves(flow)
    assert (sent_key(sent), sent.headers["host"]) == (POOL, "api.openai.com")
    assert "connection" not in sent.headers


def test_a_password_for_a_proxy_ends_here(edge: Edge) -> None:
    flow = flow_of("https://api.openai.com/v1/files", Proxy_Authorization="Basic eDp5", a="1")
    sent = edge.leaves(flow)
    assert [name for name, _ in headers_of(sent)] == ["Host", "a"]
    assert [name for name, _ in headers_of(flow.request)] == ["Host", "a"]


@pytest.mark.parametrize(("path", "kept"), [("/v1/files", False), ("/v1/organization/x", True)])
def test_an_account_of_the_client_s_goes_beside_its_own_key_alone(
    edge: Edge, path: str, *, kept: bool
) -> None:
    accounts = {"OpenAI_Organization": "org-1", "openai_project": "p", "X_Goog_User_Project": "g"}
    flow = flow_of(f"https://api.openai.com{path}", **accounts, authorization=f"Bearer {OWN}")
    sent = edge.leaves(flow)
    names = ["Host", "OpenAI-Organization", "openai-project", "X-Goog-User-Project", "authorization"]
    assert [name for name, _ in headers_of(sent)] == (names if kept else ["Host", "authorization"])
    assert sent_key(sent) == (OWN if kept else POOL)


def test_a_key_keeps_its_place_among_what_is_forwarded(edge: Edge) -> None:
    flow = flow_of(
        "https://api.openai.com/v1/files", connection="keep-alive", authorization=f"Bearer {OWN}", a="1"
    )
    assert [name for name, _ in headers_of(edge.leaves(flow))] == ["Host", "authorization", "a"]


@pytest.mark.parametrize(
    ("value", "path", "sent"),
    [
        ("Bearer sk-typed-by-the-user", "/v1/files", f"Bearer {POOL}"),
        ("Bearer sk-typed-by-the-user", "/v1/organization/x", "Bearer sk-typed-by-the-user"),
        ("Basic dXNlcjpwYXNzd29yZA==", "/v1/files", "Basic dXNlcjpwYXNzd29yZA=="),
    ],
)
def test_a_key_that_is_written_later_takes_the_place_of_the_client_s(
    edge: Edge, value: str, path: str, sent: str
) -> None:
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    edge.interception.admit(flow)
    flow.request.headers["Authorization"] = value
    intercepted = edge.interception.leaving(flow)
    assert intercepted is not None
    head = edge.forwarder.forwarding(flow, intercepted).head(flow.request.copy())
    assert head.headers.get_all("authorization") == [sent]
    assert "authorization" not in flow.request.headers


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
def test_the_client_s_own_affairs_keep_its_key(edge: Edge, path: str) -> None:
    """And so does a path that a server may read as another one."""
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    sent = edge.leaves(flow)
    assert (sent_key(sent), sent.path) == (OWN, path)


@pytest.mark.parametrize("path", ["/v1/files", "/v1/files/a%20b/content", "/v1/fine_tuning/jobs/x"])
def test_what_belongs_to_the_account_gets_the_pool_s(edge: Edge, path: str) -> None:
    flow = flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {OWN}")
    assert sent_key(edge.leaves(flow)) == POOL


@pytest.mark.parametrize("query", ["key", "KEY", "api-key", "%6bey"])
def test_a_key_in_a_query_is_replaced_however_it_is_named(edge: Edge, query: str) -> None:
    flow = flow_of(f"https://api.openai.com/v1/files?{query}={OWN}&a=1")
    sent = edge.leaves(flow)
    assert (sent.path, sent_key(sent), flow.request.path) == ("/v1/files?a=1", POOL, "/v1/files?a=1")


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
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Edge:
    return made(tmp_path_factory.mktemp("lasting"), CONFIG)


@given(host=_HOSTS, before=_TEXTS, path=_PATHS)
def test_no_host_and_no_path_sends_a_key_elsewhere(lasting: Edge, host: str, before: str, path: str) -> None:
    flow = flow_of("https://api.openai.com/", authorization=f"Bearer {OWN}", api_key=OWN)
    flow.request.headers["Host"] = before + host
    flow.request.path = path
    intercepted = lasting.interception.admit(flow)
    assert intercepted is not None
    if lasting.interception.error_response(flow) is None:
        forwarding = lasting.forwarder.forwarding(flow, intercepted)
        called, port = forwarding.address
        assert (forwarding.tls, port, is_origin_form(flow.request.data.path)) == (True, 443, True)
        assert called in {"api.openai.com", "mine.openai.azure.com"} or (
            called.endswith(".githubcopilot.com") and not intercepted.pooled
        )
