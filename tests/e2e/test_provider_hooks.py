"""Code of a provider's own, in a file beside the config, at every place where it is called."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, ask, client, order, wait_order
from tests.vendor import Reply, Reset, VendorThread, chat_answer, chat_stream, streamed, whole
from tests.vendor.answers import data_event
from tests.vendor.http1 import Received

CONFIG = """
[providers.acme]
base_url = "{url}/base"
hosts = ["api.acme.test"]
protocols = ["openai_chat"]
code = "quirks.py:Acme"
credentials = [{{ name = "one", key = "env:ONE" }}, {{ name = "two", key = "env:TWO" }}]
[[routes]]
match = {{ model = "continued" }}
to = ["acme"]
on_truncation = "continue"
"""
CODE = '''
"""What Acme does in its own way."""
import hashlib
import hmac
import json
from dataclasses import dataclass, replace

from protocols.model.call import Operation, Rendered
from protocols.model.parts import Usage
from rewrite.hooks.base import About, HookError, Hooks, Unsigned


@dataclass
class Noted:
    about: "About"


class Acme(Hooks):
    def check_key(self, key):
        if not key.startswith("id-"):
            raise ValueError("an Acme key is id-NUMBER:SECRET: write it so")

    def prepare_request(self, request, about):
        if about.model == "broken-request":
            raise KeyError("secret words")
        if about.model == "broken-end":
            raise SystemExit(3)
        if about.operation is Operation.MODELS:
            return replace(request, path="/catalogue")
        body = {"engine": about.model, "input": request.body}
        return replace(request, path="/speak", body=body, headers=(("x-acme", about.operation.value),))

    def sign_request(self, request, key, about):
        name, _, secret = key.partition(":")
        if about.model == "broken-signature":
            raise HookError(f"no signature can be made of it: {secret}")
        text = f"{request.method} {request.url} ".encode() + request.body
        signature = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        return (*request.headers, ("x-acme-key", name), ("x-acme-signature", signature))

    def read_error(self, answer, about):
        if about.model == "broken-error":
            raise RuntimeError("secret words")
        said = json.loads(answer.body)["fault"]
        error = {"error": {"message": said["text"], "type": "acme", "code": said["word"]}}
        return replace(answer, body=json.dumps(error).encode())

    def read_part(self, part, about):
        if about.model == "broken-part":
            raise RuntimeError("secret words")
        if "internal" in part:
            return None
        return {**part["acme"], "spent": part.get("spent")} if "acme" in part else part

    def read_usage(self, part, about):
        spent = part.get("spent")
        return Usage(spent["in"], spent["out"]) if spent else None

    def list_models(self, listing, about):
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in listing]}
'''
ONE, TWO = "id-1:acme-secret-number-one", "id-2:acme-secret-number-two"
SECRETS = {"id-1": ONE.partition(":")[2], "id-2": TWO.partition(":")[2]}
URL = "https://api.acme.test/v1/chat/completions"


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "quirks.py").write_text(CODE)
    config = CONFIG.format(url=vendor.base_url)
    with Proxy(folder, config, keys={"ONE": ONE, "TWO": TWO}, scripts=(ADDON, PROBE)) as running:
        yield running
    hidden = [*SECRETS.values(), "Traceback", "secret words"]
    assert not [word for word in hidden if word in running.log], running.log


@pytest.fixture(autouse=True)
def _nothing_left(vendor: VendorThread) -> None:
    vendor.requests.clear()


def post(proxy: Proxy, model: str = "gpt-4o", *, stream: bool = False) -> httpx.Response:
    with client(proxy) as http:
        return http.post(URL, headers={"authorization": "Bearer none"}, content=ask(model, stream=stream))


def headers_of(received: Received) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in received.headers}


def record_of(proxy: Proxy) -> dict[str, Any]:
    """That of the last call."""
    found: dict[str, Any] = order(proxy, "seen", path="/v1/chat/completions")[-1]["rotator"]
    return found


def is_signed(vendor: VendorThread) -> bool:
    """Whether the last request has the signature that its bytes ask for, and no key."""
    received = vendor.requests[-1]
    headers = headers_of(received)
    text = f"POST {vendor.base_url}{received.target} ".encode() + received.body
    secret = SECRETS[headers["x-acme-key"]].encode()
    expected = hmac.new(secret, text, hashlib.sha256).hexdigest()
    return headers["x-acme-signature"] == expected and "authorization" not in headers


def test_a_request_is_prepared_and_signed(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(chat_answer("Hello")))
    answer = post(proxy)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello"
    received = vendor.requests[-1]
    assert received.target == "/base/speak"
    assert json.loads(received.body)["engine"] == "gpt-4o"
    assert headers_of(received)["x-acme"] == "generate"
    assert is_signed(vendor)


def test_a_refused_key_rotates_and_each_attempt_is_signed_for_its_key(
    proxy: Proxy, vendor: VendorThread
) -> None:
    fault = json.dumps({"fault": {"text": "no", "word": "invalid_api_key"}}).encode()
    vendor.reply(whole(fault, 401))
    vendor.reply(whole(chat_answer("Hello")))
    assert post(proxy).status_code == 200
    assert len(vendor.requests) == 2
    assert is_signed(vendor)
    keys = [headers_of(each)["x-acme-key"] for each in vendor.requests]
    assert len(set(keys)) == 2


def test_an_error_is_read_in_the_words_of_the_protocol(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(json.dumps({"fault": {"text": "too long", "word": "long"}}).encode(), 400))
    answer = post(proxy)
    error = answer.json()["error"]
    assert (answer.status_code, error["message"], error["code"]) == (400, "too long", "long")


def test_a_continuation_is_prepared_and_signed_too(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(streamed(chat_stream(["It was a dark "], done=False, finish=None), Reset()))
    vendor.reply(streamed(chat_stream(["and stormy night."])))
    answer = post(proxy, "continued", stream=True)
    assert "stormy" in answer.text
    last = json.loads(vendor.requests[-1].body)
    assert last["engine"] == "continued"
    assert [turn["role"] for turn in last["input"]["messages"]] == ["user", "assistant", "user"]
    assert is_signed(vendor)


def acme_stream() -> Reply:
    plain = [json.loads(event[6:]) for event in chat_stream(["Hel", "lo"])[:-1]]
    events = [data_event({"acme": event}) for event in plain]
    spent = data_event({"acme": {**plain[-1], "choices": []}, "spent": {"in": 5, "out": 7}})
    return streamed([data_event({"internal": 1}), *events, spent, b"data: [DONE]\n\n"])


def test_events_and_usage_are_read(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(acme_stream())
    answer = post(proxy, "gpt-4o-parts", stream=True)
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    said = "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])
    assert said == "Hello"
    assert not any("acme" in event or "internal" in event for event in events)
    record = record_of(proxy)
    assert (record["tokens_in"], record["tokens_out"]) == (5, 7)


def test_a_list_of_models_is_read(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(b'["one","two"]'))
    with client(proxy) as http:
        answer = http.get("https://api.acme.test/v1/models", headers={"authorization": "Bearer none"})
    assert vendor.requests[-1].target == "/base/catalogue"
    assert [model["id"] for model in answer.json()["data"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("broken-request", "the hook prepare_request of acme failed: KeyError in quirks.py line"),
        ("broken-end", "the hook prepare_request of acme failed: SystemExit in quirks.py line"),
        ("broken-signature", "the hook sign_request of acme failed: no signature can be made of it"),
    ],
)
def test_a_request_whose_hook_raises_costs_that_call_alone(
    proxy: Proxy, vendor: VendorThread, model: str, names: str
) -> None:
    answer = post(proxy, model)
    error = answer.json()["error"]
    assert (answer.status_code, names in error["message"]) == (502, True), error
    assert answer.headers["x-should-retry"] == "false"
    assert not [secret for secret in SECRETS.values() if secret in answer.text]
    assert not vendor.requests
    record = record_of(proxy)
    assert names in json.dumps(record)
    vendor.reply(whole(chat_answer("Hello")))
    assert post(proxy).status_code == 200
    wait_order(proxy, lambda state: not any(state["in_flight"].values()), "state")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_an_answer_whose_hook_raises_goes_on_without_it(
    proxy: Proxy, vendor: VendorThread, *, stream: bool
) -> None:
    vendor.reply(streamed(chat_stream(["Hello"])) if stream else whole(chat_answer("Hello")))
    answer = post(proxy, "broken-part", stream=stream)
    assert "Hello" in answer.text
    failed = record_of(proxy)["hooks_failed"]
    assert [text.partition(" line")[0] for text in failed] == [
        "the hook read_part of acme failed: RuntimeError in quirks.py"
    ]


def test_an_error_whose_hook_raises_is_given_as_it_is(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(b'{"fault":{}}', 400))
    answer = post(proxy, "broken-error")
    assert (answer.status_code, answer.json()) == (400, {"fault": {}})
    (failed,) = record_of(proxy)["hooks_failed"]
    assert "read_error" in failed


def test_what_passes_through_keeps_the_client_s_key(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(b"{}"))
    with client(proxy) as http:
        http.get("https://api.acme.test/v1/files", headers={"authorization": "Bearer client-own"})
    assert vendor.requests[-1].credential == "client-own"


def test_a_changed_file_is_read_again(proxy: Proxy, vendor: VendorThread) -> None:
    file = proxy.folder / "quirks.py"
    seen = proxy.log.count("is in force")
    file.write_text(CODE.replace('"/speak"', '"/say"'))
    proxy.wait_log("is in force", count=seen + 1)
    vendor.reply(whole(chat_answer("Hello")))
    assert post(proxy).status_code == 200
    assert vendor.requests[-1].target == "/base/say"
    file.write_text(CODE + "\nnonsense here\n")
    proxy.wait_log("settings before stay in force")
    vendor.reply(whole(chat_answer("Hello")))
    assert post(proxy).status_code == 200
    file.write_text(CODE)
    proxy.wait_log("is in force", count=seen + 2)


def test_a_broken_file_is_one_line(vendor: VendorThread, tmp_path: Path) -> None:
    (tmp_path / "quirks.py").write_text("from rewrite.hooks.base import Hooks\n\nclass Acme(Hooks:\n")
    proxy = Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys={"ONE": ONE, "TWO": TWO})
    proxy.start(expect_exit=True)
    assert proxy.wait_exit() != 0
    (line,) = [line for line in proxy.log.splitlines() if "providers.acme.code" in line]
    assert "quirks.py line 3: SyntaxError" in line
    assert "Traceback" not in proxy.log
