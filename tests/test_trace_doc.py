"""docs/trace.md has the passes that whole traces have, and its example their numbers."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TEXT = (HERE.parent / "docs" / "trace.md").read_text(encoding="utf-8")
GOLDEN = {file.stem: file.read_text() for file in (HERE / "fixtures" / "traces").glob("*.txt")}
PASS = re.compile(r"^(\d+) (\w+)(:\w+)?: ", re.MULTILINE)


def test_every_pass_of_a_whole_trace_is_explained() -> None:
    documented = {name for row in re.findall(r"^\| (`.*?) \| ", TEXT, re.MULTILINE) for name in names(row)}
    found = {match[2] for text in GOLDEN.values() for match in PASS.finditer(text)}
    assert not found - documented


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)(?::NAME)?`", cell)


def test_the_example_has_the_numbers_of_a_translated_call() -> None:
    numbers = {match[2]: int(match[1]) for match in PASS.finditer(GOLDEN["translated"])}
    adapters = numbers["sent_request"] - numbers["built_request"] - 1
    listed = {name: int(number) for number, name in re.findall(r"^ +(\d{3})-(\w+)\.json", TEXT, re.MULTILINE)}
    assert listed.pop("sent_request") == numbers["sent_request"] - adapters
    assert listed == {name: numbers[name] for name in listed}
    (sequence, name) = re.findall(r'\{"sequence": (\d+), "pass": "(\w+)"', TEXT)[0]
    assert int(sequence) == numbers[name]
