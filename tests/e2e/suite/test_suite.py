"""Every fault of the suite, through a real proxy, as the SDKs of all protocols see it."""

import ast
from collections.abc import Iterator

import pytest

from tests.e2e.proxy import ROOT
from tests.e2e.sdk import is_older, marks
from tests.e2e.suite.bench import CELLS, Bench, Cell, bench, differences
from tests.e2e.suite.rows import ELSEWHERE, PROTOCOLS, ROWS
from tests.e2e.translation.clients import CLIENTS


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Bench]:
    thorough = pytestconfig.getoption("thorough")
    cells = [cell for cell in CELLS if thorough or not is_older(cell.client.sdk)]
    with bench(tmp_path_factory.mktemp("suite"), cells) as running:
        yield running


@pytest.mark.parametrize(
    "cell", [pytest.param(cell, marks=marks(cell.client.sdk), id=str(cell)) for cell in CELLS]
)
def test_what_the_client_sees(cell: Cell, played: Bench) -> None:
    found = differences(cell, played.play(cell))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("proof", [proof for row in ELSEWHERE for proof in row.proofs])
def test_what_is_proven_elsewhere_is_there(proof: str) -> None:
    file, _, name = proof.partition("::")
    nodes = ast.walk(ast.parse((ROOT / file).read_text()))
    assert name in {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_of_the_suite_is_there() -> None:
    found = {row.id for row in ROWS} | {row.id for row in ELSEWHERE}
    assert found == {f"S{number}" for number in range(1, 21)}


def test_every_protocol_has_a_client() -> None:
    assert {client.protocol for client in CLIENTS} == set(PROTOCOLS)
