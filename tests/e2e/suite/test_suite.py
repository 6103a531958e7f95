"""Every fault of the suite, through a real proxy, as the SDKs of all protocols see it."""

import ast
from collections.abc import Iterator

import pytest

from tests.e2e.proxy import ROOT
from tests.e2e.suite.bench import CELLS, Bench, Cell, bench, differences
from tests.e2e.suite.rows import ELSEWHERE, PROTOCOLS, ROWS
from tests.e2e.translation.clients import CLIENTS


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("suite")) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=str)
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
