"""Every protocol says the same: what a test scripts once reaches the wire in each protocol's own form."""

import json

import httpx
import pytest

from tests.oracle import judges
from tests.vendor import Reply, Send, Tool, Vendor, VendorThread
from tests.vendor.answers import SEAL
from tests.vendor.gemini import gemini_array
from tests.vendor.script import Reset
from tests.vendor.speech import SPEECHES, Said, Speech, speech_of

TOOLS = (Tool("f", ('{"a"', ":1}"), "call_a"), Tool("g", ("{}",), "call_b"))
EVERYTHING = Said(("Hel", "lo"), ("hm", "m"), TOOLS, "tools")
SAID = {
    "text": Said(("Hel", "lo")),
    "everything": EVERYTHING,
    "too long": Said(("Hel", "lo"), finish="length"),
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini_generate": "/v1beta/models/m:streamGenerateContent?alt=sse",
    "ollama_chat": "/api/chat",
}
EVERY = pytest.mark.parametrize("speech", SPEECHES.values(), ids=SPEECHES)


def body_of(reply: Reply) -> bytes:
    return b"".join(step.data for step in reply.steps if isinstance(step, Send))


@EVERY
@pytest.mark.parametrize("said", SAID.values(), ids=SAID)
def test_a_stream_passes_the_reference_grammar(speech: Speech, said: Said) -> None:
    judged = judges()[speech.protocol](body_of(speech.stream(said, model="m")))
    assert (judged["terminal"], judged["error"], judged["violations"]) == (True, None, [])


@EVERY
def test_a_cut_stream_does_not_end(speech: Speech) -> None:
    reply = speech.reset(EVERYTHING, "Hel", model="m")
    judged = judges()[speech.protocol](body_of(reply))
    assert (judged["terminal"], judged["violations"]) == (False, [])
    assert reply.steps[-1] == Reset()


@EVERY
def test_a_stream_that_fails_says_why(speech: Speech) -> None:
    judged = judges()[speech.protocol](body_of(speech.failing(EVERYTHING, "Hel", "out of breath", model="m")))
    assert "out of breath" in json.dumps(judged["error"])
    assert judged["violations"] == []


@EVERY
@pytest.mark.parametrize("stream", [True, False])
def test_all_that_is_said_is_there(speech: Speech, stream: bool) -> None:
    reply = speech.stream(EVERYTHING, model="m") if stream else speech.whole(EVERYTHING, model="m")
    body = body_of(reply).decode()
    assert all(f'"{tool.name}"' in body for tool in TOOLS)
    assert all(text in body for text in (EVERYTHING.texts if stream else [EVERYTHING.text]))
    assert (SEAL in body) is (speech.protocol not in {"openai_chat", "ollama_chat"})
    # Ollama's calls have no id.
    assert ("call_a" in body) is (speech.protocol != "ollama_chat")
    assert f'"{speech.finishes["tools"]}"' in body


@EVERY
def test_a_refusal_has_its_status(speech: Speech) -> None:
    reply = speech.error(429, "slow down", (("retry-after", "3"),))
    assert (reply.status, reply.headers[-1]) == (429, ("retry-after", "3"))
    error = json.loads(body_of(reply))["error"]
    assert (error if isinstance(error, str) else error["message"]) == "slow down"


def test_a_gemini_array_has_the_chunks_of_its_stream() -> None:
    speech = SPEECHES["gemini_generate"]
    events = speech.events(EVERYTHING, "m")
    assert all(event.endswith(b"\r\n\r\n") for event in events)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events]
    assert json.loads(body_of(speech.stream(EVERYTHING, model="m", array=True))) == chunks
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(b"".join(gemini_array(["a"], finish=None)))


def test_an_unknown_path_is_no_call() -> None:
    assert speech_of("/v1/messages/count_tokens") is None


@pytest.mark.parametrize("protocol", PATHS)
def test_a_provider_in_good_health_speaks_all_of_them(protocol: str) -> None:
    with VendorThread(Vendor()) as vendor:
        body = {"model": "m", "stream": True}
        answer = httpx.post(vendor.base_url + PATHS[protocol], json=body, trust_env=False)
    judged = judges()[protocol](answer.content)
    assert (judged["terminal"], judged["error"], judged["violations"]) == (True, None, [])
