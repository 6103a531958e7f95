"""What the folder of traces holds after calls through a real proxy: what happened, and never a key."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, Http1, ask, client, post, tunnel, wait_order
from tests.vendor import (
    Reset,
    VendorThread,
    WaitFor,
    chat_answer,
    chat_error,
    chat_stream,
    chat_tool_stream,
    streamed,
    whole,
)

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.poolless]
base_url = "{url}"
hosts = ["poolless.test"]
protocols = ["openai_chat"]
[[routes]]
match = {{ model = "claude-*" }}
to = ["openai/gpt-5"]
[trace]
directory = "traces/of calls"
"""
ONE, TWO = "sk-pool-number-one", "pool.number/two+"
OWN = "own.key/of-the-client-0a1b2c3d4e5f"
SECRETS = (ONE, TWO, OWN)
CHAT = "/v1/chat/completions"
KEYS = {"ONE": ONE, "TWO": TWO}

_models = (f"gpt-4o-{number}" for number in count())


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("trace")
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(folder, config, keys=KEYS, scripts=(ADDON, PROBE)) as running:
        yield running
    found = [file.read_text() for file in files(running)]
    assert found
    assert [word for text in found for word in SECRETS if word in text.replace("\\/", "/")] == []


@pytest.fixture
def model() -> str:
    return next(_models)


def files(proxy: Proxy) -> list[Path]:
    return sorted((proxy.folder / "traces" / "of calls").glob("*"))


def traces(proxy: Proxy, model: str) -> list[dict[str, Any]]:
    """Those of the calls that asked for `model`, in order."""
    found = [json.loads(file.read_bytes()) for file in files(proxy)]
    return [each for each in found if each["call"]["model"] == model]


def call(proxy: Proxy, url: str, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with client(proxy) as talker:
        return talker.post(url, headers=named, content=body)


def test_a_call_is_traced_with_its_attempts_and_its_answer(
    proxy: Proxy, vendor: VendorThread, model: str
) -> None:
    echo = (("x-you-are", ONE),)
    vendor.on(key=ONE).reply(chat_error(429, "rate_limit_exceeded", f"{ONE} is too fast", echo))
    vendor.on(key=TWO).reply(streamed(chat_stream(["You are ", TWO[:6], TWO[6:]])))
    own = {"authorization": f"Bearer {OWN}", "cookie": "a=b"}
    answer = call(proxy, f"https://api.openai.com{CHAT}", ask(model, user=OWN), **own)
    assert answer.text.endswith("data: [DONE]\n\n")
    (trace,) = traces(proxy, model)
    assert trace["call"].items() >= {"provider": "openai", "protocol": "openai_chat", "stream": True}.items()
    assert trace["client"]["body"]["user"] == "[redacted]"
    assert ["cookie", "[redacted]"] in trace["client"]["headers"]
    assert "rule" not in trace
    first, second = trace["attempts"]
    assert (first["credential"], first["outcome"]) == ("one", "rejected(429 rate)")
    assert first["answer"]["error"]["message"] == "[redacted] is too fast"
    assert (second["credential"], second["outcome"]) == ("two", "completed")
    assert first["sent"] <= first["ended"] <= second["sent"] <= second["ended"]
    assert second["request"] == {"method": "POST", "url": f"{vendor.base_url}{CHAT}"}
    assert (trace["answer"]["status"], trace["answer"]["end"]) == (200, "completed")
    assert trace["answer"]["headers"] == [["content-type", "text/event-stream; charset=utf-8"]]
    assert trace["answer"]["parts"] == [{"choice": 0, "kind": "text", "text": "You are [redacted]"}]
    assert trace["answer"]["finishes"][0]["reason"] == "stop"


def test_a_translated_call_tells_what_was_sent_and_what_was_lost(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_tool_stream("f", [json.dumps({"key": TWO})])))
    said = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    body = {"model": "claude-x", "max_tokens": 9, "stream": True, "top_k": 5}
    body["messages"] = [{"role": "user", "content": [said]}]
    call(proxy, "https://api.anthropic.com/v1/messages", json.dumps(body).encode(), x_api_key=OWN, x_more="a")
    (trace,) = traces(proxy, "claude-x")
    assert trace["rule"] == {"match": {"model": "claude-*"}, "to": ["openai/gpt-5"]}
    (target,) = trace["targets"]
    assert (target["target"], target["protocol"]) == ("openai/gpt-5", "openai_chat")
    assert [loss["field"] for loss in target["losses"]] == ["top_k", "cache breakpoints"]
    assert "x-more" in target["headers_dropped"]
    assert trace["attempts"][0]["request"]["body"]["messages"] == [{"role": "user", "content": "Hi"}]
    (tool,) = trace["answer"]["parts"]
    assert (tool["name"], tool["input"]) == ("f", {"key": "[redacted]"})
    proxy.wait_log('lost="top_k,cache breakpoints"')


@pytest.mark.parametrize("host", ["api.openai.com", "poolless.test"])
@pytest.mark.parametrize(
    ("carrier", "value"),
    [
        ("authorization", f"Bearer {OWN}"),
        ("authorization", OWN),
        ("x-api-key", OWN),
        ("api-key", OWN),
        ("x-goog-api-key", OWN),
        ("", "?key="),
        ("", "?access_token="),
    ],
)
def test_no_key_is_in_a_trace_however_it_came(
    proxy: Proxy, vendor: VendorThread, model: str, host: str, carrier: str, value: str
) -> None:
    """The provider says each back that it is sent, and so does the client."""
    vendor.on(path=CHAT).reply(whole(b"".join(chat_answer(f"{ONE} {TWO} {OWN}"))))
    query = "" if carrier else value + OWN
    headers = {carrier: value} if carrier else {}
    body = ask(model, stream=False, note=f"my key is {OWN}")
    answer = call(proxy, f"https://{host}{CHAT}{query}", body, **headers)
    assert answer.status_code == 200
    (trace,) = traces(proxy, model)
    assert [word for word in SECRETS if word in str(trace)] == []
    assert trace["client"]["body"]["note"] == "my key is [redacted]"
    assert trace["answer"]["parts"][0]["text"] == "[redacted] [redacted] [redacted]"
    assert trace["client"]["url"] == f"https://{host}{CHAT}"


def test_a_cut_is_traced(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_stream(["Hello", " there"])[:3], Reset()))
    call(proxy, f"https://api.openai.com{CHAT}", ask(model))
    (trace,) = traces(proxy, model)
    assert (trace["answer"]["end"], trace["answer"]["usage_estimated"]) == ("truncated", True)
    assert trace["answer"]["parts"][0]["text"] == "Hello there"


def test_a_call_that_no_target_can_do_is_traced(proxy: Proxy, vendor: VendorThread) -> None:
    body = {"model": "claude-search", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    body["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
    answer = call(proxy, "https://api.anthropic.com/v1/messages", json.dumps(body).encode(), x_api_key=OWN)
    assert answer.status_code == 400
    (trace,) = traces(proxy, "claude-search")
    assert "tools[0].type" in trace["skipped"]["openai/gpt-5"]
    assert (trace["attempts"], trace["answer"]["end"]) == ([], "refused")
    assert trace["answer"]["body"] == answer.json()


def test_who_left_is_traced(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.on(path=CHAT).reply(streamed(chat_stream(["Hello", " there"])[:2], WaitFor("never")))
    path = f"{CHAT}?who=left"
    with Http1(tunnel(proxy, "api.openai.com")) as us:
        us.send(post(path, "api.openai.com", ask(model)))
        us.until(b"Hello")
    wait_order(proxy, lambda found: not found[0]["live"], "seen", path=path)
    (trace,) = traces(proxy, model)
    assert (trace["answer"]["status"], trace["answer"]["end"]) == (200, "abandoned")
    assert trace["answer"]["parts"][0]["text"] == "Hello"


def test_a_folder_that_cannot_be_made_breaks_no_call(tmp_path: Path, vendor: VendorThread) -> None:
    (tmp_path / "traces").write_text("a file")
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config, keys=KEYS) as proxy:
        answers = [call(proxy, f"https://api.openai.com{CHAT}", ask("gpt-4o")) for _ in range(2)]
        log = proxy.wait_log("end=completed", count=2)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert log.count("trace.directory:") == 1
    assert f"trace.directory: {tmp_path / 'traces' / 'of calls'}: cannot be written (Not a directory)" in log


def test_tracing_is_turned_on_and_off_while_it_runs(tmp_path: Path, vendor: VendorThread) -> None:
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config.replace("traces/of calls", ""), keys=KEYS) as proxy:
        call(proxy, f"https://api.openai.com{CHAT}", ask("gpt-4o-off"))
        proxy.config.write_text(config)
        proxy.wait_log("the changed config is in force")
        call(proxy, f"https://api.openai.com{CHAT}", ask("gpt-4o-on"))
        assert [traces(proxy, model) != [] for model in ("gpt-4o-off", "gpt-4o-on")] == [False, True]
