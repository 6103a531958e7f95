"""Turns of a conversation, as requests repeat them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop, Signature, StreamPart
from protocols.model.progress import Progress
from protocols.model.wirejson import dump, load_lazily, load_object
from protocols.shared.history import LARGEST_ITEM, MOST_PAIRS, History, answer_turn, history_of
from tests.oracle import NAMED

ID = "toolu_01A2b3C4d5E6f7G8h9"
SIGNATURE = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "What is here?"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"id": ID, "type": "function", "function": {"name": "ls", "arguments": '{"b": 1, "a": "x"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": ID, "content": "one two"},
]
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "What is here?", "cache_control": {"type": "x"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": ID, "name": "ls", "input": {"a": "x", "b": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": ID, "content": [{"type": "text", "text": "one two"}]}
        ],
    },
]
RESPONSES = [
    {"role": "developer", "content": "Be kind."},
    {"role": "user", "content": [{"type": "input_text", "text": "What is here?"}]},
    {"type": "reasoning", "id": "rs_1", "encrypted_content": SIGNATURE, "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
    {"type": "function_call", "call_id": ID, "name": "ls", "arguments": '{"a":"x","b":1}'},
    {"type": "function_call_output", "call_id": ID, "output": "one two"},
]
GEMINI = [
    {"role": "user", "parts": [{"text": "What is "}, {"text": "here?"}]},
    {
        "role": "model",
        "parts": [
            {"text": "Hm.", "thought": True},
            {"text": "I look."},
            {
                "functionCall": {"name": "ls", "args": {"b": 1, "a": "x"}, "id": ID},
                "thoughtSignature": SIGNATURE,
            },
        ],
    },
    {"role": "user", "parts": [{"functionResponse": {"name": "ls", "response": {"output": "one two"}}}]},
]
BODIES: Mapping[str, Mapping[str, object]] = {
    "chat": {"messages": CHAT},
    "messages": {"system": "Be kind.", "messages": MESSAGES},
    "responses": {"input": RESPONSES},
    "gemini": {"contents": GEMINI},
    "code assist": {"request": {"contents": GEMINI}},
}


def history(body: Mapping[str, object]) -> History:
    """Of a request, which says the same whether it is parsed at once or when it is asked for."""
    data = dump(body)
    parsed = load_object(data)
    lazy = load_lazily(data)
    assert parsed is not None
    assert lazy is not None
    found = history_of(parsed)
    assert found is not None
    if "request" not in body:  # which is parsed at once by its protocol
        assert history_of(lazy) == found
    return found


@pytest.mark.parametrize("name", BODIES)
def test_a_conversation_is_the_same_in_every_protocol(name: str) -> None:
    found = history(BODIES[name])
    assert found.opening.text == "Whatishere?"
    assert found.asked.text == "onetwo"
    (pair,) = found.pairs
    assert pair.asked.text == "Whatishere?"
    assert pair.answered.text == 'Ilook.ls({"a":"x","b":1})'
    assert ID in pair.answered.ids
    assert set(pair.answered.ids) <= {ID, SIGNATURE}


@pytest.mark.parametrize("name", ["messages", "responses", "gemini"])
def test_signatures_are_of_their_providers_making(name: str) -> None:
    assert SIGNATURE in history(BODIES[name]).pairs[0].answered.ids


def answer(*parts: StreamPart) -> Progress:
    progress = Progress()
    progress.fold(parts)
    return progress


def test_an_answer_is_known_again_in_what_its_client_sends_back() -> None:
    turn = answer_turn(
        answer(
            BlockStart(0, 0, BlockKind.REASONING),
            BlockDelta(0, 0, BlockKind.REASONING, "Hm."),
            BlockStop(0, 0, Signature("signature", SIGNATURE)),
            BlockStart(0, 1, BlockKind.TEXT),
            BlockDelta(0, 1, BlockKind.TEXT, "I "),
            BlockDelta(0, 1, BlockKind.TEXT, "look.\n"),
            BlockStart(0, 2, BlockKind.TOOL, ID, "ls"),
            BlockDelta(0, 2, BlockKind.TOOL, '{"a": "x",'),
            BlockDelta(0, 2, BlockKind.TOOL, ' "b": 1}'),
            BlockStart(1, 0, BlockKind.TEXT),
            BlockDelta(1, 0, BlockKind.TEXT, "Another choice."),
        )
    )
    again = history(BODIES["messages"]).pairs[0].answered
    assert turn.text == again.text
    assert set(turn.ids) == set(again.ids) == {ID, SIGNATURE}


def test_a_bare_text_is_what_is_asked() -> None:
    found = history({"input": "Say hello."})
    assert (found.asked.text, found.opening.text, found.pairs) == ("Sayhello.", "Sayhello.", ())


def test_there_is_no_history_without_messages() -> None:
    assert history_of({}) is None
    assert history_of({"messages": []}) is None
    assert history_of({"request": {"contents": []}}) is None


def test_a_history_that_ends_with_the_model_asks_nothing() -> None:
    found = history({"messages": [*CHAT[:2], {"role": "assistant", "content": "{"}]})
    assert found.asked.text == ""
    assert [pair.answered.text for pair in found.pairs] == ["{"]


def turns(count: int) -> list[dict[str, str]]:
    sides = ("user", "assistant")
    return [{"role": sides[n % 2], "content": f"turn {n}"} for n in range(count)]


def test_the_last_answers_count() -> None:
    found = history({"messages": turns(101)})
    assert [pair.answered.text for pair in found.pairs] == [
        f"turn{n}" for n in range(99, 99 - 2 * MOST_PAIRS, -2)
    ]
    assert [pair.asked.text for pair in found.pairs] == [
        f"turn{n}" for n in range(98, 98 - 2 * MOST_PAIRS, -2)
    ]
    assert (found.asked.text, found.opening.text) == ("turn100", "turn0")


def test_a_short_id_is_anybodys() -> None:
    said = {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "ls", "input": {}}]}
    assert history({"messages": [*turns(1), said]}).pairs[0].answered.ids == ()


def test_of_a_large_result_only_its_start_counts() -> None:
    def asked(text: str) -> History:
        return history({"messages": [*turns(2), {"role": "user", "content": text}]})

    large = "x " * LARGEST_ITEM
    lazy = load_lazily(dump({"messages": [*turns(2), {"role": "user", "content": large}]}))
    assert lazy is not None
    found = history_of(lazy)
    assert found is not None
    assert len(found.asked.text) <= 1000
    assert found.pairs == asked("y").pairs


def test_a_large_answer_is_one_of_the_model() -> None:
    messages = [*turns(1), {"role": "assistant", "content": "y " * LARGEST_ITEM}, *turns(1)]
    for load in (load_object, load_lazily):
        body = load(dump({"messages": messages}))
        assert body is not None
        found = history_of(body)
        assert found is not None
        assert [len(found.pairs), found.asked.text, found.opening.text] == [1, "turn0", "turn0"]


def test_calls_come_after_texts_whatever_their_order() -> None:
    call = {"type": "function_call", "call_id": ID, "name": "ls", "arguments": "{}"}
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}
    for items in ([call, text], [text, call]):
        found = history({"input": [{"role": "user", "content": "hi"}, *items]})
        assert found.pairs[0].answered.text == "Ilook.ls({})"


@pytest.mark.parametrize(
    "messages",
    [
        [None, 1, True, [], "text", {}],
        [{"role": 1, "content": {"text": ["a", {"text": None}]}}],
        [{"role": "assistant", "tool_calls": "x", "content": [[["deep"]]], "id": 5}],
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{not json"}}]}],
        [{"type": "function_call", "name": "f", "arguments": {"a": [1, {"b": "\ud800"}]}}],
    ],
)
def test_nothing_that_a_client_writes_is_an_error(messages: Sequence[object]) -> None:
    history({"messages": messages})


KEYS = ["role", "type", "content", "text", "parts", "id", "name", "args"]


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), nested))
def test_any_json_has_a_history_or_none(value: object) -> None:
    history_of({"messages": value})
    history_of({"contents": [value, {"role": "model", "parts": value}]})


def test_what_is_nested_too_deeply_is_not_read() -> None:
    lazy = load_lazily(b'{"messages": ' + b"[" * 500_000 + b"]" * 500_000 + b"}")
    assert lazy is None or history_of(lazy) is None


# -- real clients -----------------------------------------------------------------------------------------


def recorded(name: str) -> History:
    folder = Path(NAMED).parents[1] / "clients" / "requests" / "tool-turn"
    return history(json.loads((folder / f"{name}.json").read_bytes())["body"])


@pytest.mark.skipif(not NAMED, reason="ROTATOR_RECORDED names no folder of recorded streams")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("claude-1", "claude-2"),
        ("codex-2", "codex-3"),
        ("copilot-1", "copilot-2"),
        ("gemini-2", "gemini-3"),
        ("opencode-2", "opencode-3"),
    ],
)
def test_the_next_request_of_an_agent_repeats_what_its_first_asked(first: str, second: str) -> None:
    began, went_on = recorded(first), recorded(second)
    assert began.pairs == ()
    assert [pair.asked for pair in went_on.pairs] == [began.asked]
    assert went_on.opening == began.opening == began.asked
    assert went_on.pairs[0].answered.text
