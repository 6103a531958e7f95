"""How the provider is asked to think, and how much room it has: two models of one maker want it differently.

Documented: a budget is at least 1024 tokens and below `max_tokens`; with thinking on, no tool can be forced,
`temperature` and `top_k` are left alone, and `top_p` is 0.95 at least.
"""

from dataclasses import dataclass

from protocols.model.call import Destination
from protocols.model.prompt import BUDGETS, Effort, Prompt, Thinking, ToolMode, budget_of, effort_of
from protocols.model.wirejson import JsonObject, given

MAX_TOKENS = 4_096
"""What an answer gets where neither the client nor the model's facts say more: `max_tokens` is mandatory."""

SMALLEST_BUDGET = 1_024
_EFFORTS = {Effort.MINIMAL: Effort.LOW}
"""The least that there is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`max_tokens`; `config` is the `thinking` field, None to leave it out; `effort` goes beside it."""

    max_tokens: int
    config: JsonObject | None = None
    effort: str | None = None
    on: bool = False


def plan(prompt: Prompt, destination: Destination, *, may_think: bool) -> Plan:
    """What the prompt says of thinking, for a target that takes a budget, an effort, or neither.

    `may_think`: the conversation allows it. Where a target's way is unknown it is given a budget: the older
    models and those of other makers that speak the protocol take no other. Lossy: a forced tool wins over
    thinking.
    """
    room = Plan(prompt.max_output or destination.max_output or MAX_TOKENS)
    thinking = prompt.thinking
    if thinking is None or destination.thinking == "none":
        return room
    if thinking.off:
        return Plan(room.max_tokens, {"type": "disabled"})
    may_think = may_think and not (prompt.tool_choice and prompt.tool_choice.mode is ToolMode.REQUIRED)
    if destination.thinking == "effort":
        return _by_effort(room.max_tokens, thinking, may_think=may_think)
    return _by_budget(prompt, destination, thinking) if may_think else room


def _by_effort(max_tokens: int, thinking: Thinking, *, may_think: bool) -> Plan:
    effort = effort_of(thinking)
    named = _EFFORTS.get(effort, effort).value if effort else None
    if not may_think:
        return Plan(max_tokens, None, named)
    return Plan(max_tokens, given(type="adaptive", display=_display(thinking)), named, on=True)


def _display(thinking: Thinking) -> str | None:
    if thinking.shown is None:
        return None
    return "summarized" if thinking.shown else "omitted"


def _by_budget(prompt: Prompt, destination: Destination, thinking: Thinking) -> Plan:
    """A limit that the client did not set grows by the budget; else the budget gives way, and leaves a
    quarter of the limit to the answer. Where that is too little to think at all, thinking is left out."""
    wanted = max(_tokens(thinking), SMALLEST_BUDGET)
    most = prompt.max_output or destination.max_output or wanted + MAX_TOKENS
    budget = wanted if wanted < most else most * 3 // 4
    if budget < SMALLEST_BUDGET:
        return Plan(most)
    config = given(
        type="enabled", budget_tokens=budget, display="omitted" if thinking.shown is False else None
    )
    return Plan(most, config, on=True)


def _tokens(thinking: Thinking) -> int:
    """As the model likes is a word that this way of thinking lacks: a middling budget."""
    budget = budget_of(thinking)
    return BUDGETS[Effort.MEDIUM] if budget is None or budget < 0 else budget
