"""Lines put together as a whole answer."""

from protocols.ollama_chat.aggregate import OllamaFold

CALL = {"function": {"name": "f", "arguments": {"x": 1}}}


def line(done: bool = False, **fields: object) -> dict[str, object]:
    return {"model": "m", "created_at": "t", "done": done, **fields}


def says(**message: object) -> dict[str, object]:
    return line(message={"role": "assistant", **message})


def whole(*lines: dict[str, object], done: bool = True) -> dict[str, object]:
    fold = OllamaFold()
    for each in lines:
        fold.feed(each)
    found = fold.whole(done=done)
    assert found is not None
    return dict(found)


def test_texts_calls_and_pictures_are_gathered_and_the_last_line_counts() -> None:
    found = whole(
        {**says(content="", thinking="h"), "logprobs": [1]},
        {**says(content="", thinking="m"), "logprobs": [2]},
        says(content="He"),
        says(content="y", images=["x"]),
        says(content="", tool_calls=[CALL]),
        says(content="", tool_calls=[CALL]),
        line(
            True,
            message={"role": "assistant", "content": ""},
            done_reason="stop",
            eval_count=9,
            created_at="u",
        ),
    )
    message = {
        "role": "assistant",
        "content": "Hey",
        "thinking": "hm",
        "tool_calls": [CALL, CALL],
        "images": ["x"],
    }
    counted = {"done_reason": "stop", "eval_count": 9, "logprobs": [1, 2]}
    assert found == {"model": "m", "created_at": "u", "done": True, "message": message, **counted}


def test_an_end_without_a_reason_stays_one() -> None:
    assert "done_reason" not in whole(says(content="a"), line(True))


def test_one_that_was_cut_says_so() -> None:
    found = whole(says(content="a"), done=False)
    assert (found["done"], found["done_reason"]) == (True, "length")


def test_without_a_line_there_is_no_answer() -> None:
    assert OllamaFold().whole(done=True) is None
