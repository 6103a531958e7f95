"""drop_params: what the provider refuses is left out."""

from tests.rewrite.adapters.bodies import CHAT, CHAT_BODY, GEMINI, GEMINI_BODY, adapter, leaves_alone, sent


def test_fields_go_at_any_depth() -> None:
    drop = adapter(
        "drop_params", params=["top_p", "stream_options.include_usage", "messages.reasoning_content"]
    )
    after = sent(drop, CHAT, CHAT_BODY)
    assert "top_p" not in after
    assert after["stream_options"] == {}
    assert after["messages"] == [
        *CHAT_BODY["messages"][:3],
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert after.keys() == CHAT_BODY.keys() - {"top_p"}


def test_any_protocol() -> None:
    after = sent(adapter("drop_params", params=["generationConfig.topK"]), GEMINI, GEMINI_BODY)
    assert after == {**GEMINI_BODY, "generationConfig": {"temperature": 1.5}}


def test_what_is_not_there_changes_nothing() -> None:
    assert leaves_alone(adapter("drop_params", params=["seed", "messages.x", "model.x"]), CHAT, CHAT_BODY)


def test_answers_keep_their_fields() -> None:
    drop = adapter("drop_params", params=["model"])
    assert drop.answer(CHAT_BODY, CHAT) is CHAT_BODY
    assert drop.stream(CHAT) is None
