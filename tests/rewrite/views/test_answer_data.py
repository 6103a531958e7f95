"""Answers of all protocols as plain data, streamed or whole, cut or broken."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import Decoder
from protocols.model.call import Call, Operation
from rewrite.views.answer_data import MOST_EVENTS, answer_data
from rewrite.views.yaml_text import yaml_text
from tests.contract import JSON, REGISTRY, SSE, Sample, samples

SAMPLES = samples()


def decoder(sample: Sample) -> Decoder:
    return sample.protocol.decoder(sample.call, sample.head)


def named(protocol: str, name: str) -> Sample:
    (found,) = [one for one in SAMPLES if one.protocol.name == protocol and one.name == name]
    return found


@pytest.mark.parametrize(
    "protocol", ["openai_chat", "openai_responses", "anthropic_messages", "gemini_generate", "ollama_chat"]
)
def test_a_stream_says_what_the_whole_answer_says(protocol: str) -> None:
    framing = {"ollama_chat": "ndjson"}.get(protocol, "sse")
    sample = named(protocol, f"tools.{framing}")
    found = answer_data(decoder(sample), sample.data, 200)
    assert "call " in str(found["answer"])
    assert found["finish"] in (
        "tool_calls",
        "tool_calls (tool_use)",
        "tool_calls (STOP)",
        "tool_calls (completed)",
        "tool_calls (stop)",
    )


def test_reasoning_text_usage_and_finish() -> None:
    sample = named("openai_chat", "openrouter.sse")
    assert answer_data(decoder(sample), sample.data, 200) == {
        "model": "sample/model",
        "id": "gen-1",
        "finish": "stop",
        "usage": {
            "input": 9,
            "cache_read": 2,
            "cache_write": 5,
            "output": 14,
            "reasoning": 6,
            "cost": 0.0001,
        },
        "answer": [
            {"reasoning": "The sky is up."},
            {"text": "It is blue", "sources": ["Sky https://sky.test/"]},
            {"media": "[image/png, 6 bytes]"},
        ],
    }


def test_an_error_in_a_stream_stands_beside_what_came_before() -> None:
    sample = named("anthropic_messages", "error.sse")
    found = answer_data(decoder(sample), sample.data, 200)
    assert found["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert found["answer"] == "Well [cut]"


def test_a_cut_stream_says_that_it_has_no_end() -> None:
    sample = named("anthropic_messages", "text.sse")
    found = answer_data(decoder(sample), sample.data[:-400], 200)
    assert found["finish"] == "none: it has no end"
    assert str(found["answer"]).endswith(" [cut]")


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", {"status": 502, "answer": "[empty]"}),
        (
            b"<h1>Bad gateway</h1>",
            {"status": 502, "answer": "<h1>Bad gateway</h1>", "not understood": "1 events of another form"},
        ),
        (b'["a"]', {"status": 502, "answer": ["a"]}),
    ],
)
def test_what_is_no_answer_is_shown_as_it_is(body: bytes, found: dict[str, object]) -> None:
    call = Call("", "openai_chat", Operation.GENERATE, "m", False, ())
    assert answer_data(REGISTRY["openai_chat"].decoder(call, JSON), body, 502) == found


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@given(data=st.data())
def test_whatever_is_cut_or_broken_can_be_shown(sample: Sample, data: st.DataObject) -> None:
    body = sample.data
    at = data.draw(st.integers(0, len(body)))
    odd = data.draw(st.binary(max_size=4))
    for broken in (body[:at], body[:at] + odd + body[at:]):
        assert yaml_text(answer_data(decoder(sample), broken, 200))


@pytest.mark.parametrize("body", [b"\n" * MOST_EVENTS * 9, b": quiet\n\n" * MOST_EVENTS * 2])
def test_no_end_of_empty_events_is_read(body: bytes) -> None:
    """Each takes as long as one that says something."""
    call = Call("", "openai_chat", Operation.GENERATE, "m", True, ())
    found = answer_data(REGISTRY["openai_chat"].decoder(call, SSE), body, 200)
    assert found["cut"] == f"the first {MOST_EVENTS:,} events were read"


def test_five_megabytes_are_read_at_once() -> None:
    event = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (
        b"word " * 4
    )
    body = event * (5_000_000 // len(event))
    call = Call("", "openai_chat", Operation.GENERATE, "m", True, ())
    began = time.process_time()
    text = yaml_text(answer_data(REGISTRY["openai_chat"].decoder(call, SSE), body, 200))
    assert time.process_time() - began < 1
    assert "bytes were read" in text
