"""The count of the files that a call goes through."""

from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from scripts.callpath.__main__ import house
from scripts.callpath.probe import Pair, Step, Steps
from scripts.callpath.report import Way, table

ONE, TWO = ("one.py", "ask"), ("two.py", "answer")

MOST = {"untouched": (45, 377), "translated": (62, 672)}
"""Files that a call with two tokens enters, and moves between them, the fewest of seven calls. What makes it
more has to say what for: of these, one file reads the conversation for the rules of the field cache, and
where one is for the call, as for the tools of the translated one, five are the cache. How the answer
arrives, and the clock's ticks, come to a few moves more or less. Five say what a call that is over came to:
its verdict, its classes of tokens, how many there are, their costs, and the entry, which is put by there.
What is counted of entries is no part of the way. Three write it down:
the journal, the record, and its texts."""


def way(*steps: Step) -> Way:
    """Of steps in this order."""
    pairs: dict[Pair, int] = {}
    for pair in pairwise([("", ""), *steps]):
        pairs[pair] = pairs.get(pair, 0) + 1
    return Way(pairs)


def test_a_file_is_entered_as_often_as_a_function_of_it_runs() -> None:
    assert way(ONE, ONE, TWO, ONE).entered == {"one.py": 3, "two.py": 1}


def test_only_steps_in_different_files_are_a_move() -> None:
    found = way(ONE, ONE, TWO, ("two.py", "help"), ONE, TWO)
    assert found.moves == {"one.py -> two.py": 2, "two.py -> one.py": 1}
    assert found.functions == {"one.py:ask -> two.py:answer": 2, "two.py:help -> one.py:ask": 1}


def test_the_table_names_the_most_frequent_first_and_equal_ones_by_name() -> None:
    lines = list(table("untouched", way(TWO, ONE, TWO, ONE), 1, functions=False))
    assert lines[0] == "untouched: 2 files, 3 moves"
    assert [line.split()[-1] for line in lines[2:4]] == ["one.py", "two.py"]
    assert lines[4:] == ["\n  moves  from -> to (1 of 2)", "      2  two.py -> one.py"]


@pytest.fixture
def modules(tmp_path: Path) -> tuple[Path, Path, ModuleType]:
    """Two files that call each other, and what both are in."""
    sources = {
        "one.py": "def ask():\n    return sum(each for each in count())\n",
        "two.py": "def count():\n    yield 1\n    yield 2\n",
    }
    both = ModuleType("both")
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
        exec(compile(source, tmp_path / name, "exec"), vars(both))
    return tmp_path / "one.py", tmp_path / "two.py", both


def test_calls_and_resumptions_are_steps_and_returns_are_none(
    modules: tuple[Path, Path, ModuleType],
) -> None:
    one, two, both = modules
    steps = Steps((one, two), one.parent)
    steps.start()
    try:
        both.ask()
    finally:
        steps.stop()
    found = Way(steps.pairs)
    # ask, the sum's generator and twice again; count and twice again.
    assert found.entered == {"one.py": 4, "two.py": 3}
    assert found.moves == {"one.py -> two.py": 3, "two.py -> one.py": 2}


def test_files_that_do_not_count_are_not_seen(modules: tuple[Path, Path, ModuleType]) -> None:
    one, _, both = modules
    steps = Steps([one], one.parent)
    steps.start()
    try:
        both.ask()
    finally:
        steps.stop()
    assert set(Way(steps.pairs).entered) == {"one.py"}


def test_a_real_call_is_counted_from_its_head_to_its_record() -> None:
    with house(tokens=2) as found:
        untouched, translated = found.way("untouched"), found.way("translated")
    assert {"addons/rotator.py", "addons/records/journal.py", "rewrite/exchange/exchange.py"} <= set(
        untouched.entered
    )
    assert "rewrite/translation/translate.py" not in untouched.entered
    assert "rewrite/translation/translate.py" in translated.entered
    assert untouched.moves.total() < translated.moves.total()
    for kind, found_way in (("untouched", untouched), ("translated", translated)):
        files, moves = MOST[kind]
        assert len(found_way.entered) <= files
        assert found_way.moves.total() <= moves
