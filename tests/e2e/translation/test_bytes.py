"""What translated answers are on the wire, judged by grammars that are not ours, and by what SDKs need."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.talk import client
from tests.e2e.translation.bench import ALIAS, ALIASED, UPSTREAMS, Bench, bench, model_of
from tests.e2e.translation.scenarios import ANSWER, COMPLAINT, SCENARIOS, THOUGHTS, Fails, Refused, Scenario
from tests.oracle import judges

USER = {"role": "user", "content": "hi"}
KEY = {"authorization": "Bearer sk-client-own-key"}
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models"
# A cut call that a client gets whole or not at all leaves nothing to stream: it is a refusal as well.
STREAMED = [
    scenario
    for scenario in SCENARIOS
    if not isinstance(scenario.fault, Refused) and scenario.name not in {"cutcall", "cutbody"}
]


@dataclass(frozen=True, slots=True)
class Ask:
    """How a client of a protocol asks for a stream."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    content_type: str

    def post(self, http: httpx.Client, model: str) -> httpx.Response:
        body = {**self.body, **({} if "MODEL" in self.url else {"model": model})}
        return http.post(self.url.replace("MODEL", model), json=body, headers=dict(self.headers))


SSE = "text/event-stream"
ASKS = {
    "openai_chat": Ask(
        "https://api.openai.com/v1/chat/completions", {"messages": [USER], "stream": True}, KEY, SSE
    ),
    "openai_responses": Ask("https://api.openai.com/v1/responses", {"input": "hi", "stream": True}, KEY, SSE),
    "anthropic_messages": Ask(
        "https://api.anthropic.com/v1/messages",
        {"messages": [USER], "max_tokens": 1024, "stream": True},
        {"x-api-key": "sk-ant-client-own-key", "anthropic-version": "2023-06-01"},
        SSE,
    ),
    "gemini_generate": Ask(
        f"{GOOGLE}/MODEL:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {"x-goog-api-key": "client-own-key"},
        SSE,
    ),
    "ollama_chat": Ask("https://ollama.com/api/chat", {"messages": [USER]}, KEY, "application/x-ndjson"),
}
FORMS: Mapping[str, Callable[[bytes], object]] = {
    "openai_chat": lambda body: re.fullmatch(rb"(data: [^\r\n]*\n\n)*", body),
    "openai_responses": lambda body: re.fullmatch(rb"(event: \S+\ndata: [^\r\n]*\n\n)*", body),
    # An event without its name is dropped in silence.
    "anthropic_messages": lambda body: re.fullmatch(rb"(event: \S+\ndata: [^\r\n]*\n\n)*", body),
    # A comment, a name, or `data:` without the space, and google-genai raises.
    "gemini_generate": lambda body: re.fullmatch(rb"(data: [^\r\n]*\r\n\r\n)*", body),
    # A blank line, and the Python client raises.
    "ollama_chat": lambda body: re.fullmatch(rb"(\{[^\r\n]*\}\n)*", body),
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("bytes")) as running:
        yield running


@pytest.fixture(scope="module")
def http(played: Bench) -> Iterator[httpx.Client]:
    with client(played.proxy) as http:
        yield http


@pytest.mark.parametrize("scenario", STREAMED, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("protocol", ASKS)
def test_a_stream(protocol: str, upstream: str, scenario: Scenario, http: httpx.Client) -> None:
    ask = ASKS[protocol]
    answer = ask.post(http, f"{scenario.name}.bytes.{protocol}.via-{upstream}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(ask.content_type)
    assert FORMS[protocol](answer.content), answer.text
    judged = judges()[protocol](answer.content)
    assert judged["violations"] == []
    if isinstance(scenario.fault, Fails):
        assert COMPLAINT in json.dumps(judged["error"])
    else:
        assert judged["terminal"] or judged["error"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_gemini_without_sse_is_an_array(upstream: str, http: httpx.Client) -> None:
    ask = ASKS["gemini_generate"]
    url = f"{GOOGLE}/thought.array.via-{upstream}:streamGenerateContent"
    answer = http.post(url, json=dict(ask.body), headers=dict(ask.headers))
    assert answer.headers["content-type"].startswith("application/json")
    chunks = json.loads(answer.content)
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if part.get("thought")) == "".join(THOUGHTS)
    assert "".join(part["text"] for part in parts if not part.get("thought")) == ANSWER.text
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


def test_another_model_goes_by_the_name_that_was_asked(played: Bench, http: httpx.Client) -> None:
    answer = http.post(
        "https://api.openai.com/v1/chat/completions",
        json={"model": ALIAS, "messages": [USER]},
        headers=KEY,
    )
    assert answer.json()["model"] == ALIAS
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER.text
    assert [model_of(request) for request in played.vendor.requests if ALIASED in model_of(request)] == [
        ALIASED
    ]
