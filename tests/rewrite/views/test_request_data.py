"""Requests of all protocols as plain data: texts, calls and results of tools, placeholders for media."""

import pytest

from rewrite.views.request_data import LONGEST_FORMER, MOST_MESSAGES, request_data

PNG = "iVBORw0KGgo" * 100
SCHEMA = {"type": "object", "properties": {"city": {}, "unit": {}}, "required": ["city"]}
TOOLS = {"get_weather(city, unit?)": "The weather."}
TURNS = [
    {"user": "How is it?\n[image/png, 825 bytes]"},
    {"assistant": [{"reasoning": "Look."}, {"call get_weather (c1)": {"city": "Paris"}}]},
]
CHAT = {
    "model": "m",
    "stream": True,
    "temperature": 0.5,
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather.\nOf a city.",
                "parameters": SCHEMA,
            },
        }
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Look.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Fine."},
    ],
}
MESSAGES = {
    "model": "m",
    "stream": True,
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "get_weather", "description": "The weather.", "input_schema": SCHEMA}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "How is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look.", "signature": "x" * 500},
                {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "Fine."}]}
            ],
        },
    ],
}
GEMINI = {
    "generationConfig": {"temperature": 0.5},
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [
        {
            "functionDeclarations": [
                {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
            ]
        }
    ],
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "How is it?"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "Look.", "thought": True},
                {
                    "functionCall": {"id": "c1", "name": "get_weather", "args": {"city": "Paris"}},
                    "thoughtSignature": "x",
                },
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "get_weather", "response": {"output": "Fine."}}}
            ],
        },
    ],
}
RESPONSES = {
    "model": "m",
    "instructions": "Be brief.",
    "tools": [
        {"type": "function", "name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
    ],
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "How is it?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Look."}],
            "encrypted_content": "x" * 900,
        },
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "Fine."},
    ],
}
OLLAMA = {
    "model": "m",
    "messages": [
        {"role": "user", "content": "How is it?", "images": [PNG]},
        {
            "role": "assistant",
            "thinking": "Look.",
            "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}],
        },
        {"role": "tool", "tool_name": "get_weather", "content": "Fine."},
    ],
}


def test_chat() -> None:
    assert request_data(CHAT) == {
        "model": "m",
        "parameters": {"stream": True, "temperature": 0.5},
        "tools": TOOLS,
        "messages (4)": [{"system": "Be brief."}, *TURNS, {"result c1": "Fine."}],
    }


def test_messages() -> None:
    assert request_data(MESSAGES) == {
        "model": "m",
        "parameters": {"stream": True, "max_tokens": 9},
        "tools": TOOLS,
        "system": "Be brief.",
        "messages (3)": [*TURNS, {"user": {"result c1": "Fine."}}],
    }


def test_gemini() -> None:
    assert request_data(GEMINI, "of-the-path") == {
        "model": "of-the-path",
        "parameters": {"generationConfig": {"temperature": 0.5}},
        "tools": TOOLS,
        "system": "Be brief.",
        "messages (3)": [*TURNS, {"user": {"result c1": {"output": "Fine."}}}],
    }


def test_an_envelope_of_code_assist_is_opened() -> None:
    found = request_data({"model": "g", "project": "p", "request": GEMINI})
    assert (found["model"], found["system"]) == ("g", "Be brief.")


def test_responses() -> None:
    assert request_data(RESPONSES) == {
        "model": "m",
        "tools": TOOLS,
        "system": "Be brief.",
        "messages (4)": [
            TURNS[0],
            {"reasoning": "Look."},
            {"call get_weather (c1)": {"city": "Paris"}},
            {"result c1": "Fine."},
        ],
    }
    assert request_data({"model": "m", "input": "Hi"}) == {"model": "m", "messages": [{"user": "Hi"}]}


def test_ollama() -> None:
    assert request_data(OLLAMA) == {
        "model": "m",
        "messages (3)": [
            {"user": "How is it?\n[image, 825 bytes]"},
            {"assistant": [{"reasoning": "Look."}, {"call get_weather": {"city": "Paris"}}]},
            {"result get_weather": "Fine."},
        ],
    }


def test_what_is_not_known_is_shown_as_it_is_but_for_what_nobody_reads() -> None:
    turn = {"role": "user", "content": [{"type": "later", "x": [1], "signature": "s" * 99, "blob": PNG}]}
    shown = request_data({"messages": [turn]})["messages (1)"]
    blob = f"[{len(PNG):,} characters without a blank]"
    assert shown == [
        {"user": {"type": "later", "x": [1], "signature": "[signature, 99 characters]", "blob": blob}}
    ]


def test_turns_before_the_last_are_shortened_and_the_first_of_many_left_out() -> None:
    long = "word " * LONGEST_FORMER
    turns = [
        {"role": "user", "content": long},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": long},
    ]
    found = request_data({"messages": [*[{"role": "user", "content": "x"}] * MOST_MESSAGES, *turns]})
    shown = found[f"messages ({MOST_MESSAGES + 3})"]
    assert isinstance(shown, list)
    assert shown[0] == "[3 messages before]"
    assert len(shown[-3]["user"]) < LONGEST_FORMER + 100
    assert shown[-1] == {"user": long}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"messages": {"a": 1}},
        {"messages": [1, None, []]},
        {"tools": 3, "input": [[]]},
        {"contents": [{"parts": 3}]},
        {"system": 7, "messages": [{"role": 3, "content": {"type": 4}}]},
    ],
)
def test_what_makes_no_sense_is_shown_somehow(odd: dict[str, object]) -> None:
    assert "model" in request_data(odd)
