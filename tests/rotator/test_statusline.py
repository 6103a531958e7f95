"""`rotator statusline`: what it says, and that it says something whatever it gets."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator import statusline_text
from rotator.statusline_text import DOWN, SILENT
from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, ask, client, post, tunnel
from tests.rotator.command import rotator
from tests.rotator.screen import Screen
from tests.vendor import VendorThread, messages_error, messages_stream, streamed

SESSION = "0f0e0d0c-1111-2222-3333-444455556666"
SAID: dict[str, Any] = {
    "session_id": SESSION,
    "model": {"id": "claude-opus-4-5[1m]", "display_name": "Opus"},
    "rate_limits": {
        "five_hour": {"used_percentage": 23.4, "resets_at": 1},
        "seven_day": {"used_percentage": 60},
    },
}
LAST = {
    "provider": "anthropic",
    "model": "claude-opus-4-5",
    "served": "claude-opus-4-5-20251101",
    "credential": "work",
    "verdict": "ok",
    "ago": 3.0,
}
BY = "claude-opus-4-5-20251101 by anthropic/work"
WINDOW = {
    "unit": "percent",
    "scope": "",
    "used": 30.0,
    "limit": 100.0,
    "resets_in": 60.0,
    "source": "anthropic-ratelimit-unified-5h",
}
REQUESTS = {**WINDOW, "unit": "requests", "used": 5, "limit": 20, "source": "config"}
KEYS = {"ANTHROPIC_API_KEY_1": "sk-ant-number-one-0001", "ANTHROPIC_API_KEY_2": "sk-ant-number-two-0002"}


@pytest.mark.parametrize(
    ("said", "known", "line"),
    [
        ({}, None, DOWN),
        ({}, {}, SILENT),
        ({}, {"last": None, "waits": None, "windows": []}, SILENT),
        ({}, {"last": LAST}, BY),
        (
            {},
            {"last": LAST, "windows": [WINDOW, REQUESTS]},
            f"{BY} | 5h 70% left, requests 75% left",
        ),
        (SAID, {"last": LAST}, f"{BY} | 5h 77% left, 7d 40% left"),
        (
            SAID,
            {"last": LAST, "windows": [WINDOW]},
            f"{BY} | 5h 70% left",
        ),
        (
            {},
            {"last": {**LAST, "served": "gpt-5", "provider": "openai", "verdict": "fallback"}},
            "claude-opus-4-5 > gpt-5 by openai/work | last call: fallback",
        ),
        ({}, {"last": {**LAST, "served": "", "credential": ""}}, "claude-opus-4-5 by anthropic"),
        (
            {},
            {"waits": {"seconds": 61.0, "why": "work is\nrate-limited"}},
            "waits 1 min 1 s: work is rate-limited",
        ),
        ({}, {"last": LAST, "waits": {"seconds": None, "why": ""}}, f"{BY} | waits"),
        ({}, {"waits": {"seconds": 5, "why": "because " * 9}}, f"waits 5 s: {'because ' * 6}because..."),
        (
            {},
            {"last": {**LAST, "served": "claude-opus-4-5\x1b[2J"}},
            r"claude-opus-4-5\x1b[2J by anthropic/work",
        ),
        ({"rate_limits": 7}, {"last": {**LAST, "verdict": 3, "model": []}, "windows": {"a": 1}}, BY),
        ({"rate_limits": {"five_hour": {"used_percentage": "x"}}}, {"last": LAST, "windows": [1, {}]}, BY),
    ],
)
def test_the_line(said: dict[str, Any], known: dict[str, Any] | None, line: str) -> None:
    assert statusline_text.line(said, known) == line


def test_what_the_proxy_is_asked_about() -> None:
    assert (statusline_text.session(SAID), statusline_text.model(SAID)) == (SESSION, "claude-opus-4-5")
    odd = {"session_id": 7, "model": "claude"}
    assert (statusline_text.session(odd), statusline_text.model(odd)) == ("", "")


# -- a real proxy ------------------------------------------------------------------------------------------


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    config = f'[providers.anthropic]\nbase_url = "{vendor.base_url}"\n'
    with Proxy(tmp_path, config, keys=KEYS) as running:
        yield running
    assert "Traceback" not in running.log


def converse(proxy: Proxy, model: str) -> httpx.Response:
    body = {"model": model, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"x-claude-code-session-id": SESSION, "x-api-key": "any", "user-agent": "claude-cli/2.1.90"}
    with client(proxy) as http:
        return http.post("https://api.anthropic.com/v1/messages", json=body, headers=headers)


def test_of_a_real_proxy(proxy: Proxy, vendor: VendorThread) -> None:
    refused = messages_error(429, "rate_limit_error", "slow down")
    vendor.on(key=KEYS["ANTHROPIC_API_KEY_1"]).reply(refused)
    quota = {"utilization": "0.25", "reset": "4000000000", "status": "allowed"}
    headers = tuple((f"anthropic-ratelimit-unified-5h-{name}", value) for name, value in quota.items())
    answer = streamed(messages_stream(["Hello"], model="claude-opus-4-5-20251101"), headers=headers)
    vendor.on(key=KEYS["ANTHROPIC_API_KEY_2"]).always(answer)
    assert converse(proxy, "claude-opus-4-5").status_code == 200
    done = rotator(proxy.folder, "statusline", environment={"HTTPS_PROXY": proxy.url}, said=json.dumps(SAID))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "claude-opus-4-5-20251101 by anthropic/ANTHROPIC_API_KEY_2 | 5h 75% left | last call: spare\n"
    )


def test_what_a_call_waits_for(proxy: Proxy, vendor: VendorThread) -> None:
    slow = messages_error(429, "rate_limit_error", "slow down", (("retry-after", "50"),))
    vendor.always(slow)
    head = (("x-claude-code-session-id", SESSION), ("x-api-key", "any"), ("user-agent", "claude-cli/2.1.90"))
    with tunnel(proxy, "api.anthropic.com") as raw:
        Http1(raw).send(post("/v1/messages", "api.anthropic.com", ask("claude-opus-4-5"), head))
        proxy.wait_log("waits ")
        said = json.dumps(SAID)
        line = rotator(proxy.folder, "statusline", "-p", str(proxy.port), said=said).stdout
        shown = rotator(proxy.folder, "status", "-p", str(proxy.port)).stdout.splitlines()
    assert re.fullmatch(r"waits \d+ s: .*ANTHROPIC_API_KEY_1.*\n", line), line
    call = next(each for each in shown if "anthropic/claude-opus-4-5" in each)
    assert re.search(r" waits \d+ s: anthropic/ANTHROPIC_API_KEY_1 is rate-limited", call), call


@pytest.mark.parametrize(
    "said",
    [
        "",
        "nonsense",
        "[]",
        "{",
        "[" * 100_000,
        "\x00\udcff",
        '{"session_id": {}}',
        '{"session_id": "\\ud800"}',
    ],
)
def test_whatever_it_gets_is_no_error(tmp_path: Path, proxy: Proxy, said: str) -> None:
    done = rotator(tmp_path, "statusline", "-p", str(proxy.port), said=said)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{SILENT}\n", "")


def test_without_a_proxy_it_is_short(tmp_path: Path) -> None:
    done = rotator(tmp_path, "statusline", "-p", "1", said="{}")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{DOWN}\n", "")


def test_on_a_terminal_it_says_how_to_install_it(tmp_path: Path) -> None:
    screen = Screen(tmp_path, "statusline")
    screen.wait('"command": "rotator statusline"')
    assert screen.ended() == 0


def test_it_loads_little() -> None:
    """It is run after each answer, and has 0.3 s."""
    script = "import sys, rotator.statusline; print({'mitmproxy', 'rich.table', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
