"""`rotator status`: what it says of made-up pools, and of a real proxy that works."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rotator import status_text
from rotator.quantities import duration, quota
from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http1, ask, post, tunnel
from tests.rotator.command import rotator
from tests.rotator.screen import Screen
from tests.vendor import Send, VendorThread, WaitFor, chat_error, chat_stream, streamed

KEYS = {"OPENAI_API_KEY_1": "sk-pool-number-one-0001", "OPENAI_API_KEY_2": "sk-pool-number-two-0002"}
ONE, TWO = KEYS.values()
CONFIG = '[providers.openai]\nbase_url = "{url}"\n'
BAD = chat_error(401, "invalid_api_key", "wrong key")


def key(name: str, **more: Any) -> dict[str, Any]:
    ready: dict[str, Any] = {"name": name, "state": "ready", "reason": "", "seconds": 0.0, "scopes": {}}
    return {**ready, "in_flight": 0, "windows": [], "last": None, **more}


def window(unit: str, used: float, limit: float, source: str = "config", scope: str = "") -> dict[str, Any]:
    return {"unit": unit, "scope": scope, "used": used, "limit": limit, "resets_in": 7300.0, "source": source}


STATUS = {
    "version": "0.1.0",
    "waiting": 1,
    "sessions": 3,
    "providers": {
        "openai": {
            "rotation": "sequential",
            "paused": {"": 12.4},
            "credentials": [
                key("work", in_flight=2, last={"outcome": "completed", "ago": 4.2}),
                key(
                    "spare",
                    state="cooling",
                    reason="was refused (401 invalid_api_key) and is tried again in 260 s: check it",
                    seconds=260.0,
                    last={"outcome": "rejected(401 auth)", "ago": 40},
                ),
                key("third", scopes={"model:gpt-5": 117.0}),
                key("fourth", state="full", reason="has 2 of 2 calls in flight", seconds=None, in_flight=2),
                key("fifth", state="retired", reason="is retired", seconds=None),
            ],
        },
        "anthropic": {
            "rotation": "balanced",
            "paused": {},
            "credentials": [
                key(
                    "claude",
                    windows=[
                        window("percent", 23.0, 100.0, "anthropic-ratelimit-unified-5h"),
                        window("requests", 60.0, 100.0),
                    ],
                ),
                key("slow", state="cooling", reason="is rate-limited and is tried again in 30 s", seconds=30),
            ],
        },
    },
    "calls": [
        {
            "id": "f40d19fb",
            "provider": "openai",
            "model": "gpt-5",
            "credential": "",
            "since": 75.0,
            "state": "waits",
            "why": "spare was refused",
            "seconds": 42.0,
            "attempts": 1,
        },
        {
            "id": "0a11",
            "provider": "anthropic",
            "model": "claude-opus-4-5",
            "credential": "claude",
            "since": 3.2,
            "state": "asks",
            "why": "",
            "seconds": None,
            "attempts": 2,
        },
        {
            "id": "0b22",
            "provider": "openai",
            "model": "",
            "credential": "work",
            "since": 0.2,
            "state": "streams",
            "why": "",
            "seconds": None,
            "attempts": 1,
        },
    ],
}
SHOWN = """\
rotator 0.1.0 at http://127.0.0.1:8080: 3 calls under way, 1 in line for a key, 3 conversations in
the last hour

openai  sequential  paused for all models: 12 s
  work    ready                   2 calls  last completed 4 s ago
  spare   refused for 4 min 20 s           last rejected(401 auth) 40 s ago
          was refused (401 invalid_api_key): check it
  third   ready                            not used yet
          not for gpt-5: 1 min 57 s
  fourth  busy                    2 calls  not used yet
          has 2 of 2 calls in flight
  fifth   retired                          not used yet
anthropic  balanced
  claude  ready                            not used yet
          5h: 77 % left, reset in 2 h 1 min
          40 of 100 requests left, reset in 2 h 1 min
  slow    limited for 30 s                 not used yet
to use a key again at once: rotator.resume PROVIDER NAME in mitmproxy or mitmweb, or
http://rotator.local/ through the proxy

call      model                      key     since       does
f40d19fb  openai/gpt-5                       1 min 15 s  waits 42 s: spare was refused
0a11      anthropic/claude-opus-4-5  claude  3 s         asks again, attempt 2
0b22      openai                     work    0 s         streams
"""


def written(status: dict[str, Any], width: int = 100) -> str:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        for part in status_text.rendered(status, "http://127.0.0.1:8080"):
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def test_the_whole_page() -> None:
    assert written(STATUS) == SHOWN


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90_000, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (window("tokens", 1_000_000, 40_000_000), "39M of 40M tokens left, reset in 2 h 1 min"),
        (window("cost", 1.5, 20), "$18.50 of $20 left, reset in 2 h 1 min"),
        (window("requests", 7, 5), "0 of 5 requests left, reset in 2 h 1 min"),
        (window("percent", 40, 100, "x-codex-primary"), "primary: 60 % left, reset in 2 h 1 min"),
        (
            window("requests", 1, 5, scope="model:gpt-5"),
            "4 of 5 requests left for gpt-5, reset in 2 h 1 min",
        ),
    ],
)
def test_what_is_left_of_a_limit(given: dict[str, Any], text: str) -> None:
    assert quota(given) == text


def test_a_proxy_without_keys() -> None:
    said = written({"version": "0.1.0", "waiting": 0, "sessions": 0, "providers": {}, "calls": []})
    assert said.endswith("in the last hour\nno keys of its own: the keys of your tools are used\n")


@pytest.mark.parametrize(
    ("store", "line"),
    [
        ({"server": "cache:6379/0", "is_up": True, "proxies": 3}, "shared through cache:6379/0 by 3 proxies"),
        (
            {
                "server": "cache:6379/0",
                "is_up": False,
                "proxies": 3,
                "alone": 61,
                "reason": "Connection refused",
            },
            "alone for 1 min 1 s: cache:6379/0: Connection refused",
        ),
    ],
)
def test_a_store_that_is_shared(store: dict[str, Any], line: str) -> None:
    said = {"version": "0.1.0", "providers": {}, "store": store}
    assert written(said).splitlines()[1] == line


# -- a real proxy ------------------------------------------------------------------------------------------


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture
def proxy(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as running:
        yield running


@contextmanager
def held(proxy: Proxy, vendor: VendorThread) -> Iterator[None]:
    """A call whose first key was refused, and whose answer by the second has not begun."""
    vendor.on(key=ONE).reply(BAD)
    vendor.on(key=TWO).reply(streamed((), WaitFor("more"), *map(Send, chat_stream(["Hello"]))))
    with tunnel(proxy, "api.openai.com") as raw:
        http = Http1(raw)
        http.send(post("/v1/chat/completions", "api.openai.com", ask()))
        vendor.wait_gate("more")
        yield
        vendor.release("more")


def test_of_a_real_proxy(proxy: Proxy, vendor: VendorThread) -> None:
    with held(proxy, vendor):
        done = rotator(proxy.folder, "status", "-p", str(proxy.port))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"rotator 0.1.0 at {proxy.url}: 1 call under way")
    assert "  OPENAI_API_KEY_1  refused for " in done.stdout
    assert "was refused (401 invalid_api_key): " in done.stdout
    assert re.search(r"  OPENAI_API_KEY_2  ready .* 1 call ", done.stdout)
    assert re.search(r"openai/gpt-4o  OPENAI_API_KEY_2  \d+ s +asks again, attempt 2", lines[-1])
    assert ONE not in done.stdout
    assert TWO not in done.stdout


def test_json_is_what_the_page_says(proxy: Proxy) -> None:
    done = rotator(proxy.folder, "status", "--json", environment={"HTTPS_PROXY": proxy.url})
    said = json.loads(done.stdout)
    assert [one["name"] for one in said["providers"]["openai"]["credentials"]] == [*KEYS]


def test_a_proxy_that_is_down(tmp_path: Path) -> None:
    done = rotator(tmp_path, "status", "-p", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"no rotator answers at http://127\.0\.0\.1:1: start it with `(\S*rotator) start`, "
        r"or with a tool: `\1 run -- TOOL`\n",
        done.stderr,
    )
    pasted = rotator(tmp_path, "status", environment={"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert pasted.returncode == 1
    assert re.search(r'eval "\$\(\S*rotator env --unset\)" takes that back\n$', pasted.stderr)


def test_watching_needs_a_terminal(tmp_path: Path) -> None:
    done = rotator(tmp_path, "status", "--watch")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--watch needs a terminal" in done.stderr


def test_watching_goes_on_without_the_proxy_until_it_returns(vendor: VendorThread, tmp_path: Path) -> None:
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config, keys=KEYS) as first:
        screen = Screen(tmp_path, "status", "--watch", "-p", str(first.port))
        screen.wait("OPENAI_API_KEY_1")
        port = first.port
    gone = screen.wait("does not answer any more")
    with Proxy(tmp_path, config, keys=KEYS, options=("-p", str(port))):
        screen.wait("OPENAI_API_KEY_1", after=gone)
        status, text = screen.interrupt()
        plain = Screen(tmp_path, "status", "-p", str(port), NO_COLOR="1")
        plain.wait("OPENAI_API_KEY_2")
        assert (plain.ended(), "\x1b[32m" in plain.text) == (0, False)
    assert (status, "Traceback" in text) == (0, False)
    assert "\x1b[32m" in text, "colours on a terminal"


def test_it_loads_little() -> None:
    script = "import sys, rotator.status; print({'mitmproxy', 'pydantic'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
