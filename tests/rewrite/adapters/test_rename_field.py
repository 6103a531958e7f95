"""rename_field: a field by its dotted path, at the places that the config names."""

from typing import Any

import pytest

from tests.rewrite.adapters.bodies import CHAT, CHAT_BODY, adapter, leaves_alone, sent

EVENT = {"choices": [{"delta": {"thoughts": "a"}}, {"delta": {"content": "b"}}, 3], "id": "1"}


def renamed(body: dict[str, Any], old: str, new: str) -> Any:
    return sent(adapter("rename_field", **{"from": old, "to": new}), CHAT, body)


@pytest.mark.parametrize(
    ("body", "old", "new", "expected"),
    [
        ({"a": 1, "b": 2}, "a", "c", {"b": 2, "c": 1}),
        ({"a": None}, "a", "c", {"c": None}),
        ({"a": {"b": 1, "x": 0}}, "a.b", "a.c", {"a": {"x": 0, "c": 1}}),
        ({"a": {"b": 1}}, "a.b", "c", {"a": {}, "c": 1}),
        ({"a": 1}, "a", "b.c.d", {"b": {"c": {"d": 1}}}),
        ({"a": 1, "b": {"x": 0}}, "a", "b.c", {"b": {"x": 0, "c": 1}}),
        ({"a": 1, "c": 2}, "a", "c", {"c": 2}),
        ({"a": 1, "b": 2}, "a", "b.c", {"b": 2}),
        ({"a": [{"b": 1}, {"b": 2}, {"x": 3}]}, "a.b", "a.c", {"a": [{"c": 1}, {"c": 2}, {"x": 3}]}),
    ],
    ids=["flat", "null", "nested", "up", "down", "beside", "there already", "in the way", "items"],
)
def test_a_field_moves(body: dict[str, Any], old: str, new: str, expected: dict[str, Any]) -> None:
    assert renamed(body, old, new) == expected


@pytest.mark.parametrize("old", ["absent", "messages.absent", "model.x", "top_p.x.y"])
def test_what_has_no_such_field_is_left_alone(old: str) -> None:
    assert leaves_alone(adapter("rename_field", **{"from": old, "to": "new"}), CHAT, CHAT_BODY)


@pytest.mark.parametrize("at", ["request", "answer", "event", "all"])
def test_it_applies_where_the_config_says(at: str) -> None:
    rename = adapter(
        "rename_field", **{"from": "choices.delta.thoughts", "to": "choices.delta.reasoning", "at": at}
    )
    moved = {"choices": [{"delta": {"reasoning": "a"}}, {"delta": {"content": "b"}}, 3], "id": "1"}
    assert rename.request(EVENT, CHAT) == (moved if at in ("request", "all") else EVENT)
    assert rename.answer(EVENT, CHAT) == (moved if at in ("answer", "all") else EVENT)
    events = rename.stream(CHAT)
    assert (events is not None) == (at in ("event", "all"))
    assert events is None or events(EVENT) == (moved,)


@pytest.mark.parametrize(("old", "new"), [("a", "a"), ("a.b", "a"), ("a", "a.b")])
def test_a_path_within_the_other_is_refused(old: str, new: str) -> None:
    with pytest.raises(ValueError, match="one lies within the other"):
        adapter("rename_field", **{"from": old, "to": new})
