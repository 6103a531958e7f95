"""The matrix of agents and scenarios as text."""

from collections.abc import Mapping, Sequence

from scripts.agentkit.verdict import Result

_NOT_PLANNED = "-"


def line(result: Result) -> str:
    """One result, as soon as it is known."""
    return f"{result.agent} {result.scenario}: {cell(result)}{_because(result)}"


def matrix(results: Sequence[Result], versions: Mapping[str, str]) -> str:
    """A line for each agent with a column for each scenario, and under it why something failed.

    versions: what each agent says of itself, by its name.
    """
    scenarios = list(dict.fromkeys(each.scenario for each in results))
    cells = {(each.agent, each.scenario): cell(each) for each in results}
    agents = dict.fromkeys(each.agent for each in results)
    lines = [("agent", "version", *scenarios)] + [
        (agent, versions.get(agent, ""), *(cells.get((agent, name), _NOT_PLANNED) for name in scenarios))
        for agent in agents
    ]
    failed = [line(each) for each in results if each.reason]
    return "\n".join([*_aligned(lines), *(["", *failed] if failed else [])])


def cell(result: Result) -> str:
    """`ok 1.2 s`, `failed 1.2 s` or, where the agent did not run, `failed`."""
    word = "failed" if result.reason else "ok"
    return word if result.seconds is None else f"{word} {result.seconds:.1f} s"


def _because(result: Result) -> str:
    return f" ({result.reason})" if result.reason else ""


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(str.ljust, each, widths)).rstrip() for each in lines]
