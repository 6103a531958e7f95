"""Errors as providers send them: what each blames, and for how long it says to wait.

The bodies are those of the recorded files, of vendors' documents, and of the clients that read them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from addons.config.provider_files import built_in
from protocols.model.call import Operation
from protocols.model.http import Head, WireRequest, WireResponse
from protocols.model.parts import StreamError
from protocols.model.wirejson import dump
from protocols.registry import discover
from rewrite.catalog.provider_tables import provider
from rewrite.policies.classify import in_band, rejection
from rewrite.translation.error_kinds import for_client
from rewrite.values.outcome import Kind
from tests.oracle import recorded

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
PROTOCOLS = {one.name: one for one in discover()}
NOW = 1_763_900_000.0
"""Sun, 23 Nov 2025 12:13:20 GMT."""


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def google(status: str, message: str, *details: Mapping[str, Any], code: int = 429) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": [*details]}}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": metadata}


def violated(quota: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}


def retry_in(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


@dataclass(frozen=True, slots=True)
class Case:
    """An error of a provider, and what it comes to."""

    provider: str
    status: int
    body: object
    kind: Kind
    wait: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def unified(status: str, **windows: tuple[str, str]) -> dict[str, str]:
    """The head of a subscription: of each window, whose name is after an underscore, status and reset."""
    prefix, head = "anthropic-ratelimit-unified", {"anthropic-ratelimit-unified-status": status}
    for name, (one, reset) in windows.items():
        head |= {f"{prefix}-{name[1:]}-status": one, f"{prefix}-{name[1:]}-reset": reset}
    return head


GOOGLE_QUOTA = (
    "You exceeded your current quota, please check your plan and billing details.\n"
    "* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, "
    "limit: {limit}, model: gemini-2.5-pro\nPlease retry in 48.939935699s."
)
CODEX = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
LIMITED = anthropic("rate_limit_error", "This request would exceed your account's rate limit.")

CASES = {
    # OpenAI and what speaks its protocols
    "openai-tokens": Case(
        "openai",
        429,
        openai("Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000, Used 29000, Requested"
               " 2000. Please try again in 2s.", "rate_limit_exceeded", "tokens"),
        Kind.RATE,
        2.0,
    ),
    "openai-resets": Case(
        "openai",
        429,
        openai("Rate limit reached", "rate_limit_exceeded"),
        Kind.RATE,
        42.0,
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "42s",
         "x-ratelimit-remaining-requests": "12", "x-ratelimit-reset-requests": "6ms"},
    ),
    "openai-one-large-call": Case(
        "openai",
        429,
        openai("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000,"
               " Requested 37000.", "rate_limit_exceeded", "tokens"),
        Kind.TOO_LARGE,
    ),
    "openai-no-money": Case(
        "openai",
        429,
        openai("You exceeded your current quota, please check your plan.", "insufficient_quota"),
        Kind.QUOTA,
    ),
    "openai-key": Case("openai", 401, openai("Incorrect API key provided", "invalid_api_key"), Kind.AUTH),
    "openai-model": Case("openai", 404, openai("No model `x`", "model_not_found"), Kind.MODEL),
    "openai-too-long": Case("openai", 400, openai("too long", "context_length_exceeded"), Kind.REQUEST),
    "openai-value": Case("openai", 400, openai("Invalid value", "invalid_value"), Kind.REQUEST),
    "openai-down": Case("openai", 503, openai("Overloaded", None, "server_error"), Kind.SERVER),
    "codex-limit": Case(
        "chatgpt", 429, {"error": CODEX | {"resets_in_seconds": 7200}}, Kind.QUOTA, 7200.0
    ),
    "codex-limit-until": Case(
        "chatgpt", 429, {"error": CODEX | {"resets_at": NOW + 9000}}, Kind.QUOTA, 9000.0
    ),
    "codex-limit-both": Case(
        "chatgpt",
        429,
        {"error": CODEX | {"resets_at": NOW + 600}},
        Kind.QUOTA,
        600.0,
        {"retry-after": "20"},
    ),
    "openrouter-upstream": Case(
        "openrouter",
        429,
        {"error": {"code": 429, "message": "Rate limit exceeded: free-models-per-min. ", "metadata":
         {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Reset": str(int(NOW + 30) * 1000)}}}},
        Kind.RATE,
        30.0,
    ),
    "openrouter-credits": Case(
        "openrouter", 402, {"error": {"code": 402, "message": "Insufficient credits"}}, Kind.QUOTA
    ),
    "openrouter-one-large-call": Case(
        "openrouter",
        402,
        {"error": {"code": 402, "message": "This request requires more credits, or fewer max_tokens. You"
         " requested up to 32000 tokens, but can only afford 4066."}},
        Kind.TOO_LARGE,
    ),
    "azure": Case(
        "azure",
        429,
        {"error": {"code": "RateLimitReached", "message": "Please retry after 7 seconds."}},
        Kind.RATE,
        6.5,
        {"retry-after-ms": "6500", "retry-after": "7"},
    ),
    "azure-in-words": Case(
        "azure",
        429,
        {"error": {"code": "429", "message": "Requests have exceeded the token rate limit. Please retry after"
         " 7 seconds."}},
        Kind.RATE,
        7.0,
    ),
    "azure-filter": Case(
        "azure",
        400,
        {"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "X"}}},
        Kind.REQUEST,
    ),
    "groq": Case(
        "groq",
        429,
        openai("Rate limit reached for model `x` on tokens per day (TPD): Limit 100000, Used 99000, Requested"
               " 3000. Please try again in 6m28.8s.", "rate_limit_exceeded", "tokens"),
        Kind.RATE,
        388.8,
    ),
    "moonshot-overloaded": Case(
        "moonshot",
        429,
        openai("The engine is currently overloaded", None, "engine_overloaded_error"),
        Kind.SERVER,
    ),
    "moonshot-quota": Case(
        "moonshot", 429, openai("quota", None, "exceeded_current_quota_error"), Kind.QUOTA
    ),
    "zai-balance": Case(
        "zai", 429, {"error": {"code": "1113", "message": "Insufficient balance."}}, Kind.QUOTA
    ),
    "zai-rate": Case("zai", 429, {"error": {"code": "1302", "message": "High concurrency"}}, Kind.RATE),
    "copilot-secondary": Case(
        "github_copilot",
        403,
        {"error": {"code": "rate_limited", "message": "exceeded a secondary rate limit"}},
        Kind.RATE,
        60.0,
        {"retry-after": "60"},
    ),
    "copilot-quota": Case(
        "github_copilot", 402, {"error": {"code": "quota_exceeded", "message": "No quota"}}, Kind.QUOTA
    ),
    # Anthropic
    "anthropic-rate": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.RATE,
        12.0,
        {"retry-after": "12", "anthropic-ratelimit-requests-reset": "2025-11-23T12:14:20Z"},
    ),
    "anthropic-window": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.RATE,
        60.0,
        {"anthropic-ratelimit-input-tokens-remaining": "0",
         "anthropic-ratelimit-input-tokens-reset": "2025-11-23T12:14:20Z"},
    ),
    "claude-five-hours": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.QUOTA,
        5000.0,
        unified("rejected", _5h=("rejected", "1763905000"), _7d=("allowed", "1764400000"),
                _overage=("rejected", "1765000000")),
    ),
    "claude-week": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.QUOTA,
        500_000.0,
        unified("rejected", _5h=("rejected", "1763905000"), _7d=("rejected", "1764400000")),
    ),
    "claude-one-model": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.MODEL_QUOTA,
        90_000.0,
        unified("rejected", _7d_oi=("rejected", "1763990000"), _5h=("allowed", "1763905000")),
    ),
    "claude-short": Case(
        "anthropic",
        429,
        LIMITED,
        Kind.RATE,
        3.0,
        {"retry-after": "3"} | unified("allowed", _overage=("rejected", "1765000000")),
    ),
    "anthropic-money": Case(
        "anthropic",
        400,
        anthropic("invalid_request_error", "Your credit balance is too low to access the API."),
        Kind.QUOTA,
    ),
    "anthropic-billing": Case("anthropic", 402, anthropic("billing_error", "no"), Kind.QUOTA),
    "anthropic-overloaded": Case(
        "anthropic", 529, anthropic("overloaded_error", "Overloaded"), Kind.SERVER
    ),
    "anthropic-large": Case("anthropic", 413, anthropic("request_too_large", "no"), Kind.REQUEST),
    "anthropic-not-yours": Case("anthropic", 403, anthropic("permission_error", "no"), Kind.FORBIDDEN),
    "anthropic-timeout": Case("anthropic", 504, anthropic("timeout_error", "no"), Kind.SERVER),
    # Google
    "gemini-minute": Case(
        "gemini",
        429,
        google("RESOURCE_EXHAUSTED", GOOGLE_QUOTA.format(limit=5),
               violated("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"), retry_in("48s")),
        Kind.RATE,
        48.0,
    ),
    "gemini-minute-in-words": Case(
        "gemini", 429, google("RESOURCE_EXHAUSTED", GOOGLE_QUOTA.format(limit=5)), Kind.RATE, 48.939935699
    ),
    "gemini-day": Case(
        "gemini",
        429,
        google("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan.",
               violated("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry_in("34.07s")),
        Kind.MODEL_QUOTA,
    ),
    "gemini-none-at-all": Case(
        "gemini", 429, google("RESOURCE_EXHAUSTED", GOOGLE_QUOTA.format(limit=0)), Kind.MODEL_QUOTA,
        48.939935699,
    ),
    "gemini-array": Case(
        "gemini", 429, [google("RESOURCE_EXHAUSTED", "no", retry_in("900ms"))], Kind.RATE, 0.9
    ),
    "gemini-key": Case(
        "gemini", 400, google("INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID"), code=400),
        Kind.AUTH,
    ),
    "gemini-overloaded": Case(
        "gemini", 503, google("UNAVAILABLE", "The model is overloaded.", code=503), Kind.SERVER
    ),
    "code-assist-quota": Case(
        "code_assist",
        429,
        google("RESOURCE_EXHAUSTED", "You have exhausted your capacity on this model. Your quota will reset"
               " after 135h9m46s.", info("QUOTA_EXHAUSTED", model="x", quotaResetDelay="135h9m46s"),
               retry_in("34.07s")),
        Kind.MODEL_QUOTA,
        486_586.0,
    ),
    "code-assist-quota-until": Case(
        "code_assist",
        429,
        google("RESOURCE_EXHAUSTED", "no",
               info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2025-11-23T13:13:20Z")),
        Kind.MODEL_QUOTA,
        3600.0,
    ),
    "code-assist-quota-in-words": Case(
        "code_assist",
        429,
        google("RESOURCE_EXHAUSTED", "Your quota will reset after 2h0m5s.", info("QUOTA_EXHAUSTED")),
        Kind.MODEL_QUOTA,
        7205.0,
    ),
    "code-assist-rate": Case(
        "code_assist",
        429,
        google("RESOURCE_EXHAUSTED", "no", info("RATE_LIMIT_EXCEEDED"), retry_in("2.5s")),
        Kind.RATE,
        2.5,
    ),
    "code-assist-capacity": Case(
        "code_assist",
        429,
        google("RESOURCE_EXHAUSTED", "No capacity", info("MODEL_CAPACITY_EXHAUSTED"), retry_in("5s")),
        Kind.SERVER,
        5.0,
    ),
    "code-assist-validation": Case(
        "code_assist",
        403,
        google("PERMISSION_DENIED", "Verify your account", info("VALIDATION_REQUIRED"), code=403),
        Kind.FORBIDDEN,
    ),
    # Ollama
    "ollama": Case("ollama", 500, {"error": "llama runner process has terminated"}, Kind.SERVER),
    "ollama-cloud": Case(
        "ollama_cloud", 429, {"error": "you have reached your hourly usage limit"}, Kind.QUOTA
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_an_error_blames_and_how_long_it_lasts(case: Case) -> None:
    answer = WireResponse(case.status, tuple(case.headers.items()), dump(case.body))
    found = rejection(answer, BUILT_IN[case.provider].errors, NOW)
    assert (found.kind, found.retry_after) == (case.kind, case.wait and pytest.approx(case.wait))


def sse(data: object, name: str = "") -> bytes:
    return (b"event: " + name.encode() + b"\n" if name else b"") + b"data: " + dump(data) + b"\n\n"


def response_failed(body: dict[str, Any]) -> bytes:
    failed = {"id": "r", "object": "response", "status": "failed", "output": [], "error": body["error"]}
    return sse({"type": "response.failed", "response": failed}, "response.failed")


IN_STREAM: Mapping[str, tuple[str, Callable[[dict[str, Any]], bytes]]] = {
    "openai_chat": ("/v1/chat/completions", sse),
    "openai_responses": ("/v1/responses", response_failed),
    "gemini_generate": ("/v1beta/models/m:streamGenerateContent?alt=sse", sse),
}
"""By protocol: a path, and an error in a stream."""
IN_BOTH = [
    pytest.param(case, protocol, id=f"{name}-{protocol}")
    for name, case in CASES.items()
    for protocol in BUILT_IN[case.provider].protocols
    if case.wait is not None and not case.headers and isinstance(case.body, dict) and protocol in IN_STREAM
]


@pytest.mark.parametrize("translated", [False, True])
@pytest.mark.parametrize(("case", "protocol"), IN_BOTH)
def test_an_error_in_a_stream_is_read_like_one_in_a_body(case: Case, protocol: str, translated: bool) -> None:
    target, form = IN_STREAM[protocol]
    spoken, body = PROTOCOLS[protocol], dump({"model": "m", "stream": True})
    call = spoken.parse("c", Operation.GENERATE, WireRequest("POST", target, (), body))
    decoder = spoken.decoder(call, Head(200, (("content-type", "text/event-stream"),)))
    assert isinstance(case.body, dict)
    parts = [part for one in decoder.feed(form(case.body)) for part in decoder.read(one)]
    (error,) = (part for part in parts if isinstance(part, StreamError))
    found = in_band(for_client(error) if translated else error, BUILT_IN[case.provider].errors, NOW)
    assert found.kind is case.kind
    assert found.retry_after == pytest.approx(case.wait)


RECORDED = {
    "pyd-anthropic-test-anthropic-explicit-effort-xhigh": ("anthropic", Kind.REQUEST),
    "ruby-anthropic-chat-error-handling": ("anthropic", Kind.AUTH),
    "ruby-anthropic-chat-real-error-scenarios": ("anthropic", Kind.REQUEST),
    "otel-googleapis-test-generate-content-invalid-temperature": ("vertex", Kind.REQUEST),
    "otel-googleapis-test-generate-content-missing-model": ("vertex", Kind.MODEL),
    "pyd-googleapis-test-model-name-suggestion": ("gemini", Kind.MODEL),
    "pyd-googleapis-test-model-sees-multiple-images": ("vertex", Kind.REQUEST),
    "ruby-googleapis-chat-error-handling": ("gemini", Kind.AUTH),
    "fb-googleai-unary-failure-api-key": ("gemini", Kind.AUTH),
    "fb-googleai-unary-failure-generativelanguage-api-not": ("gemini", Kind.FORBIDDEN),
    "fb-vertexai-unary-failure-context-cache-model-doesnt": ("vertex", Kind.REQUEST),
    "fb-vertexai-unary-failure-context-cache-not-found": ("vertex", Kind.BINDING),
    "fb-vertexai-unary-failure-firebaseml-api-not-enabled": ("vertex", Kind.FORBIDDEN),
    "fb-vertexai-unary-failure-model-not-found": ("vertex", Kind.MODEL),
    "fb-vertexai-unary-failure-quota-exceeded": ("vertex", Kind.RATE),
    "fb-vertexai-unary-failure-unsupported-user-location": ("vertex", Kind.REQUEST),
    "pyd-groq-test-tool-regular-error": ("groq", Kind.MODEL),
    "pyd-openai-test-openai-web-search-tool-model-not": ("openai", Kind.REQUEST),
    "pyd-openrouter-test-openrouter-errors-raised": ("openrouter", Kind.RATE),
    "ruby-deepseek-chat-error-handling": ("deepseek", Kind.AUTH),
    "ruby-mistral-chat-error-handling": ("mistral", Kind.AUTH),
    "ruby-perplexity-chat-real-error-scenarios": ("openai", Kind.REQUEST),
    "chatlas-openai-test-parallel-chat-structured-error": ("openai", Kind.AUTH),
    "pyd-deepseek-test-deepseek-responses-rejects": ("deepseek", Kind.REQUEST),
}
"""By how the name of a recorded error begins: its provider, and what it blames."""


def status_of(file: Path) -> int:
    """Of HTTP, as it was recorded; some were kept without it and say it themselves. 0: it is no error."""
    meta = file.with_name(f"{file.name}.meta.json")
    status = json.loads(meta.read_bytes()).get("status") if meta.exists() else None
    body = json.loads(file.read_bytes())
    code = body["error"].get("code") if isinstance(body, dict) and isinstance(body.get("error"), dict) else 0
    found = status or code
    return found if isinstance(found, int) and found >= 400 else 0


each_error = pytest.mark.parametrize(
    "file",
    [
        one
        for name in ("openai_chat", "openai_responses", "anthropic_messages", "gemini_generate")
        for one in recorded(name, "*.json")
        if one.values[0] is None or status_of(one.values[0])
    ],
)


@each_error
def test_every_recorded_error_is_understood(file: Path) -> None:
    ((name, kind),) = (found for begins, found in RECORDED.items() if file.name.startswith(begins))
    answer = WireResponse(status_of(file), (), file.read_bytes())
    assert rejection(answer, BUILT_IN[name].errors, NOW).kind is kind
