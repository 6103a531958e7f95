"""What answers cost, by what their usage says of it."""

import pytest

from protocols.model.parts import Usage, UsageReport
from protocols.model.progress import Progress
from protocols.model.wirejson import JsonObject
from protocols.openai_chat.answer_read import read_answer as chat
from protocols.openai_responses.answer_read import read_answer as responses
from protocols.shared.costs import COST_FIELDS, stated_cost

ROWS: list[tuple[JsonObject, float | None]] = [
    ({"prompt_tokens": 3}, None),
    ({"cost": 0.0133176, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.01}}, 0.0133176),
    ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, 0.021),
    ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 0.001),
    ({"cost_in_usd_ticks": 5884000}, 0.0005884),
    ({"cost": {"input_tokens_cost": 0.00001, "request_cost": 0.005, "total_cost": 0.00502}}, 0.00502),
    ({"cost_in_usd_ticks": 0}, None),
    ({"estimated_cost": 0.0004}, 0.0004),
    ({"cost": {"input_tokens_cost": 0.001, "output_tokens_cost": 0.002, "currency": "USD"}}, 0.003),
    ({"cost": {"request_cost_usd": 0.0007, "allowance_remaining_usd": 14.8}}, 0.0007),
    ({"request_cost_usd": 0.0006}, 0.0006),
    ({"pydantic_ai_gateway": {"cost_estimate": 0.0001546}}, 0.0001546),
    ({"cost": {}}, None),
    ({"cost": 0}, 0.0),
    ({"cost": -1.0}, 0.0),
    ({"cost": "a lot"}, None),
    ({"cost": 1e308}, None),
    ({"cost": float("nan")}, None),
    ({"cost": float("inf")}, None),
    ({"cost": -(10**400)}, None),
    ({"cost": 10**400}, None),
    ({"cost_in_usd_ticks": 10**400}, None),
    ({"cost_in_usd_ticks": 10**300}, None),
    ({"cost": {"total_cost": 10**400}}, None),
    ({"cost": {"input_cost": 1e308, "output_cost": 1e308}}, None),
    ({"cost": 10**300, "is_byok": True, "cost_details": {"upstream_inference_cost": 10**300}}, None),
    ({"cost": None}, None),
]


@pytest.mark.parametrize(("usage", "cost"), ROWS)
def test_a_cost_is_read_in_each_form(usage: JsonObject, cost: float | None) -> None:
    assert stated_cost(usage) == pytest.approx(cost)
    assert cost is None or not COST_FIELDS.isdisjoint(usage)


def test_chats_and_responses_report_it() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "cost": 0.25}
    body: JsonObject = {"object": "chat.completion", "id": "c", "model": "m", "choices": [], "usage": usage}
    assert UsageReport(Usage(3, 4, cost=0.25)) in [*chat(body)]
    said = {"input_tokens": 3, "output_tokens": 4, "cost_in_usd_ticks": 2_500_000_000}
    whole: JsonObject = {"object": "response", "id": "r", "model": "m", "output": [], "usage": said}
    assert UsageReport(Usage(3, 4, cost=0.25)) in [*responses(whole)]


def test_the_last_cost_of_a_stream_holds() -> None:
    progress = Progress()
    progress.fold([UsageReport(Usage(3, 1, cost=0.1)), UsageReport(Usage(output=4))])
    assert progress.usage == Usage(3, 4, cost=0.1)
    progress.fold([UsageReport(Usage(cost=0.3))])
    assert progress.usage == Usage(3, 4, cost=0.3)
