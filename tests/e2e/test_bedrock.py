"""Bedrock for clients of Messages: its requests signed, its streams unframed, its errors in their words."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.sdk import run
from tests.e2e.talk import ask, client
from tests.vendor import (
    Fin,
    Reply,
    Reset,
    Send,
    VendorThread,
    messages_answer,
    messages_stream,
    streamed,
    whole,
)
from tests.vendor.answers import messages_tool_stream
from tests.vendor.bedrock import KIND, bedrock_error, bedrock_stream, chunk, exception, is_signed

ONE_ID, ONE_SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TWO_ID, TWO_SECRET = "ASIAIOSFODNN7EXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLEtoken//////////wEaCXVzLWVhc3QtMSJ"
BEARER = "bedrock-api-key-of-the-pool"
REGION = "eu-central-1"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/"
SECRETS = (ONE_SECRET, TWO_SECRET, TOKEN, BEARER)
CONFIG = f"""
[trace]
directory = "traces"
[providers.bedrock]
base_url = "{{url}}"
credentials = [{{{{ name = "one", key = "env:ONE" }}}}, {{{{ name = "two", key = "env:TWO" }}}}]
[providers.bearer]
base_url = "{{url}}"
hosts = ["bearer.test"]
protocols = ["anthropic_messages"]
code = "bedrock"
credentials = [{{{{ name = "three", key = "env:THREE" }}}}]
[[routes]]
match = {{{{ model = "*bearer*" }}}}
to = ["bearer/{MODEL}"]
[[routes]]
to = ["bedrock/{MODEL}"]
match = {{{{ model = "*[a-z0-9]*" , path = "/v1/*" }}}}
"""
KEYS = {
    "ONE": f"{ONE_ID}:{ONE_SECRET}::{REGION}",
    "TWO": f"{TWO_ID}:{TWO_SECRET}:{TOKEN}:{REGION}",
    "THREE": BEARER,
}
TEXT = messages_stream(["Hel", "lo"])
THROTTLED = bedrock_error(429, "ThrottlingException", "Too many requests, please wait.")


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        yield running


@contextmanager
def running(vendor: VendorThread, folder: Path) -> Iterator[Proxy]:
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        yield proxy
    assert not [word for word in (*SECRETS, "Traceback") if word in proxy.log], proxy.log
    traces = [file.read_bytes() for file in (folder / "traces").rglob("*") if file.is_file()]
    assert not vendor.requests or any(b"(signed)" in trace for trace in traces)
    hidden = [word.encode() for word in (*SECRETS, "Signature=")]
    assert not [word for word in hidden for trace in traces if word in trace]


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running(vendor, tmp_path_factory.mktemp("bedrock")) as proxy:
        yield proxy


@pytest.fixture
def fresh(vendor: VendorThread, tmp_path: Path) -> Iterator[Proxy]:
    """One none of whose keys was refused."""
    with running(vendor, tmp_path) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def _nothing_left(vendor: VendorThread) -> None:
    vendor.requests.clear()


def messages(proxy: Proxy, *, stream: bool = True, **request: Any) -> dict[str, Any]:
    job = {"client": {"max_retries": 0}, "request": {"stream": stream, **request}}
    results = run("anthropic-current", "anthropic_messages", proxy.environment(), jobs=[job])["results"]
    return dict(results[0])


def signer(vendor: VendorThread, at: int = -1) -> str:
    """Whose signature a request has; empty: that of nobody."""
    received, host = vendor.requests[at], vendor.base_url.removeprefix("http://")
    if is_signed(received, host, ONE_ID, ONE_SECRET, REGION):
        return "one"
    return "two" if is_signed(received, host, TWO_ID, TWO_SECRET, REGION, TOKEN) else ""


def test_a_stream(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(TEXT))
    answer = messages(proxy)
    assert (answer["text"], answer["finish"], answer["error"]) == ("Hello", "end_turn", None)
    received = vendor.requests[-1]
    assert received.target == f"{PATH}invoke-with-response-stream"
    assert received.json()["anthropic_version"] == "bedrock-2023-05-31"
    assert not {"model", "stream"} & set(received.json())
    assert signer(vendor) == "one"


def test_a_client_gets_server_sent_events(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(TEXT))
    with client(proxy) as http:
        answer = http.post("https://api.anthropic.com/v1/messages", content=ask("claude-x", stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.content.endswith(b"".join(TEXT[1:]))


def test_a_whole_answer(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(messages_answer("Hello")))
    assert messages(proxy, stream=False)["text"] == "Hello"
    assert vendor.requests[-1].target == f"{PATH}invoke"
    assert signer(vendor) == "one"


def test_tools(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(messages_tool_stream("look", ('{"a"', ":1}"))))
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    answer = messages(proxy, tools=tools)
    assert [*answer["tools"].values()] == [{"name": "look", "arguments": '{"a":1}'}]
    assert answer["finish"] == "tool_use"
    assert vendor.requests[-1].json()["tools"] == tools


@pytest.mark.parametrize(
    "first",
    [
        THROTTLED,
        bedrock_error(403, "UnrecognizedClientException", "The security token is invalid."),
        streamed([exception("throttlingException", "slow down")], kind=KIND),
        bedrock_stream(TEXT[:1], Reset()),
    ],
    ids=["throttled", "refused", "throttled in band", "reset"],
)
def test_another_key_serves_before_the_first_token(fresh: Proxy, vendor: VendorThread, first: Reply) -> None:
    vendor.reply(first)
    vendor.reply(bedrock_stream(TEXT))
    answer = messages(fresh)
    assert (answer["text"], answer["error"]) == ("Hello", None)
    assert [signer(vendor, 0), signer(vendor, 1)] == ["one", "two"]


def test_a_bad_request_is_not_repeated(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_error(400, "ValidationException", "max_tokens: too large"))
    answer = messages(proxy)
    assert (answer["error"]["type"], answer["error"]["status"]) == ("BadRequestError", 400)
    assert json.loads(answer["body"])["error"] == {
        "type": "invalid_request_error",
        "message": "max_tokens: too large",
    }
    assert len(vendor.requests) == 1


def test_an_exception_in_the_middle_of_a_stream_is_raised(proxy: Proxy, vendor: VendorThread) -> None:
    broken = exception("modelStreamErrorException", "the model broke off")
    vendor.reply(streamed([*map(chunk, TEXT[:4]), broken], kind=KIND))
    answer = messages(proxy)
    assert answer["text"]
    assert "the model broke off" in answer["error"]["text"]
    assert len(vendor.requests) == 1


CUTS = {
    "in a message": (Send(chunk(TEXT[-1])[:20]), Fin()),
    "between messages": (Fin(),),
    "with the body's own end": (Send(chunk(TEXT[-1])[:20]),),
    "with a wrong checksum": (Send(chunk(TEXT[-1])[:-1] + b"\0"),),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_stream_ends_as_length(proxy: Proxy, vendor: VendorThread, cut: str) -> None:
    vendor.reply(bedrock_stream(TEXT[:4], *CUTS[cut]))
    answer = messages(proxy)
    assert answer["text"]
    assert (answer["finish"], answer["error"]) == ("max_tokens", None)


def test_a_bearer_key(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(TEXT))
    assert messages(proxy, model="claude-bearer")["text"] == "Hello"
    assert vendor.requests[-1].credential == BEARER
    assert vendor.requests[-1].target == f"{PATH}invoke-with-response-stream"


def test_a_client_of_another_protocol(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(TEXT))
    with client(proxy) as http:
        answer = http.post("https://api.openai.com/v1/chat/completions", content=ask(stream=True))
    assert '"Hel"' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")
    assert signer(vendor) == "one"


def test_betas_stand_in_the_body(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(bedrock_stream(TEXT))
    messages(proxy, extra_headers={"anthropic-beta": "a-1, b-2"})
    assert vendor.requests[-1].json()["anthropic_beta"] == ["a-1", "b-2"]


def test_tokens_are_not_counted_by_it(proxy: Proxy, vendor: VendorThread) -> None:
    body = json.loads(ask("claude-x", stream=False))
    with client(proxy) as http:
        answer = http.post("https://api.anthropic.com/v1/messages/count_tokens", json=body)
    assert answer.status_code == 400
    assert "count_tokens" in answer.json()["error"]["message"]
    assert not vendor.requests


def test_bedrock_s_own_client_passes_through(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(whole(messages_answer("Hello")))
    answer = run("anthropic-current", "anthropic_bedrock", proxy.environment(), key="key-of-the-client")
    assert answer == {"text": "Hello"}
    received = vendor.requests[-1]
    assert received.target == "/model/anthropic.claude-3-5-sonnet-20241022-v2:0/invoke"
    assert received.credential == "key-of-the-client"
