"""Whether a run was a success, and if not, what was wrong first."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from scripts.agentkit import provider
from scripts.agentkit.scenarios import Expected, Row
from tests.vendor import Received


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of the agent's process. status None: it was killed for being late."""

    stdout: str
    stderr: str
    status: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Result:
    """A row's verdict. reason: "" when all was well. seconds: the agent alone; None: it did not run."""

    agent: str
    scenario: str
    reason: str
    seconds: float | None = None


def verdict(row: Row, ran: Ran, requests: Sequence[Received]) -> str:
    """Why the run is no success, the cause before its effects; "" if it is one."""
    calls = [(call, each.credential) for each in requests if (call := provider.asked(each))]
    if not calls:
        return _ending(ran) or "no generation call reached the provider"
    for call, key in calls:
        if wrong := _unexpected(row.expected, call, key):
            return wrong
    if wrong := _moved(row.expected, {key for call, key in calls if provider.is_turn(call)}):
        return wrong
    tool = "" if row.script.tool is None else _ran(max(provider.results(call) for call, _ in calls))
    return _ending(ran) or tool or _unasked(row.expected, requests) or _printed(ran.stdout)


def unsaid(row: Row, log: str) -> str:
    """What the proxy's log does not say of the run; "" if nothing is missing."""
    return "" if re.search(row.said, log) else f"the proxy's log does not say {row.said!r}"


def _ran(times: int) -> str:
    """Agents repeat what they know in each request: the last has a result for every run of the tool."""
    if times == 0:
        return "the tool's result did not reach the provider"
    return "" if times == 1 else f"the tool ran {times} times"


def _moved(expected: Expected, keys: Collection[str]) -> str:
    if not expected.one_of or len(keys) == 1:
        return ""
    return f"the turns of the agent came with {len(keys)} keys"


def _unasked(expected: Expected, requests: Iterable[Received]) -> str:
    keys = {each.credential for each in requests}
    if missing := [key for key in expected.more_keys if key not in keys]:
        return f"the provider never got the credential {missing[0]!r}"
    bodies = [each.body.decode(errors="replace") for each in requests]
    if any(all(text in body for text in expected.asked) for body in bodies):
        return ""
    return f"no request has {' and '.join(map(repr, expected.asked))}"


def _printed(stdout: str) -> str:
    if provider.FINAL not in stdout:
        return f"the answer is not on stdout: {_last_line(stdout)}"
    times = stdout.count(provider.HALF)
    return "" if times == 1 else f"the answer is on stdout {times} times, whole or in part"


def _unexpected(expected: Expected, call: provider.Asked, key: str) -> str:
    if call.protocol not in expected.protocols:
        return f"the provider was called in {call.protocol}, not in {' or '.join(expected.protocols)}"
    if expected.model and call.model != expected.model:
        return f"the provider was asked for {call.model}, not for {expected.model}"
    if key not in (expected.key, *expected.more_keys, *expected.one_of):
        return f"the provider got the credential {key!r}, not {expected.key!r}"
    return ""


def _ending(ran: Ran) -> str:
    if ran.status is None:
        return f"killed after {ran.seconds:.0f} s: {_last_line(ran.stderr)}"
    return f"exit status {ran.status}: {_last_line(ran.stderr or ran.stdout)}" if ran.status else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
