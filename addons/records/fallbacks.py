"""Which targets calls fall back from, so that it is said when that begins and when it is over."""

from collections.abc import Sequence

from rewrite.records.texts import plain
from rewrite.targets.target import Target
from rewrite.values.events import Summary

MOST = 256
"""Targets that are known to be fallen back from: clients name any models they like."""


class Fallbacks:
    """By the label of the first target, that of the one which answered in its place last."""

    def __init__(self) -> None:
        self._answered: dict[str, str] = {}

    def note(self, targets: Sequence[Target], summary: Summary) -> str:
        """A call is over that several targets could answer. What is news of that; empty: nothing."""
        if summary.end != "completed":
            return ""
        first, answered = targets[0].label, targets[summary.target].label
        former = self._answered.pop(first, first)
        if answered != first:
            self._answered = dict([*self._answered.items(), (first, answered)][-MOST:])
        if answered == former:
            return ""
        return _begun(first, answered, summary) if answered != first else f"{first} answers again"


def _begun(first: str, answered: str, summary: Summary) -> str:
    why = [f"{one.credential} {plain(one.outcome.label)}" for one in summary.attempts if one.target == 0]
    return f"{answered} answers in place of {first}: {why[-1] if why else 'none of its keys is free'}"
