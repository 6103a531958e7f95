"""Which flows are a provider's, and what is known of them before they leave."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy import http

from addons.call import recognition
from addons.call.recognition import UNNAMED, Interception, Unadmitted, ascii_host, page_of
from rewrite.catalog import hosts
from rewrite.catalog.providers import Provider
from tests.addons.call.heads import CHAT, CONFIG, OWN, edge, flow_of, settings_of

type Configure = Callable[[str], Interception]


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    return lambda text: edge(tmp_path, text).interception


@pytest.fixture
def interception(configure: Configure) -> Interception:
    return configure(CONFIG)


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


def test_a_replay_takes_no_key_to_another_provider(interception: Interception) -> None:
    """Though the flow that a person edits still carries the fingerprint of a key that is remembered."""
    flow = flow_of("https://api.openai.com/v1/organization/x", authorization=f"Bearer {OWN}")
    interception.admit(flow)
    flow.request.host = "api.groq.com"
    flow.request.headers["Host"] = "api.groq.com"
    again = interception.admit(flow)
    assert again is not None
    assert (again.provider.name, again.own) == ("groq", None)


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


def test_a_replay_that_is_moved_to_nobody_s_host_is_nobody_s(interception: Interception) -> None:
    """It leaves as it is for where it is going, and not for where it went before."""
    flow = flow_of("https://api.openai.com/v1/files", authorization=f"Bearer {OWN}")
    interception.admit(flow)
    assert interception.error_response(flow) is None
    flow.request.host = flow.request.headers["Host"] = "other.example"
    flow.request.headers["Authorization"] = "Bearer typed"
    assert interception.admit(flow) is None
    assert interception.error_response(flow) is None
    assert interception.leaving(flow) is None
    assert interception.intercepted(flow) is None
    assert flow.request.headers["Authorization"] == "Bearer typed"


# -- between the two looks ----------------------------------------------------------------------------

CALL_URL, PLAIN_URL = f"https://api.openai.com{CHAT}", "https://api.openai.com/v1/files"


def _edited(flow: http.HTTPFlow, name: str, value: object) -> None:
    setattr(flow.request, name, value)


EDITS: dict[str, Callable[[http.HTTPFlow], object]] = {
    "a key": lambda flow: flow.request.headers.add("x-api-key", "sk-typed-by-the-user"),
    "a key in the path": lambda flow: _edited(flow, "path", "/v1/files?key=sk-typed-by-the-user"),
    "a page": lambda flow: flow.request.headers.add("origin", "https://page.example"),
    "an own path": lambda flow: _edited(flow, "path", "/v1/organization/x"),
    "the path of a call": lambda flow: _edited(flow, "path", CHAT),
    "its method": lambda flow: _edited(flow, "method", "GET"),
    "its host": lambda flow: _edited(flow, "host", "api.groq.com"),
    "its host alone": lambda flow: setattr(flow.request.data, "host", "192.0.2.1"),
    "its Host": lambda flow: flow.request.headers.update({"Host": "api.groq.com"}),
    "its port alone": lambda flow: setattr(flow.request.data, "port", 8443),
    "its scheme": lambda flow: _edited(flow, "scheme", "http"),
    "its authority": lambda flow: _edited(flow, "authority", "evil.example"),
    "its version": lambda flow: _edited(flow, "http_version", "HTTP/2.0"),
    "the request": lambda flow: _edited(flow, "headers", http.Headers([(b"Host", b"api.groq.com")])),
    "what no server takes": lambda flow: flow.request.headers.add("a", "b\r\nx-c: d"),
}


@pytest.fixture
def passed(interception: Interception) -> http.HTTPFlow:
    """A flow that was recognised, and may pass."""
    flow = flow_of(PLAIN_URL, authorization=f"Bearer {OWN}")
    interception.admit(flow)
    assert interception.error_response(flow) is None
    return flow


def test_what_nobody_edits_is_what_it_was(interception: Interception, passed: http.HTTPFlow) -> None:
    assert interception.leaving(passed) is interception.intercepted(passed)
    assert interception.leaving(passed) is interception.leaving(passed)
    assert interception.error_response(passed) is None


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_seen(interception: Interception, passed: http.HTTPFlow, name: str) -> None:
    """It is judged as if the flow had come like that."""
    former = interception.intercepted(passed)
    EDITS[name](passed)
    found = interception.leaving(passed)
    assert found is not former
    assert "typed" not in f"{passed.request.path} {passed.request.headers}"
    refused = interception.error_response(passed) is not None
    assert refused is (name in {"what no server takes", "its authority"})


def test_a_page_that_comes_later_gets_no_key(interception: Interception) -> None:
    flow = flow_of(CALL_URL)
    interception.admit(flow)
    assert interception.error_response(flow) is None
    flow.request.headers["origin"] = "https://page.example"
    found = interception.leaving(flow)
    assert found is not None
    assert (found.pooled, found.page) == (False, "https://page.example")
    response = interception.error_response(flow)
    assert response is not None
    assert response.status_code == 403


def test_new_settings_are_seen(interception: Interception, passed: http.HTTPFlow, tmp_path: Path) -> None:
    former = interception.leaving(passed)
    assert former is not None
    assert former.pooled
    interception.configure(settings_of(tmp_path, ""))
    found = interception.leaving(passed)
    assert found is not None
    assert not found.pooled


def test_what_was_refused_stays_refused(interception: Interception) -> None:
    """Though another add-on takes the answer away."""
    flow = flow_of(CALL_URL, origin="https://page.example")
    interception.admit(flow)
    assert interception.error_response(flow) is not None
    assert interception.leaving(flow) is not None
    assert interception.error_response(flow) is not None


def test_an_edit_that_is_undone_is_an_edit(interception: Interception, passed: http.HTTPFlow) -> None:
    """What was found last holds, not what was found when the head was the same."""
    passed.request.headers["Host"] = passed.request.host = "api.groq.com"
    moved = interception.leaving(passed)
    assert moved is not None
    assert (moved.provider.name, moved.own) == ("groq", None)
    passed.request.headers["Host"] = passed.request.host = "api.openai.com"
    back = interception.leaving(passed)
    assert back is not None
    assert (back.provider.name, back.own) == ("openai", None)


def test_a_flow_that_comes_past_is_not_let_through(interception: Interception) -> None:
    with pytest.raises(Unadmitted):
        interception.leaving(flow_of(PLAIN_URL))


# -- web pages ----------------------------------------------------------------------------------------

PAGE = "https://page.example"
ALLOWING = CONFIG + f'[browsers]\nallow = ["{PAGE}"]\n'
FROM_A_PAGE = [
    {"origin": PAGE},
    {"origin": "null"},
    {"origin": "http://localhost:3000"},
    {"sec_fetch_site": "cross-site"},
]


def _from(**headers: str) -> http.Request:
    made = http.Request.make("GET", "https://api.openai.com/v1/x")
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("https://page.example", "https://page.example"),
        ("null", "null"),
        ("http://api.openai.com", "http://api.openai.com"),
        ("https://api.openai.com:8443", "https://api.openai.com:8443"),
        ("https://api.openai.com:port", "https://api.openai.com:port"),
        ("chrome-extension://abc", "chrome-extension://abc"),
        ("https://API.openai.com", ""),
        ("https://api.openai.com:443", ""),
    ],
)
def test_an_origin_names_a_page(origin: str, page: str) -> None:
    assert page_of(_from(origin=origin)) == page


@pytest.mark.parametrize(
    ("site", "page"),
    [("cross-site", UNNAMED), ("Same-Site", UNNAMED), ("same-origin", ""), ("none", ""), ("", "")],
)
def test_without_one_the_browser_tells_at_least_that_there_is_a_page(site: str, page: str) -> None:
    """An image or a script of a page is asked for without an Origin."""
    assert page_of(_from(sec_fetch_site=site)) == page


def test_without_either_there_is_no_page() -> None:
    assert page_of(_from()) == ""


@pytest.mark.parametrize("headers", FROM_A_PAGE)
def test_a_page_without_a_key_is_refused(interception: Interception, headers: dict[str, str]) -> None:
    flow = flow_of(CALL_URL, **headers)
    interception.admit(flow)
    answer = interception.error_response(flow)
    assert answer is not None
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "[browsers] allow" in answer.json()["error"]["message"]


@pytest.mark.parametrize("headers", FROM_A_PAGE)
@pytest.mark.parametrize("url", [CALL_URL, PLAIN_URL])
def test_a_page_with_a_key_keeps_it(interception: Interception, headers: dict[str, str], url: str) -> None:
    """It can make one up."""
    flow = flow_of(url, authorization=f"Bearer {OWN}", **headers)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.error_response(flow)) == (False, None)


@pytest.mark.parametrize("headers", [{}, {"origin": PAGE.upper()}, {"origin": "https://api.openai.com"}])
@pytest.mark.parametrize("keys", [{}, {"authorization": f"Bearer {OWN}"}])
def test_who_may_use_the_pool(configure: Configure, headers: dict[str, str], keys: dict[str, str]) -> None:
    interception = configure(ALLOWING)
    flow = flow_of(CALL_URL, **headers, **keys)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.error_response(flow)) == (True, None)


@pytest.mark.parametrize(("url", "method"), [(CALL_URL, "OPTIONS"), (PLAIN_URL, "GET")])
def test_what_spends_nothing_is_the_provider_s_to_judge(
    interception: Interception, url: str, method: str
) -> None:
    """A preflight never carries a credential; the provider says what pages may do."""
    flow = flow_of(url, method, origin=PAGE)
    intercepted = interception.admit(flow)
    assert intercepted is not None
    assert (intercepted.pooled, interception.error_response(flow)) == (False, None)


def test_without_a_pool_nothing_is_refused(configure: Configure) -> None:
    interception = configure("")
    flow = flow_of(CALL_URL, origin=PAGE)
    interception.admit(flow)
    assert interception.error_response(flow) is None


def test_a_page_is_named_once(interception: Interception, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):
        interception.admit(flow_of(PLAIN_URL, authorization=f"Bearer {OWN}", origin=PAGE))
    assert [PAGE in line for line in caplog.messages] == [True]


# -- keys and paths of another kind -------------------------------------------------------------------


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


@pytest.mark.parametrize("key", ["sk-admin-abc", "ek_abc", "sess-abc", "sk-ant-admin01-abc"])
@pytest.mark.parametrize("path", [CHAT, "/v1/files", "/v1/realtime/calls"])
def test_a_key_of_another_kind_is_left_alone(configure: Configure, key: str, path: str) -> None:
    interception = configure(CONFIG.replace("[providers.openai]", "[providers.openai]\nreplace_oauth = true"))
    intercepted = interception.admit(flow_of(f"https://api.openai.com{path}", authorization=f"Bearer {key}"))
    assert intercepted is not None
    assert not intercepted.pooled


def test_nothing_stays_in_a_flow_whose_host_is_refused(interception: Interception) -> None:
    flow = flow_of(
        f"https://api.openai.com/v1/files?key={OWN}", authorization=OWN, x_api_key=OWN, cookie=f"a={OWN}"
    )
    flow.request.headers["Host"] = "x@api.openai.com"
    interception.admit(flow)
    assert interception.error_response(flow)
    assert OWN not in repr(flow.get_state())


def test_whose_a_host_is_is_looked_up_once_under_the_same_settings(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def serves(provider: Provider, host: str, port: int) -> bool:
        asked.append(host)
        return hosts.serves(provider, host, port)

    monkeypatch.setattr(recognition, "serves", serves)
    interception = configure(CONFIG)
    first = interception.admit(flow_of(f"https://api.openai.com{CHAT}"))
    assert first is not None
    assert asked
    asked.clear()
    again = interception.admit(flow_of(f"https://api.openai.com{CHAT}"))
    assert (again.provider.name if again else "", asked) == (first.provider.name, [])
    interception.configure(settings_of(tmp_path, '[providers.groq]\nhosts = ["api.openai.com"]'))
    moved = interception.admit(flow_of(f"https://api.openai.com{CHAT}"))
    assert (moved.provider.name if moved else "", bool(asked)) == ("groq", True)


def test_a_host_s_name_that_is_very_long_is_not_remembered() -> None:
    flow = flow_of("https://a.example/")
    flow.request.headers["Host"] = "a\u00ad.example"  # IDNA leaves soft hyphens out
    assert ascii_host(flow.request) == "a.example"
    before = recognition._known_host.cache_info().currsize
    flow.request.headers["Host"] = "a" * 60_000
    assert ascii_host(flow.request) == ""
    assert recognition._known_host.cache_info().currsize == before
