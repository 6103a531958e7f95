"""Every fault of a provider, through a real proxy, as unmodified SDKs of two generations see it."""

from collections.abc import Iterator

import pytest

from tests.e2e.fault_bench import Bench, Seen, bench
from tests.e2e.fault_row import UNTOUCHED, Row
from tests.e2e.fault_table import ROWS
from tests.e2e.sdk import marks
from tests.e2e.wires import ARGUMENTS, TOOL, WIRES, Wire
from tests.vendor import Reply, Send

CASES = [
    pytest.param(row, sdk, marks=marks(sdk), id=f"{row.name}-{sdk}")
    for sdk, wire in WIRES.items()
    for row in ROWS
    if wire in row.wires
]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.mark.parametrize(("row", "sdk"), CASES)
def test_what_the_client_sees(row: Row, sdk: str, played: Bench) -> None:
    wire, seen = WIRES[sdk], played.play(row, sdk)
    check_error(row, seen, wire)
    assert seen.result["text"] == row.text
    assert wire.finish_of(seen.result) == [wire.finishes[reason] for reason in row.finish]
    assert [call["arguments"] for call in seen.result["tools"].values()] == arguments_of(row)
    assert all(call["name"] == TOOL for call in seen.result["tools"].values())
    assert len(seen.result["ids"]) <= 1
    assert seen.attempts == row.attempts
    assert seen.end == row.end


def arguments_of(row: Row) -> list[str]:
    if row.tool is None:
        return []
    return [ARGUMENTS if row.tool == "all" else row.tool]


def check_error(row: Row, seen: Seen, wire: Wire) -> None:
    error = seen.result["error"]
    if not row.says:
        assert error is None
        return
    assert error is not None, "the SDK did not raise"
    if row.says == UNTOUCHED:
        assert seen.result["body"].encode() == last_body(row, wire)
    else:
        assert row.says in error["text"]
    assert row.status is None or error["status"] == row.status
    assert row.headers.items() <= seen.result.get("headers", {}).items()


def last_body(row: Row, wire: Wire) -> bytes:
    """What the provider itself said last."""
    answer = row.answers(wire)[-1]
    assert isinstance(answer, Reply)
    return b"".join(step.data for step in answer.steps if isinstance(step, Send))
