"""The folders of traces after calls through a real proxy: what happened, for its user alone, and no secret in
any byte of them."""

import json
import re
import stat
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.sockets import WebSocket
from tests.e2e.talk import PROBE, Http1, ask, client, post, tunnel, wait_order
from tests.vendor import (
    SPEECHES,
    Reply,
    Said,
    Send,
    Speech,
    Tool,
    VendorThread,
    WaitFor,
    chat_stream,
    streamed,
)
from tests.vendor.script import Framing

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.gemini]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[providers.ollama]
base_url = "{url}"
hosts = ["ollama.com"]
auth = "bearer"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[[routes]]
match = {{ model = "crossed-*", provider = "anthropic" }}
to = ["openai/gpt-5"]
[trace]
directory = "traces/of calls"
"""
ONE, TWO = "pool/key.number+one=\\'0123", "pool/key.number+two=\\'4567"
OWN = "own.key/of+the=client\\'0a1b2c"
NAMED = {
    name: f"only.its/name-says.so-{number}"
    for number, name in enumerate(
        ["api_key", "password", "client_secret", "access_token", "refresh_token", "authorization"]
    )
}
PRIVATE = "a/private+password=of-a-tool"
SIGNATURE = "c2lnbmF0dXJl" * 9
KEYS = {"ONE": ONE, "TWO": TWO}
HIDDEN = "[redacted]"

USER = {"role": "user", "content": "Hi"}
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models"
ASKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "openai_chat": ("https://api.openai.com/v1/chat/completions", {"messages": [USER]}, "authorization"),
    "openai_responses": ("https://api.openai.com/v1/responses", {"input": "Hi"}, "authorization"),
    "anthropic_messages": (
        "https://api.anthropic.com/v1/messages",
        {"messages": [USER], "max_tokens": 99},
        "x-api-key",
    ),
    "gemini_generate": (
        f"{GOOGLE}/MODEL:METHOD",
        {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
        "x-goog-api-key",
    ),
    "ollama_chat": ("https://ollama.com/api/chat", {"messages": [USER]}, "authorization"),
}
PASSED_ON = "https://api.openai.com/v1/files?key=" + quote(OWN, safe="")


def forms(secret: str) -> list[str]:
    """Every way in which the tests write a secret, and some in which a proxy might."""
    in_json = json.dumps(secret)[1:-1]
    plain, basic = secret.encode(), f"user:{secret}".encode()
    escaped = quote(secret, safe="")
    return [
        secret,
        in_json,
        in_json.replace("/", "\\/"),
        json.dumps(in_json)[1:-1],
        escaped,
        re.sub("%..", lambda found: found[0].lower(), escaped),
        *(encode(data).decode() for encode in (b64encode, urlsafe_b64encode) for data in (plain, basic)),
    ]


SAID = [form for secret in (ONE, TWO, OWN) for form in forms(secret)]
"""What providers and clients say: every secret in every form."""


def in_pieces(reply: Reply, size: int = 7) -> Reply:
    """The same, with every secret cut over several chunks."""
    data = b"".join(step.data for step in reply.steps if isinstance(step, Send))
    steps = tuple(Send(data[at : at + size]) for at in range(0, len(data), size))
    length = Framing.CHUNKED
    return Reply(reply.status, reply.headers, steps, length)


def answer_of(speech: Speech, *, stream: bool) -> Reply:
    tool = Tool("call", (json.dumps({"password": PRIVATE, "note": ONE, "signature": SIGNATURE}),))
    said = Said(tuple(f"{each} " for each in SAID), tools=(tool,), finish="tools")
    return in_pieces(speech.stream(said, model="m") if stream else speech.whole(said, model="m"))


def body_of(protocol: str, model: str, *, stream: bool) -> bytes:
    asked = dict(ASKS[protocol][1])
    named = {"model": model, "stream": stream} if protocol != "gemini_generate" else {}
    more = {**NAMED, "nested": [NAMED], "note": " ".join(SAID), "args": json.dumps({"password": PRIVATE})}
    return json.dumps({**asked, **named, "metadata": more}).encode()


def call(proxy: Proxy, protocol: str, model: str, *, stream: bool) -> httpx.Response:
    url, _, carrier = ASKS[protocol]
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    headers = {
        carrier: f"Bearer {OWN}" if carrier == "authorization" else OWN,
        "cookie": f"session={NAMED['password']}",
        "x-note": quote(OWN, safe=""),
        "content-type": "application/json",
    }
    with client(proxy) as talker:
        url = url.replace("MODEL", model).replace("METHOD", method)
        return talker.post(url, headers=headers, content=body_of(protocol, model, stream=stream))


@dataclass(frozen=True)
class Traced:
    """What is under the root once the proxy has ended."""

    root: Path

    def of(self, model: str) -> "Folder":
        found = [each for each in map(Folder, self.root.glob("*/*")) if each.lines[-1]["model"] == model]
        (folder,) = found
        return folder


@dataclass(frozen=True)
class Folder:
    path: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / "transform_trace.jsonl").read_bytes().splitlines()]

    def passes(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["pass"] == name]


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def traced(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """After a refused attempt and an answer in each protocol, streamed and whole, and one translated."""
    folder = tmp_path_factory.mktemp("trace")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        for protocol, speech in SPEECHES.items():
            for stream in (True, False):
                echo = (("x-you-are", ONE), ("x-request-id", quote(TWO, safe="")))
                vendor.reply(speech.error(429, f"slow down: {' '.join(SAID)}", echo))
                vendor.reply(answer_of(speech, stream=stream))
                answer = call(proxy, protocol, f"{protocol}-{stream}", stream=stream)
                assert answer.status_code == 200, answer.text
        vendor.reply(answer_of(SPEECHES["openai_chat"], stream=True))
        assert call(proxy, "anthropic_messages", "crossed-1", stream=True).status_code == 200
        with client(proxy) as talker:
            talker.get(PASSED_ON, headers={"cookie": f"session={NAMED['password']}"})
    return Traced(folder / "traces" / "of calls")


def secrets_in(root: Path) -> list[tuple[str, str]]:
    """What stands in the files of a folder and should not, with where."""
    files = [each for each in root.rglob("*") if each.is_file()]
    marked = (ONE, TWO, OWN, PRIVATE, SIGNATURE, *NAMED.values())
    secrets = [form for secret in marked for form in forms(secret)]
    return [(file.name, form) for file in files for form in secrets if form.encode() in file.read_bytes()]


MODELS = [f"{protocol}-{stream}" for protocol in SPEECHES for stream in (True, False)]


def test_no_byte_of_a_trace_is_a_secret(traced: Traced) -> None:
    assert len(list(traced.root.glob("*/*"))) == len(MODELS) + 2
    assert secrets_in(traced.root) == []


def test_no_byte_of_a_trace_of_a_bridged_websocket_is_a_secret(tmp_path: Path, vendor: VendorThread) -> None:
    speech = SPEECHES["openai_responses"]
    config = CONFIG.replace("[providers.openai]", '[providers.openai]\nwebsocket = "bridge"')
    private = {"cookie": f"session={NAMED['password']}", "x-note": quote(OWN, safe="")}
    asked = json.loads(body_of("openai_responses", "bridged", stream=True))
    with (
        Proxy(tmp_path, config.format(url=vendor.base_url), keys=KEYS) as proxy,
        WebSocket(proxy, "api.openai.com", headers=private, key=OWN) as socket,
    ):
        vendor.reply(speech.error(429, f"slow down: {' '.join(SAID)}", (("x-you-are", ONE),)))
        vendor.reply(answer_of(speech, stream=True))
        assert socket.turn(**asked)[-1]["type"] == "response.completed"
    root = tmp_path / "traces" / "of calls"
    assert secrets_in(root) == []
    folder = Traced(root).of("bridged")
    assert [line["credential"] for line in folder.passes("sent_request")] == ["one", "two"]
    assert b"****" in (folder.path / "provider-2.bytes").read_bytes()


@pytest.mark.parametrize("model", MODELS)
def test_all_else_is_there(traced: Traced, model: str) -> None:
    folder = traced.of(model)
    (sent,) = folder.passes("raw_request")
    body = sent["data"]["body"]
    if isinstance(body, dict):
        more = body["metadata"]
        assert {name: more[name] for name in NAMED} == dict.fromkeys(NAMED, HIDDEN)
        assert more["args"] == json.dumps({"password": HIDDEN})
    assert [line["credential"] for line in folder.passes("sent_request")] == ["one", "two"]
    files = {each.name for each in folder.path.iterdir()}
    assert {"client.bytes", "provider-2.bytes"} <= files
    assert b"****" in (folder.path / "provider-2.bytes").read_bytes()
    assert b"****" in (folder.path / "client.bytes").read_bytes()


def test_it_is_its_users_alone(traced: Traced) -> None:
    found = {each: stat.S_IMODE(each.stat().st_mode) for each in (traced.root, *traced.root.rglob("*"))}
    assert {mode for each, mode in found.items() if each.is_dir()} == {0o700}
    assert {mode for each, mode in found.items() if each.is_file()} == {0o600}


def test_a_translated_call_says_what_was_sent(traced: Traced) -> None:
    folder = traced.of("gpt-5")
    (sent,) = folder.passes("sent_request")
    assert (sent["protocol"], sent["provider"], sent["changed"]) == ("openai_chat", "openai", True)
    (file,) = folder.path.glob("*-sent_request.json")
    assert json.loads(file.read_text())["body"]["messages"][-1] == {"role": "user", "content": "Hi"}


# -- what cannot be written, and when ---------------------------------------------------------------------


def simple(proxy: Proxy, vendor: VendorThread, model: str) -> None:
    vendor.reply(streamed(chat_stream(["Hello"])))
    with client(proxy) as talker:
        answer = talker.post("https://api.openai.com/v1/chat/completions", content=ask(model))
    assert answer.text.endswith("data: [DONE]\n\n")


def test_a_folder_that_cannot_be_made_breaks_no_call(tmp_path: Path, vendor: VendorThread) -> None:
    (tmp_path / "traces").write_text("a file")
    with Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        for _ in range(2):
            simple(proxy, vendor, "gpt-4o")
        proxy.wait_log("end=completed", count=2)
    named = f"trace.directory: {tmp_path / 'traces' / 'of calls'}: cannot be written (Not a directory)"
    assert (proxy.log.count("trace.directory:"), named in proxy.log) == (1, True)


def test_tracing_is_turned_on_and_off_while_it_runs(tmp_path: Path, vendor: VendorThread) -> None:
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config.replace("traces/of calls", ""), keys=KEYS) as proxy:
        simple(proxy, vendor, "gpt-4o-off")
        proxy.config.write_text(config)
        proxy.wait_log("the changed config is in force")
        simple(proxy, vendor, "gpt-4o-on")
    traced = Traced(tmp_path / "traces" / "of calls")
    assert [each.lines[-1]["model"] for each in map(Folder, traced.root.glob("*/*"))] == ["gpt-4o-on"]


def test_a_route_is_traced_alone_in_the_state_folder(tmp_path: Path, vendor: VendorThread) -> None:
    route = '[[routes]]\nmatch = { model = "gpt-4o-this" }\ntrace = true\n'
    config = CONFIG.format(url=vendor.base_url).replace("traces/of calls", "") + route
    options = ("--set", f"rotator_state={tmp_path / 'state'}")
    with Proxy(tmp_path, config, keys=KEYS, options=options) as proxy:
        for model in ("gpt-4o-that", "gpt-4o-this"):
            simple(proxy, vendor, model)
    traced = Traced(tmp_path / "state" / "traces")
    assert [each.lines[-1]["model"] for each in map(Folder, traced.root.glob("*/*"))] == ["gpt-4o-this"]
    assert f"traces of calls go to {traced.root}" in proxy.log


def test_a_call_that_hangs_can_be_looked_at(tmp_path: Path, vendor: VendorThread) -> None:
    path, root = "/v1/chat/completions", tmp_path / "traces" / "of calls"
    vendor.reply(streamed(chat_stream(["Hello", " there"])[:2], WaitFor("looked at")))
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(tmp_path, config, keys=KEYS, scripts=(ADDON, PROBE)) as proxy:
        with Http1(tunnel(proxy, "api.openai.com")) as us:
            us.send(post(path, "api.openai.com", ask("gpt-4o")))
            us.until(b"Hello")
            wait_order(proxy, lambda _: shown(root, "client.bytes", b"Hello"), "seen", path=path)
            wait_order(proxy, lambda _: shown(root, "provider-1.bytes", b"Hello"), "seen", path=path)
            wait_order(proxy, lambda _: shown(root, "*.jsonl", b"stream_first_visible"), "seen", path=path)
        vendor.release("looked at")


def shown(root: Path, file: str, text: bytes) -> bool:
    """Whether a trace has it in that file by now."""
    return any(text in each.read_bytes() for each in root.glob(f"*/*/{file}"))


def test_a_command_traces_the_next_calls(tmp_path: Path, vendor: VendorThread) -> None:
    config = CONFIG.format(url=vendor.base_url).replace("traces/of calls", "")
    script = tmp_path / "command.py"
    script.write_text(
        "from mitmproxy import ctx\ndef running():\n    ctx.master.commands.execute('rotator.trace 1')\n"
    )
    options = ("--set", f"rotator_state={tmp_path / 'state'}")
    with Proxy(tmp_path, config, keys=KEYS, options=options, scripts=(ADDON, script)) as proxy:
        for model in ("gpt-4o-next", "gpt-4o-after"):
            simple(proxy, vendor, model)
    traced = Traced(tmp_path / "state" / "traces")
    assert [each.lines[-1]["model"] for each in map(Folder, traced.root.glob("*/*"))] == ["gpt-4o-next"]
    assert f"traced: the next call, in {traced.root}" in proxy.log
