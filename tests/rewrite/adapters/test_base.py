"""What an adapter is given: options that are checked, and a base that changes nothing."""

from collections.abc import Callable

import pytest

from rewrite.adapters.base import Options, Unchanged, number
from tests.rewrite.adapters.bodies import CHAT, CHAT_BODY


def test_the_base_changes_nothing() -> None:
    base = Unchanged()
    assert base.request(CHAT_BODY, CHAT) is CHAT_BODY
    assert base.answer(CHAT_BODY, CHAT) is CHAT_BODY
    assert base.stream(CHAT) is None


def test_options_are_read_by_their_kind() -> None:
    options = Options({"model": "m", "params": ["a", "b"], "to": "user"})
    assert options.text("model") == "m"
    assert options.texts("params") == ("a", "b")
    assert options.one_of("to", ("system", "user"), "system") == "user"
    assert options.one_of("at", ("all", "event"), "all") == "all"


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda options: options.text("absent"), "needs the option 'absent'"),
        (lambda options: options.text("empty"), "empty = '' is not a text"),
        (lambda options: options.text("one"), "one = 1 is not a text"),
        (lambda options: options.texts("absent"), "needs the option 'absent'"),
        (lambda options: options.texts("word"), "word = 'word' is not a list of texts"),
        (lambda options: options.texts("none"), "is not a list of texts with at least one"),
        (lambda options: options.texts("ones"), "ones = 1 is not a text"),
        (lambda options: options.one_of("word", ("a", "b"), "a"), "word = 'word' is none of a, b"),
        (lambda options: options.one_of("one", ("a", "b"), "a"), "one = 1 is none of a, b"),
    ],
)
def test_a_bad_value_is_refused(read: Callable[[Options], object], says: str) -> None:
    values = {"empty": "", "one": 1, "word": "word", "none": [], "ones": [1]}
    with pytest.raises(ValueError, match=says):
        read(Options(values))


def test_numbers() -> None:
    assert [number(value) for value in (0, 1.5, -2)] == [0, 1.5, -2]
    others: tuple[object, ...] = (True, "1", None, float("inf"), float("nan"), [])
    assert {number(value) for value in others} == {None}
