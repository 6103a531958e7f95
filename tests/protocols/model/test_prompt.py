"""How hard to think: effort and budget in terms of each other."""

import pytest

from protocols.model.prompt import BUDGETS, Effort, Thinking, budget_of, effort_of


@pytest.mark.parametrize(
    ("thinking", "budget"),
    [
        (Thinking(), None),
        (Thinking(effort=Effort.NONE), 0),
        (Thinking(effort=Effort.MEDIUM), 8_192),
        (Thinking(budget=5_000), 5_000),
        (Thinking(budget=-1), -1),
        (Thinking(effort=Effort.LOW, budget=1), 1),
    ],
    ids=str,
)
def test_the_budget_that_is_said_or_that_the_effort_comes_to(thinking: Thinking, budget: int | None) -> None:
    assert budget_of(thinking) == budget


@pytest.mark.parametrize(
    ("budget", "effort"),
    [
        (-1, None),
        (0, Effort.NONE),
        (1, Effort.MINIMAL),
        (1_023, Effort.MINIMAL),
        (1_024, Effort.MINIMAL),
        (1_025, Effort.LOW),
        (4_096, Effort.LOW),
        (8_193, Effort.HIGH),
        (32_768, Effort.XHIGH),
        (1_000_000, Effort.MAX),
    ],
)
def test_the_effort_that_a_budget_comes_to(budget: int, effort: Effort | None) -> None:
    assert effort_of(Thinking(budget=budget)) is effort


def test_an_effort_that_is_said_stays() -> None:
    assert effort_of(Thinking(effort=Effort.LOW, budget=60_000)) is Effort.LOW
    assert effort_of(Thinking()) is None


@pytest.mark.parametrize("effort", Effort)
def test_every_effort_has_a_budget_that_leads_back_to_it(effort: Effort) -> None:
    assert effort_of(Thinking(budget=BUDGETS[effort])) is effort


@pytest.mark.parametrize(
    ("thinking", "off"),
    [
        (Thinking(effort=Effort.NONE), True),
        (Thinking(budget=0), True),
        (Thinking(), False),
        (Thinking(budget=-1), False),
        (Thinking(effort=Effort.MINIMAL), False),
    ],
    ids=str,
)
def test_what_turns_thinking_off(thinking: Thinking, off: bool) -> None:
    assert thinking.off is off
