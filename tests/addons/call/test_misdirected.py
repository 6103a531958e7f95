"""What those are shown who reach the proxy in a wrong way."""

import json

import pytest
from mitmproxy import http, options
from mitmproxy.connection import Client, Server
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow
from mitmproxy.tls import TlsData

from addons.call.misdirected import LONGEST_MEMORY, Distrust, own_address
from addons.config.listening import COPIES, paste_line
from protocols.registry import discover

REGISTRY = discover()


def asked(method: str, path: str, **headers: str) -> http.Request:
    request = http.Request.make(method, f"http://127.0.0.1:8080{path}")
    request.headers.update(headers)
    return request


@pytest.mark.parametrize(
    ("path", "variable", "where"),
    [
        ("/v1/chat/completions", "OPENAI_BASE_URL", ("error", "message")),
        ("/v1/responses", "OPENAI_BASE_URL", ("error", "message")),
        ("/v1/messages?beta=true", "ANTHROPIC_BASE_URL", ("error", "message")),
        ("/v1beta/models/gemini-3:generateContent", "GOOGLE_GEMINI_BASE_URL", ("error", "message")),
        ("/api/chat", "OLLAMA_HOST", ("error",)),
    ],
)
def test_a_tool_whose_base_url_is_the_proxy_is_shown_what_to_set(
    path: str, variable: str, where: tuple[str, ...]
) -> None:
    answer = own_address(asked("POST", path), REGISTRY, options.Options())
    found = json.loads(answer.content or b"")
    for name in where:
        found = found[name]
    assert answer.status_code == 403
    assert "127.0.0.1:8080 is the proxy rotator itself" in found
    assert f"unset your tool's base URL ({variable})" in found
    assert "set HTTPS_PROXY=http://127.0.0.1:8080" in found


def test_what_is_no_call_is_answered_in_plain_text() -> None:
    answer = own_address(asked("GET", "/nothing"), REGISTRY, options.Options())
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/plain")
    assert "OPENAI_BASE_URL, ANTHROPIC_BASE_URL, ..." in (answer.text or "")


def test_a_browser_is_shown_what_this_is_and_where_the_page_is() -> None:
    request = asked("GET", "/", accept="text/html,*/*")
    bare = own_address(request, REGISTRY, options.Options()).text or ""
    assert "127.0.0.1:8080 is rotator, a proxy for LLM tools." in bare
    assert "scripts/start --web" in bare
    assert "export HTTPS_PROXY=http://127.0.0.1:8080" in bare
    web = options.Options()
    web.add_option("web_port", int, 8081, "")
    web.add_option("web_host", str, "127.0.0.1", "")
    with_web = own_address(request, REGISTRY, web).text or ""
    assert "shown at http://127.0.0.1:8081/;" in with_web
    assert "http://127.0.0.1:8081/rotator." in with_web
    assert "--proxy-server=http://127.0.0.1:8080 http://rotator.local/" in bare


def handshake(
    error: str,
    host: str | None = "api.openai.com",
    peer: str = "127.0.0.1",
    *,
    tunnelled: bool = True,
    ours: str = "127.0.0.1",
) -> TlsData:
    client: Client = tflow.tclient_conn()
    client.peername, client.sni, client.error = (peer, 5), host, error
    client.sockname = (ours, 8080)
    context = Context(client, options.Options())
    context.server = Server(address=(host or "192.0.2.1", 443) if tunnelled else None)
    return TlsData(client, context)


REFUSED, SILENT = "The client does not trust the proxy's certificate for x (unknown ca)", "connection closed"


def test_a_client_that_does_not_trust_us_is_named_once_for_each_host() -> None:
    distrust, opts = Distrust(), options.Options()
    line = distrust.failed(handshake(REFUSED), opts, 8080)
    assert line == (
        "the client at 127.0.0.1 refused this proxy's certificate for api.openai.com: it does not trust our "
        f"authority; paste where it runs: {paste_line(opts, 8080)}"
    )
    assert distrust.failed(handshake(REFUSED), opts, 8080) == ""
    assert "hung up on" in distrust.failed(handshake(SILENT, peer="127.0.0.2"), opts, 8080)
    assert "192.0.2.1" in distrust.failed(handshake(SILENT, None), opts, 8080)


def test_a_client_of_another_machine_is_shown_how_it_reaches_us() -> None:
    line = Distrust().failed(handshake(REFUSED, peer="192.0.2.9", ours="192.0.2.7"), options.Options(), 8080)
    assert "; export HTTPS_PROXY=http://192.0.2.7:8080 " in line
    assert line.endswith(f" ({COPIES})")


def test_a_client_that_trusts_us_may_go_without_a_word() -> None:
    distrust, opts = Distrust(), options.Options()
    distrust.established(handshake(""))
    assert distrust.failed(handshake(SILENT), opts, 8080) == ""
    assert "refused" in distrust.failed(handshake(REFUSED), opts, 8080), "another tool of the same machine"


def test_tls_to_the_proxy_itself_is_distinguished_from_distrust() -> None:
    line = Distrust().failed(handshake(REFUSED, None, tunnelled=False), options.Options(), 8080)
    assert "begin HTTPS_PROXY with http://, not with https://" in line


def test_what_is_remembered_has_a_bound() -> None:
    distrust, opts = Distrust(), options.Options()
    for number in range(LONGEST_MEMORY + 5):
        distrust.failed(handshake(REFUSED, f"{number}.test"), opts, 8080)
    assert len(distrust._reported) == LONGEST_MEMORY
