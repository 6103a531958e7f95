"""How hard the model is to think, by each protocol's own words."""

import pytest

from protocols.model.call import Operation
from protocols.model.http import WireRequest
from protocols.model.wirejson import dump
from protocols.registry import discover

CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"
GEMINI, OLLAMA = "gemini_generate", "ollama_chat"


def thinking(**config: object) -> dict[str, object]:
    return {"generationConfig": {"thinkingConfig": config}}


@pytest.mark.parametrize(
    ("protocol", "body", "effort"),
    [
        *((protocol, {}, "") for protocol in (CHAT, RESPONSES, MESSAGES, GEMINI, OLLAMA)),
        (CHAT, {"reasoning_effort": "high"}, "high"),
        (CHAT, {"reasoning_effort": "none"}, "none"),
        (CHAT, {"reasoning_effort": "default"}, ""),
        (CHAT, {"reasoning_effort": 7}, ""),
        (CHAT, {"reasoning": {"effort": "minimal"}}, "minimal"),
        (CHAT, {"reasoning": {"max_tokens": 8192}}, "medium"),
        (CHAT, {"reasoning": {"enabled": True}}, ""),
        (CHAT, {"reasoning": {"enabled": False}}, "none"),
        (CHAT, {"thinking": {"type": "disabled"}}, "none"),
        (RESPONSES, {"reasoning": {"effort": "xhigh", "summary": "auto"}}, "xhigh"),
        (RESPONSES, {"reasoning": {"summary": "auto"}}, ""),
        (RESPONSES, {"reasoning": None}, ""),
        (MESSAGES, {"output_config": {"effort": "max"}}, "max"),
        (MESSAGES, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, "low"),
        (MESSAGES, {"thinking": {"type": "adaptive"}}, ""),
        (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "minimal"),
        (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 16_385}}, "xhigh"),
        (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 100_000}}, "max"),
        (MESSAGES, {"thinking": {"type": "disabled"}}, "none"),
        (GEMINI, thinking(thinkingLevel="HIGH"), "high"),
        (GEMINI, {"generation_config": {}} | thinking(thinking_level="low"), "low"),
        (GEMINI, thinking(thinkingBudget=0), "none"),
        (GEMINI, thinking(thinkingBudget=4096), "low"),
        (GEMINI, thinking(thinkingBudget=-1), ""),
        (GEMINI, thinking(includeThoughts=True), ""),
        (OLLAMA, {"think": "medium"}, "medium"),
        (OLLAMA, {"think": True}, ""),
        (OLLAMA, {"think": False}, "none"),
    ],
    ids=str,
)
def test_how_hard_the_model_is_to_think(protocol: str, body: dict[str, object], effort: str) -> None:
    url = "/v1beta/models/m:streamGenerateContent" if protocol == GEMINI else "/"
    request = WireRequest("POST", url, (), dump({"model": "m", **body}))
    assert discover()[protocol].parse("id", Operation.GENERATE, request).effort == effort
