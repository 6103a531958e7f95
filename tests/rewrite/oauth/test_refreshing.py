"""How refreshes are asked for, and what the answers mean."""

import json
from urllib.parse import parse_qs

import pytest

from protocols.model.http import WireResponse, header
from rewrite.oauth.files import UNSTATED, Unreadable, refreshed, tokens_in
from rewrite.oauth.kinds import OAuthKind, oauth_kinds
from rewrite.oauth.refreshing import (
    Dead,
    Failed,
    Refreshed,
    Renewal,
    TokenClient,
    lasting_request,
    refresh_request,
    renewal,
    short_token,
)
from tests.rewrite.oauth.logins import (
    ANTIGRAVITY,
    CLAUDE,
    CODEX,
    COPILOT,
    GEMINI,
    GENERIC,
    KINDS,
    antigravity_file,
    claude_file,
    codex_file,
    copilot_file,
    gemini_file,
    generic_file,
)

NOW = 1_790_000_000.0
NOTHING: tuple[object, ...] = (None, 0, -5, "", "soon", True, [], "nan", 10**400)
"""Where an answer is to say how long something lasts."""
HERE = "http://127.0.0.1:8001/v1/oauth/token"


def client_of(kind: OAuthKind, url: str = HERE) -> TokenClient:
    return TokenClient(url, kind.client_id)


def test_claude_asks_for_exactly_the_scopes_of_the_file() -> None:
    request = refresh_request(CLAUDE, client_of(CLAUDE), tokens_in(claude_file(), CLAUDE))
    assert (request.method, request.target, request.origin.address) == (
        "POST",
        b"/v1/oauth/token",
        ("127.0.0.1", 8001),
    )
    assert header(request.headers, "content-type") == "application/json"
    assert json.loads(request.body) == {
        "grant_type": "refresh_token",
        "refresh_token": "sk-ant-ort01-old",
        "client_id": "9d1c250a-e61b-44d9-88ed-5944d1962f5e",
        "scope": "user:inference user:profile",
    }


def test_codex_asks_without_scopes() -> None:
    request = refresh_request(CODEX, client_of(CODEX), tokens_in(codex_file(), CODEX))
    assert json.loads(request.body).keys() == {"grant_type", "refresh_token", "client_id"}


@pytest.mark.parametrize(("kind", "file"), [(GEMINI, gemini_file()), (GENERIC, generic_file())])
def test_others_ask_by_a_form(kind: OAuthKind, file: str) -> None:
    client = TokenClient(HERE, "an id", "a&secret")
    request = refresh_request(kind, client, tokens_in(file, kind))
    assert header(request.headers, "content-type") == "application/x-www-form-urlencoded"
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert form["client_secret"] == ["a&secret"]
    assert form["client_id"] == ["an id"]
    assert form["refresh_token"] == [tokens_in(file, kind).refresh]


@pytest.mark.parametrize(
    ("token_url", "asked"),
    [
        ("https://api.github.com/copilot_internal/v2/token", "https://api.github.com/copilot_internal/user"),
        (
            "https://gate.test:8443/gh/copilot_internal/v2/token",
            "https://gate.test:8443/gh/copilot_internal/user",
        ),
        ("https://gate.test/exchange", None),
        ("https://gate.test", None),
    ],
)
def test_the_token_that_is_exchanged_goes_beside_the_endpoint_that_does_it(
    token_url: str, asked: str | None
) -> None:
    tokens = tokens_in(copilot_file(), COPILOT)
    found = lasting_request(COPILOT, TokenClient(token_url), tokens, "/copilot_internal/user")
    assert (found and f"{found.origin.scheme}://{found.origin.authority}{found.target.decode()}") == asked
    assert found is None or ("authorization", "token gho_old") in found.headers


def test_copilot_s_token_is_exchanged() -> None:
    request = refresh_request(COPILOT, client_of(COPILOT), tokens_in(copilot_file(), COPILOT))
    assert (request.method, request.body) == ("GET", b"")
    assert header(request.headers, "authorization") == "token gho_old"
    assert header(request.headers, "user-agent") == "rotator"
    exchanged = {"access_token": "tid=1", "expires_at": NOW + 1800, "refresh_in": 1500}
    short = short_token(tokens_in(copilot_file(), COPILOT), exchanged, NOW)
    assert (short.access, short.refresh, short.expires_at) == ("tid=1", "gho_old", NOW + 1800)
    assert (short.is_due(NOW + 1439), short.is_due(NOW + 1440)) == (False, True)


def test_every_endpoint_of_a_kind_is_an_address() -> None:
    for kind in KINDS.values():
        if kind.token_url:
            request = refresh_request(kind, client_of(kind, kind.token_url), tokens_in(claude_file(), CLAUDE))
            assert request.origin.is_secure


def answer(status: int, body: object, *headers: tuple[str, str]) -> WireResponse:
    return WireResponse(status, headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("kind", "said", "meaning"),
    [
        (CLAUDE, answer(200, {"access_token": "a"}), Refreshed({"access_token": "a"})),
        (CLAUDE, answer(200, {"access_token": ""}), Failed("200, but no token")),
        (CLAUDE, WireResponse(200, (), b"<html>"), Failed("200, but no token")),
        (
            CLAUDE,
            answer(
                400,
                {"error": "invalid_grant", "error_description": "Refresh token not found or invalid"},
            ),
            Dead("400 invalid_grant: Refresh token not found or invalid"),
        ),
        (CLAUDE, answer(401, {}), Dead("401")),
        (CLAUDE, answer(404, {"type": "error"}), Dead("404")),
        (CLAUDE, answer(429, {}, ("retry-after", "30")), Failed("429", 30.0)),
        (CLAUDE, answer(500, {}), Failed("500")),
        (
            CODEX,
            answer(401, {"error": {"code": "refresh_token_reused", "message": "used"}}),
            Dead("401 refresh_token_reused: used"),
        ),
        (CODEX, answer(400, {"error": "refresh_token_expired"}), Dead("400 refresh_token_expired")),
        (CODEX, answer(401, {"code": "refresh_token_invalidated"}), Dead("401 refresh_token_invalidated")),
        (CODEX, answer(401, {"error": {"code": "other"}}), Failed("401 other")),
        (
            GEMINI,
            answer(
                400,
                {"error": "invalid_grant", "error_description": "Token has been expired or revoked."},
            ),
            Dead("400 invalid_grant: Token has been expired or revoked."),
        ),
        (
            COPILOT,
            answer(200, {"token": "tid=1", "expires_at": 5}),
            Refreshed({"access_token": "tid=1", "token": "tid=1", "expires_at": 5}),
        ),
        (
            COPILOT,
            answer(403, {"error_details": {"message": "No access to GitHub Copilot found", "url": "u"}}),
            Dead("403: No access to GitHub Copilot found"),
        ),
        (GENERIC, answer(400, {"error": "invalid_client"}), Failed("400 invalid_client")),
        (GENERIC, answer(400, {"error": ["invalid_grant"]}), Failed("400")),
    ],
)
def test_what_an_answer_means(kind: OAuthKind, said: WireResponse, meaning: Renewal) -> None:
    assert renewal(kind, said, NOW) == meaning


def test_no_message_is_longer_than_a_line() -> None:
    found = renewal(CLAUDE, answer(500, {"message": "x" * 10_000}), NOW)
    assert isinstance(found, Failed)
    assert len(found.message) <= 200


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"x": {"form": {"acces": "a"}}}, "x.form: unknown keys acces"),
        ({"x": {"token": "a"}}, "x: unknown keys token"),
        ({"x": {"encoding": "xml"}}, "x: Invalid enum value 'xml'"),
    ],
)
def test_a_kind_that_does_not_fit(tables: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        oauth_kinds(tables)


def answered(answer: object, status: int = 200, *headers: tuple[str, str]) -> WireResponse:
    return WireResponse(status, headers, json.dumps(answer).encode())


@pytest.mark.parametrize("token", ["", "a\nb", "a\r\nx-evil: 1", " a", "a b", "\0", "\u043a", None, 5, ["a"]])
def test_a_token_that_no_header_can_hold_is_none(token: object) -> None:
    """The file stays as it is."""
    outcome = renewal(CLAUDE, answered({"access_token": token, "expires_in": 60}), NOW)
    assert outcome == Failed("200, but no token")


@pytest.mark.parametrize(
    ("stated", "lasts"),
    [
        (60, 60.0),
        (0.5, 0.5),
        ("3600", 3600.0),
        *((nothing, UNSTATED) for nothing in NOTHING),
        *((much, 10 * 365 * 86_400.0) for much in (1e12, 1e300, 1e308, "1e999")),
    ],
)
@pytest.mark.parametrize("kind", [CLAUDE, GEMINI, GENERIC, ANTIGRAVITY], ids=lambda kind: kind.name)
def test_whatever_an_endpoint_says_of_how_long_its_token_lasts(
    kind: OAuthKind, stated: object, lasts: float
) -> None:
    """By then the token before is used up: what it says must not lose the new one."""
    answer = answered({"access_token": "a", "refresh_token": "r", "expires_in": stated})
    outcome = renewal(kind, answer, NOW)
    assert isinstance(outcome, Refreshed)
    files = {"claude": claude_file, "gemini": gemini_file, "generic": generic_file}
    text = files.get(kind.name, antigravity_file)()
    found = tokens_in(refreshed(text, kind, outcome.answer, NOW), kind)
    assert found.access == "a"
    assert found.expires_at == pytest.approx(NOW + lasts, abs=1.0)


@pytest.mark.parametrize("at", [-1, 1e300, 10**400, "soon", True, None])
@pytest.mark.parametrize("refresh_in", [0, -1, "soon", 10**400, None])
def test_a_short_token_with_impossible_times_has_none(at: object, refresh_in: object) -> None:
    old = tokens_in(copilot_file(), COPILOT)
    found = short_token(old, {"access_token": "a", "expires_at": at, "refresh_in": refresh_in}, NOW)
    assert (found.expires_at, found.due_at) == (None, None)


@pytest.mark.parametrize("at", ["1e300", "1e999", "-5", "9" * 400, '"soon"', "null"])
def test_a_file_with_an_impossible_time_has_none(at: str) -> None:
    text = generic_file().replace("1800000000", at)
    assert at in text
    found = tokens_in(text, GENERIC)
    assert not found.is_due(NOW)
    assert not found.is_over(NOW)


@pytest.mark.parametrize("stated", ["1e300", "99999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_endpoint_is_left_alone_for_ever(stated: str) -> None:
    outcome = renewal(CLAUDE, answered({}, 429, ("retry-after", stated)), NOW)
    assert outcome == Failed("429", 1800.0)


def test_a_file_with_a_line_break_in_what_a_header_has_of_it_is_refused() -> None:
    with pytest.raises(Unreadable, match="a token that no header can hold"):
        tokens_in(generic_file("a\nb"), GENERIC)
    with pytest.raises(Unreadable, match="a token that no header can hold"):
        tokens_in(copilot_file("gho\nb"), COPILOT)
    with pytest.raises(Unreadable, match="an account that no header can hold"):
        tokens_in(codex_file().replace("account-1", "account\\n1"), CODEX)
