"""What a client saw of a fault, in words, and the table of all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tests.e2e.suite.bench import Cell, Seen, differences
from tests.e2e.suite.rows import Elsewhere
from tests.e2e.translation.scenarios import ANSWER

_SILENCE = "Silence"


@dataclass(frozen=True, slots=True)
class Line:
    """One cell, as it was seen through both."""

    cell: Cell
    bare: Seen
    ours: Seen

    @property
    def wrong(self) -> list[str]:
        """What rotator did that is not expected of it."""
        return differences(self.cell, self.ours)


def table(lines: Sequence[Line], elsewhere: Sequence[Elsewhere]) -> Iterator[str]:
    """A heading for each row of the suite, then a line for each client."""
    width = max((len(_who(line.cell)) for line in lines), default=0) + 2
    yield _columns(width, "", "bare mitmdump", "rotator", "")
    for heading, group in groupby(lines, lambda line: f"{line.cell.row.id}  {line.cell.row.name}"):
        yield heading
        for line in group:
            verdict = "; ".join(line.wrong) or "as expected"
            bare, ours = (outcome(line.cell, seen) for seen in (line.bare, line.ours))
            yield _columns(width, _who(line.cell), bare, ours, verdict)
    for row in elsewhere:
        yield f"{row.id}  {row.name}: {', '.join(proof.rpartition('::')[2] for proof in row.proofs)}"


def outcome(cell: Cell, seen: Seen) -> str:
    """How much of the answer there was, how it ended, and how often the provider was asked."""
    words = [_much(cell, seen), _end(seen)]
    return f"{', '.join(word for word in words if word)} ({_asked(seen)})"


def _much(cell: Cell, seen: Seen) -> str:
    expected, text = cell.expected, seen.turn["text"]
    calls = [call for call in seen.turn["tools"] if call["arguments"] is not None]
    if calls:
        return f"{len(calls)} tool call{'s' * (len(calls) > 1)}"
    if not text:
        return "nothing"
    return "all" if text == (expected.text if expected.finish == "stop" else ANSWER.text) else "a part"


def _end(seen: Seen) -> str:
    if seen.error is not None:
        kind = seen.error["types"][0]
        status = f" {seen.error['status']}" if seen.error["status"] else ""
        return "then silence" if kind == _SILENCE else f"{kind}{status}"
    return seen.turn["finish"] or "no end"


def _asked(seen: Seen) -> str:
    return f"asked {len(seen.requests)}" if "client" in seen.keys else seen.keys


def _who(cell: Cell) -> str:
    mode = "" if cell.mode == "raw" else f" {cell.mode.removesuffix('_raw')}"
    return f"{cell.client.protocol} {cell.client.sdk}{mode}"


def _columns(width: int, who: str, bare: str, ours: str, verdict: str) -> str:
    return f"     {who:<{width}}{bare:<48}{ours:<48}{verdict}".rstrip()
