"""What an answer cost, where it says so: in its usage, in a comment of its stream, in a header.

Recorded: OpenRouter, xAI, Perplexity and the gateway of Pydantic AI state it. The forms of DeepInfra,
Neuralwatt and LiteLLM are documented, not measured.
"""

from protocols.model.http import Headers
from protocols.model.wirejson import MOST_COST, JsonObject, number_at, object_at

COST_FIELDS = frozenset(
    {"cost", "cost_in_usd_ticks", "estimated_cost", "request_cost_usd", "pydantic_ai_gateway"}
)
"""A usage without any of these states no cost."""

_HEADER = "x-litellm-response-cost"
_LENGTH = len(_HEADER)
_TICKS = 1e10
"""Of xAI's, in a US dollar."""


def stated_cost(usage: JsonObject) -> float | None:
    """In US dollars. Where a user's own key was used at another provider (OpenRouter), what that one takes is
    in it too. Measured: Azure says of xAI's models that each answer costs 0 ticks."""
    if ticks := number_at(usage, "cost_in_usd_ticks"):
        return _plausible(ticks / _TICKS)
    stated = (
        number_at(usage, "cost"),
        _broken_down(object_at(usage, "cost")),
        number_at(usage, "estimated_cost"),
        number_at(usage, "request_cost_usd"),
        number_at(object_at(usage, "pydantic_ai_gateway"), "cost_estimate"),
    )
    cost = next((each for each in stated if each is not None), None)
    if cost is None:
        return None
    beside = object_at(usage, "cost_details") if usage.get("is_byok") else {}
    return _plausible(float(cost) + (number_at(beside, "upstream_inference_cost") or 0.0))


def _plausible(cost: float) -> float | None:
    """What is below 0 is given away; what no answer costs is no cost."""
    return max(cost, 0.0) if cost <= MOST_COST else None


def _broken_down(costs: JsonObject) -> float | None:
    """A total if there is one, else the sum of its parts."""
    for name in ("total_cost", "request_cost_usd"):
        if (total := number_at(costs, name)) is not None:
            return total
    parts = [number_at(costs, name) for name in costs if name.endswith("_cost")]
    known = [part for part in parts if part is not None]
    return sum(map(float, known)) if known else None


def header_cost(headers: Headers) -> float | None:
    """In US dollars, as a LiteLLM proxy states it. It may say `None`."""
    for name, value in headers:
        if len(name) == _LENGTH and name.lower() == _HEADER:
            return _amount(value)
    return None


def _amount(text: str) -> float | None:
    try:
        cost = float(text)
    except ValueError:
        return None
    return cost if 0 <= cost <= MOST_COST else None
