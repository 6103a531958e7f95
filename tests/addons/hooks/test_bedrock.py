"""What Bedrock's code makes of keys, requests and errors."""

import json

import pytest

from addons.hooks import bedrock
from addons.hooks.bedrock import AccessKey, Bedrock, access_key, region_of
from protocols.model.call import Operation, Rendered
from protocols.model.errors import Untranslatable
from protocols.model.http import WireResponse, header
from rewrite.hooks.base import About, HookError, Unsigned

ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ABOUT = About("bedrock", "anthropic_messages", "anthropic.claude-x-v1:0", Operation.GENERATE, True)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (f"{ID}:{SECRET}", AccessKey(ID, SECRET)),
        (f"{ID}:{SECRET}:token", AccessKey(ID, SECRET, "token")),
        (f"{ID}:{SECRET}::eu-west-1", AccessKey(ID, SECRET, "", "eu-west-1")),
        ("bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t", None),
        ("ABSKQmVkcm9ja0FQSUtleQ:=", None),
    ],
)
def test_what_a_key_is(key: str, found: AccessKey | None) -> None:
    assert access_key(key) == found


@pytest.mark.parametrize("key", [ID, f"{ID}:", f"{ID}:{SECRET}:t:r:x"])
def test_half_an_access_key_is_an_error_of_the_config(key: str) -> None:
    with pytest.raises(ValueError, match=r"ACCESS:SECRET\[:TOKEN\[:REGION\]\]") as error:
        Bedrock().check_key(key)
    assert SECRET not in str(error.value)


def test_an_access_key_needs_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    Bedrock().check_key(f"{ID}:{SECRET}")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(bedrock, "import_module", missing)
    Bedrock().check_key("a-bearer-key")
    with pytest.raises(ValueError, match=r"pip install 'rotator\[aws\]'"):
        Bedrock().check_key(f"{ID}:{SECRET}")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("vpce-0a1b-x.bedrock-runtime.eu-central-1.vpce.amazonaws.com", "eu-central-1"),
        ("gateway.example.com", ""),
        ("127.0.0.1", ""),
    ],
)
def test_the_region_is_in_the_host_s_name(host: str, region: str) -> None:
    assert region_of(host) == region


def test_a_host_without_a_region_needs_one_in_the_key() -> None:
    asked = Unsigned("POST", "https://gateway.example.com/model/x/invoke", (), b"{}")
    with pytest.raises(HookError, match="has no region in it"):
        Bedrock().sign_request(asked, f"{ID}:{SECRET}", ABOUT)


def test_what_may_change_on_the_way_is_not_signed() -> None:
    sent = (("host", "bedrock-runtime.us-east-1.amazonaws.com"), ("user-agent", "x"), ("content-type", "y"))
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/x%3A0/invoke"
    signed = Bedrock().sign_request(Unsigned("POST", url, sent, b"{}"), f"{ID}:{SECRET}", ABOUT)
    assert signed is not None
    authorization = header(signed, "authorization") or ""
    assert f"Credential={ID}/" in authorization
    assert "/us-east-1/bedrock/aws4_request" in authorization
    assert "SignedHeaders=content-type;host;x-amz-date" in authorization
    assert header(signed, "user-agent") == "x"
    assert SECRET not in str(signed)


def test_headers_of_the_client_s_own_are_not_signed() -> None:
    """They may be no UTF-8, or of a signature that is no more."""
    sent = (("host", "h"), ("x-title", "caf\udce9"), ("x-amz-security-token", "old"), ("X-Amz-Date", "old"))
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/x%3A0/invoke"
    signed = Bedrock().sign_request(Unsigned("POST", url, sent, b"{}"), f"{ID}:{SECRET}", ABOUT)
    assert signed is not None
    assert "SignedHeaders=host;x-amz-date," in (header(signed, "authorization") or "")
    assert ("x-title", "caf\udce9") in signed
    assert "old" not in str(signed)


def test_a_request_in_the_form_of_invoke_model() -> None:
    body = {"model": "claude", "stream": True, "max_tokens": 5, "anthropic_version": "other"}
    asked = Rendered("/v1/messages?beta=true", body)
    found = Bedrock().prepare_request(asked, ABOUT)
    assert found.path == "/model/anthropic.claude-x-v1%3A0/invoke-with-response-stream"
    assert found.body == {"max_tokens": 5, "anthropic_version": "bedrock-2023-05-31"}
    assert body["model"] == "claude"


@pytest.mark.parametrize("operation", [Operation.COUNT_TOKENS, Operation.MODELS])
def test_what_invoke_model_cannot_do(operation: Operation) -> None:
    about = About("bedrock", "anthropic_messages", "m", operation, False)
    with pytest.raises(Untranslatable, match=operation.value):
        Bedrock().prepare_request(Rendered("/v1/x", {}), about)


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        ((("x-amzn-ErrorType", "ThrottlingException:http://x/"),), {"message": "why"}, "rate_limit_error"),
        ((("x-amzn-ErrorType", "ValidationException"),), {"message": "why"}, "invalid_request_error"),
        ((), {"__type": "com.amazon#ExpiredTokenException", "message": "why"}, "authentication_error"),
        ((), {"__type": "AccessDeniedException", "Message": "why"}, "permission_error"),
    ],
)
def test_an_error_in_the_words_of_messages(
    headers: tuple[tuple[str, str], ...], body: dict[str, str], kind: str
) -> None:
    found = Bedrock().read_error(WireResponse(400, headers, json.dumps(body).encode()), ABOUT)
    assert json.loads(found.body) == {"type": "error", "error": {"type": kind, "message": "why"}}


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": "why"}', b'{"__type": "NewException"}'])
def test_an_error_that_it_does_not_know_stays(body: bytes) -> None:
    answer = WireResponse(500, (), body)
    assert Bedrock().read_error(answer, ABOUT) is answer
