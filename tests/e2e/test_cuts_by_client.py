"""A cut in text, reported to clients that are known by their User-Agent to take one in a way of their own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import client
from tests.vendor import SPEECHES, Reset, Said, Tool, VendorThread

CONFIG = """
[providers.openai]
base_url = "{url}"
websocket = "bridge"
[providers.anthropic]
base_url = "{url}"
[providers.gemini]
base_url = "{url}"
"""
CLAUDE = "claude-cli/2.1.329 (external, sdk-cli)"
CODEX = "codex_exec/0.169.0 (Debian 13; x86_64)"
GEMINI_CLI = "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)"
SAID = Said(("one ", "two ", "three"))
RESPONSES = ("https://api.openai.com/v1/responses", {"model": "gpt-5", "stream": True, "input": "hi"})
MESSAGES = (
    "https://api.anthropic.com/v1/messages",
    {
        "model": "claude-sonnet-4-5",
        "max_tokens": 99,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
    },
)
GEMINI = (
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
)


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with Proxy(tmp_path_factory.mktemp("cuts"), CONFIG.format(url=vendor.base_url)) as running:
        yield running


def cut(vendor: VendorThread, protocol: str) -> None:
    """The next answer, after its second word."""
    vendor.reply(SPEECHES[protocol].cut(SAID, "two", Reset(), model="m"))


def answered(proxy: Proxy, ask: tuple[str, dict[str, Any]], user_agent: str) -> str:
    url, body = ask
    headers = {"authorization": "Bearer sk-own", "x-goog-api-key": "own", "user-agent": user_agent}
    with client(proxy) as http:
        return http.post(url, json=body, headers=headers).text


def test_codex_gets_an_error_and_others_an_incomplete_response(proxy: Proxy, vendor: VendorThread) -> None:
    cut(vendor, "openai_responses")
    codex = answered(proxy, RESPONSES, CODEX)
    cut(vendor, "openai_responses")
    other = answered(proxy, RESPONSES, "other/1")
    assert ("event: response.failed" in codex, "event: response.incomplete" in codex) == (True, False)
    assert ("event: response.failed" in other, "event: response.incomplete" in other) == (False, True)


def test_codex_gets_it_over_its_websocket_too(proxy: Proxy, vendor: VendorThread) -> None:
    cut(vendor, "openai_responses")
    with WebSocket(proxy, "api.openai.com", headers={"User-Agent": CODEX}) as socket:
        events = socket.turn(model="gpt-5", input="hi")
    kinds = [event["type"] for event in events]
    assert (kinds[-1], "error" in kinds) == ("response.failed", False)


@pytest.mark.parametrize(
    ("user_agent", "end"),
    [(CLAUDE, '"stop_reason":"max_tokens"'), ("other/1", "event: error")],
)
def test_claude_throws_a_cut_call_away_by_itself_and_others_get_an_error(
    proxy: Proxy, vendor: VendorThread, user_agent: str, end: str
) -> None:
    call = Tool("Bash", ('{"command": "rm ', '-r build"}'))
    vendor.reply(SPEECHES["anthropic_messages"].cut(Said(("one ",), tools=(call,)), "rm", Reset(), model="m"))
    ends = ('"stop_reason":"max_tokens"', "event: error")
    said = answered(proxy, MESSAGES, user_agent).replace('": "', '":"')
    assert [each in said for each in ends] == [each == end for each in ends]


def test_the_rest_is_asked_for_no_oftener_than_the_user_allows(vendor: VendorThread, tmp_path: Path) -> None:
    config = CONFIG.format(url=vendor.base_url) + "[streaming]\ncontinuation_attempts = 0\n"
    before = len(vendor.requests)
    with Proxy(tmp_path, config) as proxy:
        cut(vendor, "gemini_generate")
        assert '"MAX_TOKENS"' in answered(proxy, GEMINI, GEMINI_CLI)
    assert len(vendor.requests) == before + 1


def test_gemini_cli_gets_the_rest_and_others_what_there_is(proxy: Proxy, vendor: VendorThread) -> None:
    cut(vendor, "gemini_generate")
    vendor.reply(SPEECHES["gemini_generate"].stream(Said(("three",)), model="m"))
    gemini_cli = answered(proxy, GEMINI, GEMINI_CLI)
    cut(vendor, "gemini_generate")
    other = answered(proxy, GEMINI, "other/1")
    assert [word in gemini_cli for word in ("one ", "two ", "three", '"STOP"')] == [True] * 4
    assert ("three" in other, '"MAX_TOKENS"' in other) == (False, True)
