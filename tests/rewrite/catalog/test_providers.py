"""What the first two built-in files say."""

from fnmatch import fnmatchcase

import pytest

from addons.config.provider_files import built_in, common_facts
from protocols.model.http import WireResponse
from rewrite.catalog.layers import layered
from rewrite.catalog.provider_tables import provider
from rewrite.policies.classify import rejection
from rewrite.values.outcome import Kind

BUILT_IN = {name: provider(name, facts) for name, facts in built_in().items()}
MINIMAL: dict[str, object] = {"base_url": "https://x.test", "hosts": ["x.test"], "protocols": ["openai_chat"]}


@pytest.mark.parametrize(
    ("name", "token", "subscription"),
    [
        ("openai", "eyJhbGciOi.e30.x", True),
        ("openai", "sk-proj-x", False),
        ("anthropic", "sk-ant-oat01-x", True),
        ("anthropic", "sk-ant-api03-x", False),
    ],
)
def test_tokens_of_a_subscription(name: str, token: str, subscription: bool) -> None:
    assert token.startswith(BUILT_IN[name].oauth_prefixes) is subscription


@pytest.mark.parametrize(
    ("name", "path", "own"),
    [
        ("anthropic", "/v1/messages", False),
        ("anthropic", "/v1/messages/count_tokens", False),
        ("anthropic", "/v1/messages/batches", False),
        ("anthropic", "/v1/files", False),
        ("anthropic", "/v1/models", False),
        ("anthropic", "/api/event_logging/batch", True),
        ("anthropic", "/api/claude_code/settings", True),
        ("anthropic", "/v1/oauth/token", True),
        ("anthropic", "/v1/organizations/me", True),
        ("openai", "/v1/chat/completions", False),
        ("openai", "/v1/responses", False),
        ("openai", "/v1/files", False),
        ("openai", "/v1/batches", False),
        ("openai", "/v1/organization/usage/completions", True),
        ("openai", "/v1/dashboard/billing/usage", True),
        ("openai", "/v1/me", True),
    ],
)
def test_paths_that_keep_the_clients_own_credential(name: str, path: str, own: bool) -> None:
    assert any(fnmatchcase(path, glob) for glob in BUILT_IN[name].own_credential_paths) is own


@pytest.mark.parametrize(
    ("name", "status", "body", "kind"),
    [
        ("openai", 401, b'{"error":{"type":"invalid_request_error","code":"invalid_api_key"}}', Kind.AUTH),
        ("openai", 429, b'{"error":{"type":"tokens","code":"rate_limit_exceeded"}}', Kind.RATE),
        ("openai", 429, b'{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}', Kind.QUOTA),
        ("openai", 429, b'{"error":{"code":"billing_hard_limit_reached"}}', Kind.QUOTA),
        ("openai", 403, b'{"error":{"code":"access_terminated"}}', Kind.QUOTA),
        ("openai", 400, b'{"error":{"code":"context_length_exceeded"}}', Kind.REQUEST),
        ("openai", 400, b'{"error":{"code":"invalid_encrypted_content"}}', Kind.BINDING),
        ("openai", 404, b'{"error":{"message":"No such File object: file-1"}}', Kind.BINDING),
        ("openai", 503, b'{"error":{"type":"server_error"}}', Kind.SERVER),
        ("anthropic", 401, b'{"error":{"type":"authentication_error"}}', Kind.AUTH),
        ("anthropic", 402, b'{"error":{"type":"billing_error"}}', Kind.QUOTA),
        ("anthropic", 403, b'{"error":{"type":"permission_error"}}', Kind.FORBIDDEN),
        ("anthropic", 429, b'{"error":{"type":"rate_limit_error"}}', Kind.RATE),
        ("anthropic", 529, b'{"error":{"type":"overloaded_error"}}', Kind.SERVER),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to go on"}}',
            Kind.QUOTA,
        ),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"Invalid `signature` in `thinking` block"}}',
            Kind.BINDING,
        ),
        (
            "anthropic",
            400,
            b'{"error":{"type":"invalid_request_error","message":"prompt is too long"}}',
            Kind.REQUEST,
        ),
    ],
)
def test_what_a_providers_errors_blame(name: str, status: int, body: bytes, kind: Kind) -> None:
    assert rejection(WireResponse(status, (), body), BUILT_IN[name].errors, now=0.0).kind is kind


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("overloaded_error", Kind.SERVER),
        ("insufficient_quota", Kind.QUOTA),
        ("invalid_api_key", Kind.AUTH),
        ("rate_limit_error", Kind.RATE),
    ],
)
def test_any_provider_knows_the_words_of_both_families(word: str, kind: Kind) -> None:
    custom = provider("custom", layered(common_facts(), MINIMAL))
    assert {one.errors.codes[word] for one in (custom, *BUILT_IN.values())} == {kind}
