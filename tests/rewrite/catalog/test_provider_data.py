"""The built-in providers, one row each: whose hosts are whose, where calls go, what their errors blame."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import permutations

import pytest

from addons.config.provider_files import built_in, common_facts
from protocols.model.http import WireResponse
from rewrite.catalog.hosts import serves
from rewrite.catalog.layers import layered
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.provider_tables import provider
from rewrite.catalog.providers import Carrier, ThinkingStyle
from rewrite.policies.classify import rejection
from rewrite.values.outcome import Kind

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
BEARER, X_API_KEY, GOOG = Carrier.BEARER, Carrier.X_API_KEY, Carrier.X_GOOG_API_KEY


@dataclass(frozen=True, slots=True)
class Row:
    """What holds for one provider. `error`: a status, a body, and what they blame."""

    base_url: str
    served: tuple[str, ...]
    foreign: tuple[str, ...]
    paths: Mapping[str, str]
    error: tuple[int, str, Kind]
    accepts: tuple[Carrier, ...] = (BEARER,)
    environment: str = ""
    port: int = 443
    own: tuple[str, ...] = field(default=())


ROWS = {
    "openai": Row(
        "https://api.openai.com",
        ("api.openai.com",),
        ("openai.com", "chatgpt.com", "api.openai.com.example.com"),
        {"openai_chat": CHAT, "openai_responses": RESPONSES},
        (
            401,
            (
                '{"error": {"message": "Incorrect API key provided: test.", "type": "invalid_request_error",'
                ' "param": null, "code": "invalid_api_key"}}'
            ),
            Kind.AUTH,
        ),
        accepts=(BEARER, Carrier.SUBPROTOCOL),
        environment="OPENAI_API_KEY",
        own=("/v1/me",),
    ),
    "anthropic": Row(
        "https://api.anthropic.com",
        ("api.anthropic.com",),
        ("claude.ai", "console.anthropic.com"),
        {"anthropic_messages": MESSAGES},
        (
            401,
            '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}',
            Kind.AUTH,
        ),
        accepts=(X_API_KEY, BEARER),
        environment="ANTHROPIC_API_KEY",
        own=("/api/event_logging/batch",),
    ),
    "gemini": Row(
        "https://generativelanguage.googleapis.com",
        ("generativelanguage.googleapis.com",),
        ("googleapis.com", "oauth2.googleapis.com"),
        {
            "gemini_generate": "/v1beta/models/{model}:{method}",
            "openai_chat": "/v1beta/openai/chat/completions",
        },
        (
            400,
            (
                '{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",'
                ' "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}'
            ),
            Kind.AUTH,
        ),
        accepts=(GOOG, BEARER),
        environment="GEMINI_API_KEY",
    ),
    "code_assist": Row(
        "https://cloudcode-pa.googleapis.com",
        ("cloudcode-pa.googleapis.com",),
        ("daily-cloudcode-pa.googleapis.com", "play.googleapis.com"),
        {"gemini_generate": "/v1internal:{method}"},
        (401, '{"error": {"code": 401, "status": "UNAUTHENTICATED"}}', Kind.AUTH),
        own=("/v1internal:loadCodeAssist", "/v1internal/operations/x"),
    ),
    "antigravity": Row(
        "https://daily-cloudcode-pa.googleapis.com",
        ("daily-cloudcode-pa.googleapis.com", "daily-cloudcode-pa.sandbox.googleapis.com"),
        ("cloudcode-pa.googleapis.com", "antigravity.google"),
        {"gemini_generate": "/v1internal:{method}"},
        (401, '{"error": {"code": 401, "status": "UNAUTHENTICATED"}}', Kind.AUTH),
        own=("/v1internal:fetchAvailableModels",),
    ),
    "vertex": Row(
        "",
        ("aiplatform.googleapis.com", "europe-west4-aiplatform.googleapis.com"),
        ("aiplatform.googleapis.com.example.com", "storage.googleapis.com"),
        {"gemini_generate": "/v1beta1/publishers/google/models/{model}:{method}"},
        (
            404,
            '{"error": {"code":404, "message":"Not found: cache content metadata 8.", "status":"NOT_FOUND"}}',
            Kind.BINDING,
        ),
        accepts=(BEARER, GOOG),
        own=("/v1beta1/projects/p/locations/l/cachedContents",),
    ),
    "azure": Row(
        "",
        ("mine.openai.azure.com", "mine.services.ai.azure.com", "mine.cognitiveservices.azure.com"),
        ("openai.azure.com", "login.microsoftonline.com", "mine.blob.core.windows.net"),
        {"openai_chat": "/openai/v1/chat/completions", "openai_responses": "/openai/v1/responses"},
        (429, '{"error": {"code": "RateLimitReached", "message": "Retry after 3 seconds"}}', Kind.RATE),
        accepts=(Carrier.API_KEY, BEARER),
    ),
    "bedrock": Row(
        "",
        ("bedrock-runtime.us-east-1.amazonaws.com", "bedrock-runtime-fips.us-gov-west-1.amazonaws.com"),
        ("bedrock.us-east-1.amazonaws.com", "s3.amazonaws.com"),
        {"anthropic_messages": "/model/{model}/invoke"},
        (
            429,
            '{"type": "error", "error": {"type": "rate_limit_error", "message": "Too many tokens per day"}}',
            Kind.MODEL_QUOTA,
        ),
        accepts=(BEARER,),
    ),
    "openrouter": Row(
        "https://openrouter.ai",
        ("openrouter.ai",),
        ("api.openrouter.ai.example.com",),
        {
            "openai_chat": "/api/v1/chat/completions",
            "openai_responses": "/api/v1/responses",
            "anthropic_messages": "/api/v1/messages",
        },
        (
            429,
            (
                '{"error": {"code": 429, "message": "Provider returned error", "metadata": {"provider_name":'
                ' "Google", "raw": "temporarily rate-limited upstream"}}, "user_id": "user_x"}'
            ),
            Kind.RATE,
        ),
        environment="OPENROUTER_API_KEY",
        own=("/api/v1/key", "/api/v1/keys/abc", "/api/v1/credits"),
    ),
    "groq": Row(
        "https://api.groq.com",
        ("api.groq.com",),
        ("console.groq.com",),
        {"openai_chat": "/openai/v1/chat/completions"},
        (
            404,
            (
                '{"error": {"code": "model_not_found", "message": "The model `x` does not exist or you do not'
                ' have access to it.", "type": "invalid_request_error"}}'
            ),
            Kind.MODEL,
        ),
        environment="GROQ_API_KEY",
    ),
    "deepseek": Row(
        "https://api.deepseek.com",
        ("api.deepseek.com",),
        ("chat.deepseek.com",),
        {
            "openai_chat": "/chat/completions",
            "openai_responses": "/responses",
            "anthropic_messages": "/anthropic/v1/messages",
        },
        (
            401,
            (
                '{"error":{"message":"Authentication Fails, Your api key: ****-key is invalid",'
                '"type":"authentication_error","param":null,"code":"invalid_request_error"}}'
            ),
            Kind.AUTH,
        ),
        accepts=(BEARER, X_API_KEY),
        environment="DEEPSEEK_API_KEY",
        own=("/user/balance",),
    ),
    "mistral": Row(
        "https://api.mistral.ai",
        ("api.mistral.ai",),
        ("codestral.mistral.ai",),
        {"openai_chat": CHAT},
        (401, '{"detail":"Invalid API Key"}', Kind.AUTH),
        environment="MISTRAL_API_KEY",
    ),
    "xai": Row(
        "https://api.x.ai",
        ("api.x.ai",),
        ("x.ai", "api.x.com"),
        {"openai_chat": CHAT, "openai_responses": RESPONSES},
        (400, '{"code": "invalid argument", "error": "Incorrect API key provided: xa***"}', Kind.AUTH),
        environment="XAI_API_KEY",
        own=("/v1/api-key",),
    ),
    "together": Row(
        "https://api.together.xyz",
        ("api.together.xyz", "api.together.ai"),
        ("together.ai",),
        {"openai_chat": CHAT},
        (400, '{"error": {"message": "Credit limit exceeded, please add credits"}}', Kind.QUOTA),
        environment="TOGETHER_API_KEY",
    ),
    "fireworks": Row(
        "https://api.fireworks.ai",
        ("api.fireworks.ai",),
        ("app.fireworks.ai",),
        {"openai_chat": "/inference/v1/chat/completions"},
        (412, '{"error": {"message": "Account x is suspended", "code": "PRECONDITION_FAILED"}}', Kind.QUOTA),
        environment="FIREWORKS_API_KEY",
        own=("/v1/accounts/x/models",),
    ),
    "cerebras": Row(
        "https://api.cerebras.ai",
        ("api.cerebras.ai",),
        ("cloud.cerebras.ai",),
        {"openai_chat": CHAT},
        (400, '{"message": "Wrong API Key", "type": "x", "code": "wrong_api_key"}', Kind.AUTH),
        environment="CEREBRAS_API_KEY",
    ),
    "moonshot": Row(
        "https://api.moonshot.ai",
        ("api.moonshot.ai",),
        ("platform.moonshot.ai",),
        {"openai_chat": CHAT, "anthropic_messages": "/anthropic/v1/messages"},
        (429, '{"error": {"type": "exceeded_current_quota_error", "message": "suspended"}}', Kind.QUOTA),
        accepts=(BEARER, X_API_KEY),
        environment="MOONSHOT_API_KEY",
        own=("/v1/users/me/balance",),
    ),
    "moonshot_cn": Row(
        "https://api.moonshot.cn",
        ("api.moonshot.cn",),
        ("platform.moonshot.cn",),
        {"openai_chat": CHAT, "anthropic_messages": "/anthropic/v1/messages"},
        (400, '{"error": {"type": "invalid_authentication_error"}}', Kind.AUTH),
        accepts=(BEARER, X_API_KEY),
        own=("/v1/users/me/balance",),
    ),
    "zai": Row(
        "https://api.z.ai",
        ("api.z.ai",),
        ("z.ai", "chat.z.ai"),
        {
            "openai_chat": "/api/paas/v4/chat/completions",
            "anthropic_messages": "/api/anthropic/v1/messages",
        },
        (429, '{"error": {"code": "1113", "message": "no resource package"}}', Kind.QUOTA),
        accepts=(BEARER, X_API_KEY),
        environment="ZAI_API_KEY",
        own=("/api/monitor/usage/quota/limit",),
    ),
    "ollama": Row(
        "http://127.0.0.1:11434",
        ("127.0.0.1", "localhost", "::1"),
        ("ollama.com", "192.168.0.1"),
        {"ollama_chat": "/api/chat", "openai_chat": CHAT},
        (404, '{"error": "model \'x\' not found, try pulling it first"}', Kind.MODEL),
        accepts=(Carrier.NONE,),
        port=11434,
    ),
    "ollama_cloud": Row(
        "https://ollama.com",
        ("ollama.com",),
        ("registry.ollama.ai", "localhost"),
        {"ollama_chat": "/api/chat", "openai_chat": CHAT},
        (429, '{"error": "you have reached your hourly usage limit"}', Kind.QUOTA),
        environment="OLLAMA_API_KEY",
        own=("/api/me",),
    ),
    "github_copilot": Row(
        "",
        ("api.githubcopilot.com", "api.individual.githubcopilot.com", "api.enterprise.githubcopilot.com"),
        ("githubcopilot.com", "proxy.individual.githubcopilot.com", "api.github.com"),
        {
            "openai_chat": "/chat/completions",
            "openai_responses": "/responses",
            "anthropic_messages": MESSAGES,
        },
        (429, '{"error": {"code": "quota_exceeded", "message": "You have no quota"}}', Kind.QUOTA),
        own=("/telemetry", "/agents/sessions"),
    ),
    "chatgpt": Row(
        "https://chatgpt.com",
        ("chatgpt.com",),
        ("ab.chatgpt.com", "auth.openai.com"),
        {"openai_responses": "/backend-api/codex/responses"},
        (429, '{"error": {"type": "usage_limit_reached", "message": "The limit is reached"}}', Kind.QUOTA),
        own=("/backend-api/conversation", "/"),
    ),
}
"""Recorded are the errors of openai, anthropic, gemini, vertex, openrouter, groq, deepseek and mistral."""

ALL = pytest.mark.parametrize("name", ROWS)


def test_each_built_in_provider_has_a_row() -> None:
    assert set(BUILT_IN) == set(ROWS)


@ALL
def test_hosts(name: str) -> None:
    one, row = BUILT_IN[name], ROWS[name]
    assert one.base_url == row.base_url
    assert all(serves(one, host, row.port) for host in row.served)
    assert not any(serves(one, host, row.port) for host in row.foreign)


@ALL
def test_the_paths_of_what_it_speaks_and_of_nothing_else(name: str) -> None:
    one, row = BUILT_IN[name], ROWS[name]
    assert set(one.protocols) == set(row.paths)
    assert {each: one.paths.get(each) for each in one.protocols} == row.paths


@ALL
def test_how_it_takes_a_key(name: str) -> None:
    one, row = BUILT_IN[name], ROWS[name]
    assert (one.auth, one.accepts) == (row.accepts[0], row.accepts)
    assert one.environment == row.environment
    assert not one.replace_oauth


@ALL
def test_an_error_of_its_own_form(name: str) -> None:
    status, body, kind = ROWS[name].error
    assert rejection(WireResponse(status, (), body.encode()), BUILT_IN[name].errors, now=0.0).kind is kind


@ALL
def test_the_users_own_affairs_keep_the_users_own_credential(name: str) -> None:
    globs = BUILT_IN[name].own_credential_paths
    assert all(any(fnmatchcase(path, glob) for glob in globs) for path in ROWS[name].own)


def test_no_host_is_of_two_providers() -> None:
    for (_, one), (_, other) in permutations(BUILT_IN.items(), 2):
        for host in (*one.hosts, *ROWS[one.name].served):
            name = host.strip("[]").replace("*", "x")
            bare, _, port = name.rpartition(":") if name.endswith(":11434") else (name, "", "")
            for number in (int(port),) if port else (443, 80, ROWS[one.name].port):
                assert not serves(other, bare.strip("[]"), number), (host, one.name, other.name)


def test_no_variable_makes_pools_for_two_providers() -> None:
    variables = [one.environment for one in BUILT_IN.values() if one.environment]
    assert len(variables) == len(set(variables))
    assert not [one.name for one in BUILT_IN.values() if one.environment and not one.base_url]


def test_loopback_is_served_at_the_port_of_ollama_alone() -> None:
    served = [
        (host, port)
        for one in BUILT_IN.values()
        for host in ("127.0.0.1", "localhost", "::1")
        for port in (80, 443, 8080, 11434)
        if serves(one, host, port)
    ]
    assert served == [("127.0.0.1", 11434), ("localhost", 11434), ("::1", 11434)]


@pytest.mark.parametrize(
    ("name", "token", "subscription"),
    [
        ("gemini", "ya29.x", True),
        ("gemini", "AIzaX", False),
        ("vertex", "ya29.x", True),
        ("vertex", "AIzaX", False),
        ("code_assist", "ya29.x", True),
        ("azure", "eyJ0.e30.x", True),
        ("azure", "0123abcd", False),
        ("github_copilot", "tid=x;exp=1", True),
        ("github_copilot", "gho_x", True),
        ("chatgpt", "eyJ0.e30.x", True),
        ("openrouter", "sk-or-v1-x", False),
        ("ollama_cloud", "0123abcd", False),
    ],
)
def test_tokens_of_a_login_or_a_subscription(name: str, token: str, subscription: bool) -> None:
    assert token.startswith(BUILT_IN[name].oauth_prefixes) is subscription


def test_what_a_chat_request_calls_its_limit() -> None:
    fields = {name: one.max_tokens_field for name, one in BUILT_IN.items()}
    newer = {"openai", "azure"}
    assert {name for name, each in fields.items() if each == "max_completion_tokens"} == newer
    assert {each for name, each in fields.items() if name not in newer} == {"max_tokens"}


def test_a_limit_of_googles_is_no_empty_account() -> None:
    body = b'{"error": {"message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}'
    said = {
        rejection(WireResponse(429, (), body), BUILT_IN[n].errors, 0.0).kind for n in ("gemini", "vertex")
    }
    assert said == {Kind.RATE}


@pytest.mark.parametrize(
    ("name", "model", "reasoning", "max_output", "thinking"),
    [
        ("openai", "gpt-4o-mini", False, 16384, ThinkingStyle.NONE),
        ("openai", "gpt-4o-2024-05-13", False, 4096, ThinkingStyle.NONE),
        ("openai", "gpt-5.2", True, 128000, ThinkingStyle.EFFORT),
        ("openai", "o1-mini", True, 65536, ThinkingStyle.NONE),
        ("openai", "o4-mini", True, 100000, ThinkingStyle.EFFORT),
        ("openai", "nothing", None, None, None),
        ("azure", "gpt-5-nano", True, 128000, ThinkingStyle.EFFORT),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-3-5-haiku-latest", False, 8192, ThinkingStyle.NONE),
        ("anthropic", "claude-3-7-sonnet-latest", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-opus-4-1", None, 32000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-opus-4-20250514", None, 32000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-sonnet-4-0", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-sonnet-4-5-20250929", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-haiku-4-5-20251001", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-opus-4-5", None, 64000, ThinkingStyle.BUDGET),
        ("anthropic", "claude-opus-4-6", None, 128000, ThinkingStyle.EFFORT),
        ("anthropic", "claude-sonnet-5", None, 128000, ThinkingStyle.EFFORT),
        ("anthropic", "claude-opus-5-5", True, 128000, ThinkingStyle.EFFORT),
        ("anthropic", "claude-fable-5-1", True, 128000, ThinkingStyle.EFFORT),
        ("anthropic", "claude-other-9", None, None, ThinkingStyle.EFFORT),
        ("gemini", "gemini-2.0-flash", False, 8192, ThinkingStyle.NONE),
        ("gemini", "gemini-2.5-flash", None, 65536, ThinkingStyle.BUDGET),
        ("gemini", "gemini-2.5-pro", True, 65536, ThinkingStyle.BUDGET),
        ("gemini", "gemini-3-flash-preview", True, 65536, ThinkingStyle.EFFORT),
        ("code_assist", "gemini-3-pro", True, 65536, ThinkingStyle.EFFORT),
        ("vertex", "gemini-2.5-flash", None, 65536, ThinkingStyle.BUDGET),
        ("openrouter", "anthropic/claude-sonnet-4.5", None, 64000, ThinkingStyle.EFFORT),
        ("openrouter", "openai/gpt-4o-mini-2024-07-18", False, None, ThinkingStyle.NONE),
        ("deepseek", "deepseek-reasoner", True, 65536, ThinkingStyle.NONE),
        ("xai", "grok-4-1-fast-non-reasoning", False, None, ThinkingStyle.NONE),
        ("zai", "glm-5.2", None, 131072, ThinkingStyle.EFFORT),
        ("groq", "openai/gpt-oss-120b", True, 65536, ThinkingStyle.EFFORT),
        ("chatgpt", "gpt-5.4-codex", True, 128000, ThinkingStyle.EFFORT),
    ],
)
def test_what_is_known_of_models(
    name: str, model: str, reasoning: bool | None, max_output: int | None, thinking: ThinkingStyle | None
) -> None:
    facts = facts_of(BUILT_IN[name], model)
    assert (facts.reasoning, facts.max_output, facts.thinking) == (reasoning, max_output, thinking)


VENDORS_WORDS = {
    "anthropic_messages": (
        '{"type": "error", "error": {"type": "x", "message": "Your credit balance is too low to go on."}}',
        Kind.QUOTA,
    ),
    "openai_chat": ('{"error": {"message": "No such File object: file-1", "type": "x"}}', Kind.BINDING),
    "openai_responses": (
        '{"error": {"message": "no", "code": "previous_response_not_found", "type": "x"}}',
        Kind.BINDING,
    ),
    "gemini_generate": ('{"error": {"code": 400, "message": "API key expired. Renew it."}}', Kind.AUTH),
}


@pytest.mark.parametrize("protocol", VENDORS_WORDS)
def test_the_words_of_a_protocol_s_vendor_hold_for_every_provider_that_speaks_it(protocol: str) -> None:
    body, kind = VENDORS_WORDS[protocol]
    gateway = {"base_url": "https://g", "hosts": ["g"], "protocols": [protocol]}
    custom = provider("gateway", layered(common_facts(), gateway))
    speakers = [each for each in BUILT_IN.values() if protocol in each.protocols]
    assert speakers
    for one in (custom, *speakers):
        assert rejection(WireResponse(400, (), body.encode()), one.errors, 0.0).kind is kind


def test_a_provider_s_own_words_come_before_those_of_its_protocol() -> None:
    own = {"phrases": {"credit balance": "rate"}, "codes": {"invalid_prompt": "server"}}
    facts = {"base_url": "https://g", "hosts": ["g"], "protocols": ["anthropic_messages"], "errors": own}
    errors = provider("gateway", layered(common_facts(), facts)).errors
    assert errors.phrases[0] == ("credit balance", Kind.RATE)
    assert errors.codes["invalid_prompt"] is Kind.SERVER


def test_the_words_of_a_protocol_do_not_hold_where_it_is_not_spoken() -> None:
    facts = {"base_url": "https://g", "hosts": ["g"], "protocols": ["gemini_generate"]}
    errors = provider("gateway", layered(common_facts(), facts)).errors
    assert "credit balance is too low" not in dict(errors.phrases)
