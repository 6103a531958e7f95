"""Which names of fields, headers and parameters are those of secrets."""

import pytest

from addons.secrets.names import Kind, is_secret_header, is_secret_parameter, kind


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        (
            Kind.SECRET,
            "api_key apiKey APIKey x-api-key OPENAI_API_KEY apikey password db_password passphrase jwt auth",
        ),
        (
            Kind.SECRET,
            "client_secret secret_access_key private_key authorization proxyAuthorization cookie db_pwd",
        ),
        (
            Kind.TOKEN,
            "access_token refresh_token id_token sessionToken authorization_token AuthToken xoxb_api_token",
        ),
        (Kind.MAYBE, "token Token credentials awsCredentials"),
        (
            Kind.SIGNATURE,
            "signature thoughtSignature thought_signature encrypted_content redactedContent",
        ),
        (Kind.DATA, "data"),
        (
            Kind.PLAIN,
            "max_tokens input_tokens completion_tokens_details token_count total_tokens first_token",
        ),
        (
            Kind.PLAIN,
            "next_page_token prompt_cache_key key author authorization_url credentials_url pwd_policy text _",
        ),
    ],
)
def test_names_of_fields(expected: Kind, names: str) -> None:
    assert {name: kind(name) for name in names.split()} == dict.fromkeys(names.split(), expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Authorization", True),
        ("proxy-authorization", True),
        ("Set-Cookie", True),
        ("x-goog-api-key", True),
        ("x-amz-security-token", True),
        ("x-password", True),
        ("x-ratelimit-remaining-tokens", False),
        ("x-author", False),
        ("content-type", False),
        ("x-monkey", False),
    ],
)
def test_names_of_headers(name: str, expected: bool) -> None:
    assert is_secret_header(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", True),
        ("sig", True),
        ("api_key", True),
        ("access_token", True),
        ("X-Amz-Signature", True),
        ("client_secret", True),
        ("alt", False),
        ("monkey", False),
        ("max_tokens", False),
    ],
)
def test_names_of_parameters(name: str, expected: bool) -> None:
    assert is_secret_parameter(name) == expected
