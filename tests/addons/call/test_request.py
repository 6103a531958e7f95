"""How a call leaves for a target: its own bytes, or an allow-list of headers and what was rendered."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from msgspec import structs
from pydantic import SecretStr

from addons.call.recognition import Intercepted
from addons.call.request import identity_of, outgoing, own_lease, unchanged
from addons.call.tracing import note_sent
from addons.config.providers import Configured
from addons.credentials.carriers import take_out
from addons.credentials.lease import NO_LEASE, Lease
from addons.oauth.source import TokenSource
from addons.secrets.logins import Login
from protocols.model.call import Operation, Rendered
from protocols.model.http import Headers, WireRequest, header, parsed
from protocols.model.wirejson import load_object
from rewrite.catalog.providers import Carrier, Provider
from rewrite.catalog.routes import Route
from rewrite.hooks.base import About, Hooks, Unsigned
from rewrite.hooks.calling import CallHooks, ProviderHooks
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient
from rewrite.targets.target import Target
from tests.rewrite.asks import ask, target_at
from tests.rewrite.oauth.logins import CLAUDE as CLAUDE_LOGIN
from tests.rewrite.oauth.logins import CODEX as CODEX_LOGIN
from tests.rewrite.oauth.logins import GEMINI as GEMINI_LOGIN
from tests.rewrite.records.traces import Kept, trace_of
from tests.rewrite.scenes import ANTHROPIC, CHAT, TERMS, call, own

OWN = "sk-of-the-client"
POOL = Lease("work", SecretStr("sk-of-the-pool"))
UNPOOLED = structs.replace(TERMS, pooled=False)
BODY = b'{ "model": "m" }'
OPENAI = Provider(
    "openai",
    "https://api.openai.example/base",
    ("o",),
    ("openai_chat",),
    account_headers=("openai-organization",),
)
CLAUDE = Provider(
    "anthropic", "https://api.claude.example", ("a",), ("anthropic_messages",), Carrier.X_API_KEY
)
RENDERED = Rendered("/v1/messages", {"model": "claude"}, (("anthropic-version", "2023-06-01"),))
ITS_OWN = (
    ("Host", "api.openai.com"),
    ("X-Odd", "1"),
    ("User-Agent", "tool/1"),
    ("Accept", "*/*"),
    ("Authorization", f"Bearer {OWN}"),
    ("OpenAI-Organization", "org-1"),
    ("Cookie", "a=b"),
    ("x-stainless-os", "Linux"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("Content-Length", str(len(BODY))),
)


def request(*more: tuple[str, str]) -> WireRequest:
    return WireRequest("POST", "/v1/chat/completions?x=1", (*ITS_OWN, *more), BODY)


def intercepted(provider: Provider = OPENAI) -> Intercepted:
    own = take_out(request().headers, "/")[2]
    return Intercepted(Configured(provider), CHAT, Operation.GENERATE, own, True, parsed(provider.base_url))


SAME = own(provider=OPENAI)
ADAPTED = own(provider=OPENAI, rendered=Rendered("/v1/chat/completions?x=1", {"model": "n"}))
ACROSS = own(call(), ANTHROPIC, provider=CLAUDE, original=False, rendered=RENDERED)
LIKE = own(provider=OPENAI, original=False, rendered=Rendered("/v1/chat/completions", {"model": "n"}))


def test_a_credential_is_the_same_whatever_its_name() -> None:
    called = intercepted()
    known = identity_of(POOL, called)
    assert known
    assert POOL.secret.get_secret_value() not in known
    assert identity_of(structs.replace(POOL, name="renamed"), called) == known
    own_key = identity_of(own_lease(called), called)
    others = identity_of(structs.replace(POOL, secret=SecretStr("sk-another")), called), own_key
    assert len({known, *others}) == 3
    assert own_key == identity_of(own_lease(called), called)
    assert identity_of(NO_LEASE, called) is None


def test_what_is_not_changed_leaves_as_it_came_but_for_the_key() -> None:
    sent = outgoing(request(), SAME, intercepted(), POOL)
    assert (sent.method, sent.body) == ("POST", BODY)
    assert sent.origin.address == ("api.openai.example", 443)
    assert sent.target == b"/base/v1/chat/completions?x=1"
    names = [name for name, _ in sent.headers]
    kept = [name for name, _ in ITS_OWN]
    assert [name for name in names if name in kept] == [name for name in kept if name in names]
    assert (header(sent.headers, "authorization"), header(sent.headers, "cookie")) == (
        "Bearer sk-of-the-pool",
        "a=b",
    )
    assert header(sent.headers, "openai-organization") is None


def test_an_adapted_body_goes_with_the_client_s_own_headers() -> None:
    """To the provider that the client called, nothing of its head is a secret."""
    sent = outgoing(request(), ADAPTED, intercepted(), POOL)
    assert load_object(sent.body) == {"model": "n"}
    assert sent.origin.address == ("api.openai.example", 443)
    assert sent.target == b"/base/v1/chat/completions?x=1"
    assert (header(sent.headers, "host"), header(sent.headers, "x-odd")) == ("api.openai.example", "1")
    assert header(sent.headers, "openai-organization") is None
    assert header(sent.headers, "content-length") is None
    assert [name.lower() for name, _ in sent.headers].count("host") == 1


def test_a_key_of_the_client_s_own_in_the_query_stays_there_when_the_body_is_changed() -> None:
    own = take_out((), f"/v1/x?x=1&key={OWN}")[2]
    asked = replace(intercepted(), own=own)
    sent = outgoing(request(), ADAPTED, asked, own_lease(asked))
    assert sent.target == f"/base/v1/chat/completions?x=1&key={OWN}".encode()


@pytest.mark.parametrize(
    ("target", "own"),
    [
        (ACROSS, (("anthropic-version", "2023-06-01"),)),
        (LIKE, ()),
    ],
    ids=["another protocol", "another provider"],
)
def test_another_provider_sees_an_allow_list_alone(target: Target, own: tuple[tuple[str, str], ...]) -> None:
    sent = outgoing(request(), target, intercepted(), Lease("none", SecretStr(""), pooled=False))
    assert sent.headers == (
        ("host", target.origin.authority),
        ("User-Agent", "tool/1"),
        ("Accept", "*/*"),
        *own,
        ("content-type", "application/json"),
    )


@pytest.mark.parametrize("lease", [POOL, NO_LEASE])
@pytest.mark.parametrize("target", [ACROSS, LIKE])
def test_the_client_s_own_key_never_goes_to_another_provider(target: Target, lease: Lease) -> None:
    sent = outgoing(request(), target, intercepted(), lease)
    assert OWN not in repr(sent)


def test_a_client_s_own_login_keeps_its_form_at_the_provider_that_it_called() -> None:
    """A token of a login is taken in no other carrier than its own."""
    target = target_at(ask("openai_chat"), "anthropic_messages", CLAUDE.name, UNPOOLED)
    target = replace(target, route=Route(CLAUDE, "anthropic_messages", "m", original=True))
    sent = outgoing(request(), target, intercepted(CLAUDE), Lease("client", SecretStr(OWN), pooled=False))
    assert header(sent.headers, "authorization") == f"Bearer {OWN}"
    assert header(sent.headers, "x-api-key") is None


def test_the_pool_s_key_is_written_in_the_form_of_the_target() -> None:
    sent = outgoing(request(), ACROSS, intercepted(), POOL)
    assert header(sent.headers, "x-api-key") == "sk-of-the-pool"
    assert header(sent.headers, "authorization") is None
    assert (
        header(outgoing(request(), LIKE, intercepted(), POOL).headers, "authorization")
        == "Bearer sk-of-the-pool"
    )
    assert (sent.origin.host, sent.target) == ("api.claude.example", b"/v1/messages")
    assert load_object(sent.body) == {"model": "claude"}


def test_the_client_s_own_key_stays_with_the_provider_that_it_called() -> None:
    for target in (SAME, ADAPTED):
        sent = outgoing(request(), target, intercepted(), own_lease(intercepted()))
        assert header(sent.headers, "authorization") == f"Bearer {OWN}"
        assert header(sent.headers, "openai-organization") == "org-1"


def test_connection_strips_nothing_that_is_written_here() -> None:
    sent = request(("Connection", "keep-alive, Authorization, host, cookie"))
    for target in (SAME, ADAPTED):
        found = outgoing(sent, target, intercepted(), POOL).headers
        assert header(found, "authorization") == "Bearer sk-of-the-pool"
        assert header(found, "host") == "api.openai.example"
        assert (header(found, "cookie"), header(found, "connection")) == (None, None)


@dataclass(frozen=True)
class Recording(type(ANTHROPIC)):  # type: ignore[misc]  # a protocol with a header of its own
    """Messages, if clients' `x-trace` were part of it."""

    translator = replace(
        ANTHROPIC.translator,
        abilities=replace(
            ANTHROPIC.translator.abilities, headers=frozenset({"x-trace", "anthropic-version"})
        ),
    )


def test_headers_of_a_protocol_go_to_any_provider_of_it() -> None:
    sent = request(("X-Trace", "kept"))
    recording = own(call(), Recording(), provider=CLAUDE, original=False, rendered=RENDERED)
    assert header(outgoing(sent, recording, intercepted(), POOL).headers, "x-trace") == "kept"
    assert header(outgoing(sent, ACROSS, intercepted(), POOL).headers, "x-trace") is None


def test_what_the_target_says_itself_takes_the_place_of_the_client_s() -> None:
    sent = request(("anthropic-version", "1999-01-01"))
    recording = own(call(), Recording(), provider=CLAUDE, original=False, rendered=RENDERED)
    found = outgoing(sent, recording, intercepted(), POOL)
    assert [value for name, value in found.headers if name.lower() == "anthropic-version"] == ["2023-06-01"]


def test_a_list_has_no_body() -> None:
    bare = replace(LIKE, rendered=Rendered("/v1/models", {}))
    assert outgoing(request(), bare, intercepted(), POOL).body == b""


def test_a_request_leaves_with_its_own_bytes() -> None:
    fields = (("Host", "api.openai.com"), ("content-encoding", "gzip"), ("te", "trailers"))
    sent = WireRequest("POST", "/v1/x?a=1", fields, b"body")
    wire = unchanged(sent, parsed("http://h:1/base"), intercepted(), NO_LEASE)
    assert (wire.method, wire.origin.address, wire.body) == ("POST", ("h", 1), b"body")
    assert wire.target == b"/base/v1/x?a=1"
    assert [pair for pair in wire.headers if pair[0] != "Authorization"] == [
        ("Host", "h:1"),
        ("content-encoding", "gzip"),
    ]


# -- logins ------------------------------------------------------------------------------------------------


def on_login(kind: OAuthKind, account: str = "", project: str = "") -> Lease:
    login = Login(kind, Path("unread"), TokenClient("https://a.test"))
    source = TokenSource(login, lambda: 0.0, asyncio.Lock(), lambda _now, _former: None, lambda _: None)
    return Lease("login", SecretStr("the-token"), source=source, account=account, project=project)


def test_a_token_of_a_login_is_a_bearer_s_in_the_place_of_the_client_s_key() -> None:
    sent = outgoing(request(), SAME, intercepted(), on_login(CLAUDE_LOGIN))
    assert header(sent.headers, "authorization") == "Bearer the-token"
    assert header(sent.headers, "anthropic-beta") == "oauth-2025-04-20"
    assert header(sent.headers, "openai-organization") is None
    names = [name for name, _ in sent.headers]
    assert names.index("Authorization") == [name for name, _ in ITS_OWN].index("Authorization")


def test_a_login_elsewhere_is_a_bearer_s_too() -> None:
    """Also where keys have a header of their own."""
    sent = outgoing(request(), ACROSS, intercepted(), on_login(CLAUDE_LOGIN))
    assert header(sent.headers, "authorization") == "Bearer the-token"
    assert header(sent.headers, "x-api-key") is None
    assert header(sent.headers, "anthropic-beta") == "oauth-2025-04-20"


def test_the_account_of_a_login_takes_the_place_of_the_client_s() -> None:
    provider = replace(OPENAI, account_headers=("openai-organization", "chatgpt-account-id"))
    theirs = request(("ChatGPT-Account-ID", "theirs"))
    sent = outgoing(theirs, own(provider=provider), intercepted(provider), on_login(CODEX_LOGIN, "mine"))
    assert header(sent.headers, "chatgpt-account-id") == "mine"
    assert header(sent.headers, "openai-organization") is None


def test_the_project_of_a_login_is_named_in_code_assist_s_envelope_alone() -> None:
    enveloped = replace(request(), body=b'{"model": "m", "project": "theirs", "request": {}}')
    lease = on_login(GEMINI_LOGIN, project="mine")
    assert load_object(outgoing(enveloped, SAME, intercepted(), lease).body) == {
        "model": "m",
        "project": "mine",
        "request": {},
    }
    assert outgoing(request(), SAME, intercepted(), lease).body is BODY


class Signing(Hooks):
    """Signs with the key of one credential alone."""

    def sign_request(self, request: Unsigned, key: str, about: About) -> Headers | None:
        if key != POOL.secret.get_secret_value():
            return None
        return (*request.headers, ("x-signature", f"{request.method} {request.url}"))


HOOKED = replace(
    ADAPTED,
    hooks=CallHooks(
        ProviderHooks("openai", Signing()), About("openai", "openai_chat", "n", Operation.GENERATE, False)
    ),
)


def test_a_signature_takes_the_place_of_the_key_and_is_not_recorded() -> None:
    sent = outgoing(request(), HOOKED, intercepted(), POOL)
    url = "https://api.openai.example/base/v1/chat/completions?x=1"
    assert header(sent.headers, "x-signature") == f"POST {url}"
    assert header(sent.headers, "authorization") is None
    kept: Kept = Kept()
    note_sent(trace_of(kept), sent, request())
    assert isinstance(kept.entries[0].data, dict)
    assert ["x-signature", "(signed)"] in kept.entries[0].data["headers"]
    assert ["x-odd", "1"] in [[name.lower(), value] for name, value in kept.entries[0].data["headers"]]


def test_where_nothing_is_signed_the_key_goes_as_ever() -> None:
    other = Lease("other", SecretStr("sk-another-of-the-pool"))
    sent = outgoing(request(), HOOKED, intercepted(), other)
    assert header(sent.headers, "authorization") == "Bearer sk-another-of-the-pool"


def test_a_client_s_own_key_is_not_signed() -> None:
    asked = intercepted()
    sent = outgoing(request(), HOOKED, asked, own_lease(asked))
    assert header(sent.headers, "authorization") == f"Bearer {OWN}"


def test_headers_of_a_prepared_request_take_the_place_of_the_client_s() -> None:
    target = replace(ADAPTED, rendered=replace(ADAPTED.rendered or RENDERED, headers=(("x-odd", "2"),)))
    sent = outgoing(request(), target, intercepted(), POOL)
    assert [value for name, value in sent.headers if name.lower() == "x-odd"] == ["2"]
