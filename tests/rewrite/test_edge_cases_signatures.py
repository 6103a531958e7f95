"""What a provider signed (signatures, redacted thoughts) and what it did not, on its way through the history
of a client of another protocol."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from protocols.base import editor_of
from protocols.model.parts import BlockKind, FinishReason
from protocols.model.wirejson import dump, load_object
from protocols.shared.signatures import MARK, Returning
from tests.rewrite import edges
from tests.rewrite.across import answered, gist, read
from tests.rewrite.asks import REGISTRY, ask, target_at
from tests.rewrite.edges import gemini
from tests.rewrite.scenes import DONE, JSON, ROLE, SSE, chunk, finishes, says

CHAT, MESSAGES = "openai_chat", "anthropic_messages"
RESPONSES, GEMINI = "openai_responses", "gemini_generate"

to_others_of_messages = pytest.mark.parametrize("client", [CHAT, RESPONSES, GEMINI])
to_others_of_gemini = pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])

HELLO: dict[str, object] = {"role": "user", "content": "hello"}
GEMINI_HELLO: dict[str, object] = {"role": "user", "parts": [{"text": "hello"}]}
TEXT = {"type": "text", "text": "Hi"}
KEPT: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    CHAT: lambda body: {"messages": [HELLO, body["choices"][0]["message"], HELLO]},
    RESPONSES: lambda body: {"input": [HELLO, *body["output"], HELLO]},
    MESSAGES: lambda body: {"messages": [HELLO, {"role": "assistant", "content": body["content"]}, HELLO]},
    GEMINI: lambda body: {"contents": [GEMINI_HELLO, body["candidates"][0]["content"], GEMINI_HELLO]},
}
"""The fields of a client's next request, which keep the answer that it got."""


def message(*content: object) -> bytes:
    return dump({"type": "message", "role": "assistant", "content": content, "stop_reason": "end_turn"})


def candidate(*parts: object) -> bytes:
    content = {"role": "model", "parts": parts}
    return dump({"candidates": [{"content": content, "index": 0, "finishReason": "STOP"}]})


def sent_back(client: str, upstream: str, answer: bytes, provider: str) -> Any:
    """What `provider` gets of the answer of `elsewhere`, when the client continues."""
    body = load_object(answered(client, upstream, answer, JSON, stream=False).body)
    rendered = target_at(ask(client, **KEPT[client](body)), upstream, provider=provider).rendered
    assert rendered is not None
    turns: Any = rendered.body["contents" if upstream == GEMINI else "messages"]
    _, turn, _ = turns
    return turn["parts" if upstream == GEMINI else "content"]


@to_others_of_messages
def test_case_09_thinking_cut_before_its_signature(client: str) -> None:
    """It is shown, without a signature of anybody's, and ends with "length"."""
    one = answered(client, MESSAGES, edges.CUT_THINKING, SSE)
    progress = read(client, one.body, SSE)
    (thought,) = (each for each in progress.blocks.values() if each.kind is BlockKind.REASONING)
    assert (thought.text, gist(progress).finish) == ("hm", FinishReason.LENGTH)
    assert b"c2ln" not in one.body


@pytest.mark.parametrize("upstream", [CHAT, GEMINI])
@pytest.mark.parametrize("end", ["cut", "whole"])
def test_case_09_unsigned_thinking_is_marked_and_never_sent_on(upstream: str, end: str) -> None:
    """What a Messages client gets of unsigned thoughts has a mark; with it they go to no provider."""
    thoughts = {
        CHAT: ROLE + chunk({"reasoning_content": "hm"}),
        GEMINI: gemini({"text": "hm", "thought": True}),
    }
    whole = {CHAT: says("Hi") + finishes("stop") + DONE, GEMINI: gemini({"text": "Hi"}, finish="STOP")}
    one = answered(MESSAGES, upstream, thoughts[upstream] + (whole[upstream] if end == "whole" else b""), SSE)
    (mark,) = re.findall(rb'"signature_delta","signature":"([^"]+)"', one.body)
    assert mark.startswith(MARK.encode())
    thought = {"type": "thinking", "thinking": "hm", "signature": mark.decode()}
    turn = {"role": "assistant", "content": [thought, TEXT]}
    call = ask(MESSAGES, messages=[HELLO, turn, HELLO])
    kept = {"messages": [HELLO, {**turn, "content": [TEXT]}, HELLO]}
    assert editor_of(REGISTRY[MESSAGES]).own_signatures(call.body, Returning("own", native=True)) == {
        **call.body,
        **kept,
    }
    for to in (CHAT, RESPONSES, GEMINI):
        rendered = target_at(call, to).rendered
        assert rendered is not None
        assert mark not in dump(rendered.body)


@to_others_of_messages
@pytest.mark.parametrize(
    "signed",
    [
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "EqkECkYI"},
    ],
    ids=["case_10_signature_only_thinking", "case_11_redacted_thinking"],
)
def test_case_10_and_case_11_sealed_thinking(client: str, signed: dict[str, object]) -> None:
    """It goes back to its maker as it was, through any client's history, and to nobody else."""
    answer = message(signed, TEXT)
    assert sent_back(client, MESSAGES, answer, "elsewhere") == [signed, TEXT]
    assert sent_back(client, MESSAGES, answer, "another") == [TEXT]


@to_others_of_messages
def test_case_10_and_case_11_in_a_stream(client: str) -> None:
    """The client gets an envelope, no signature that it could take for one of its own provider's."""
    for data in (edges.SIGNATURE_ONLY, edges.REDACTED):
        one = answered(client, MESSAGES, data, SSE)
        assert gist(read(client, one.body, SSE)).text == "Hi"
        assert MARK.encode() in one.body
        assert not re.search(rb'"c2ln"|"EqkECkYI"', one.body)


@pytest.mark.parametrize("client", [MESSAGES, RESPONSES])
def test_case_12_gemini_signature_on_an_empty_text(client: str) -> None:
    """It goes back to its maker where it stood, after the text; to another it does not go."""
    answer = candidate({"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"})
    parts = sent_back(client, GEMINI, answer, "elsewhere")
    assert parts == [{"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"}]
    assert sent_back(client, GEMINI, answer, "another") == [{"text": "Hi"}]


def test_case_12_chat_has_no_place_after_a_text() -> None:
    """A chat message does not say what came first: there the signature comes back on the text itself."""
    answer = candidate({"text": "Hi"}, {"text": "", "thoughtSignature": "c2ln"})
    assert sent_back(CHAT, GEMINI, answer, "elsewhere") == [{"text": "Hi", "thoughtSignature": "c2ln"}]
    assert sent_back(CHAT, GEMINI, answer, "another") == [{"text": "Hi"}]


@to_others_of_gemini
def test_case_12_gemini_signature_on_the_first_of_parallel_calls(client: str) -> None:
    """It stays on the first call alone; for another provider it is gone."""
    first, second = ({"name": "weather", "args": {"city": city}} for city in ("Paris", "Oslo"))
    answer = candidate({"functionCall": first, "thoughtSignature": "c2ln"}, {"functionCall": second})
    own = sent_back(client, GEMINI, answer, "elsewhere")
    assert [part["functionCall"]["args"] for part in own] == [first["args"], second["args"]]
    assert [part.get("thoughtSignature") for part in own] == ["c2ln", None]
    others = dump(sent_back(client, GEMINI, answer, "another"))
    assert b"c2ln" not in others
    assert MARK.encode() not in others
