"""What the files of logins say, and what a refresh leaves of them."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.oauth.files import UNSTATED, Tokens, Unreadable, claims, refreshed, tokens_in
from rewrite.oauth.kinds import OAuthKind
from tests.rewrite.oauth.logins import (
    ANTIGRAVITY,
    CLAUDE,
    CODEX,
    COPILOT,
    EXPIRES,
    GEMINI,
    GENERIC,
    antigravity_file,
    claude_file,
    codex_file,
    copilot_file,
    gemini_file,
    generic_file,
    jwt,
)

NOW = 1_790_000_000.0
ALL: list[tuple[OAuthKind, Callable[[], str]]] = [
    (CLAUDE, claude_file),
    (CODEX, codex_file),
    (GEMINI, gemini_file),
    (GENERIC, generic_file),
    (ANTIGRAVITY, antigravity_file),
]
TOKENS = {
    "claude": Tokens("sk-ant-oat01-old", "sk-ant-ort01-old", EXPIRES, ("user:inference", "user:profile")),
    "codex": Tokens(jwt(EXPIRES), "rt-old", EXPIRES, account="account-1"),
    "gemini": Tokens("ya29.old", "1//old", EXPIRES),
    "generic": Tokens("generic-old", "refresh-old", EXPIRES),
    "antigravity": Tokens("ya29.old", "1//old", EXPIRES),
}
ANSWER = {
    "access_token": jwt(EXPIRES + 99),
    "refresh_token": "new-refresh",
    "expires_in": 3600,
    "id_token": "id-new",
}


@pytest.mark.parametrize(("kind", "file"), ALL, ids=lambda each: getattr(each, "name", ""))
def test_each_file_holds_its_tokens(kind: OAuthKind, file: Callable[[], str]) -> None:
    assert tokens_in(file(), kind) == TOKENS[kind.name]


@pytest.mark.parametrize(("kind", "file"), ALL, ids=lambda each: getattr(each, "name", ""))
def test_a_refresh_changes_the_tokens_and_nothing_else(kind: OAuthKind, file: Callable[[], str]) -> None:
    after = refreshed(file(), kind, ANSWER, NOW)
    found = tokens_in(after, kind)
    assert (found.access, found.refresh) == (ANSWER["access_token"], "new-refresh")
    assert found.expires_at == (EXPIRES + 99 if kind is CODEX else NOW + 3600)
    assert (found.scopes, found.account) == (TOKENS[kind.name].scopes, TOKENS[kind.name].account)
    assert _others(json.loads(after)) == _others(json.loads(file()))
    assert _keys(after) == _keys(file())


@pytest.mark.parametrize(("kind", "file"), ALL, ids=lambda each: getattr(each, "name", ""))
def test_a_refresh_keeps_the_layout(kind: OAuthKind, file: Callable[[], str]) -> None:
    """What is written is what a tool would have written: only the lines of the tokens differ."""
    before, after = file(), refreshed(file(), kind, {"access_token": "a"}, NOW)
    assert after.count("\n") == before.count("\n")
    assert "\\u" not in after
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    changed = [old for old, new in lines if old != new]
    assert len(changed) <= 2  # the token, and when it ends or was refreshed


def test_what_an_answer_leaves_out_stays() -> None:
    found = tokens_in(refreshed(gemini_file(), GEMINI, {"access_token": "ya29.new"}, NOW), GEMINI)
    assert (found.access, found.refresh) == ("ya29.new", "1//old")
    assert found.expires_at == NOW + UNSTATED
    for nothing in ("", None, 7, {"value": "x"}, ["x"]):
        said = {"access_token": "at-new", "refresh_token": nothing, "id_token": nothing}
        kept = json.loads(refreshed(codex_file(), CODEX, said, NOW))
        assert kept["tokens"] == {**json.loads(codex_file())["tokens"], "access_token": "at-new"}
    id_alone = json.loads(refreshed(codex_file(), CODEX, {"id_token": "id-new"}, NOW))
    assert id_alone["tokens"] == {**json.loads(codex_file())["tokens"], "id_token": "id-new"}


def test_codex_says_when_it_was_refreshed() -> None:
    assert (
        json.loads(refreshed(codex_file(), CODEX, ANSWER, NOW))["last_refresh"] == "2026-09-21T14:13:20.000Z"
    )


def test_the_end_of_a_refresh_token_is_written_where_it_is_stated() -> None:
    answer = {**ANSWER, "refresh_token_expires_in": 86400}
    login = json.loads(refreshed(claude_file(), CLAUDE, answer, NOW))["claudeAiOauth"]
    assert login["refreshTokenExpiresAt"] == (NOW + 86400) * 1000
    assert "refreshTokenExpiresAt" not in refreshed(claude_file(), CLAUDE, ANSWER, NOW)


def test_a_token_that_does_not_say_its_end_lasts_eight_days() -> None:
    found = tokens_in(codex_file(access="opaque"), CODEX)
    assert found.expires_at == pytest.approx(1_763_632_800 + 365 * 86400 + 8 * 86400, abs=1)


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("", True),
        (claude_file()[:80], True),
        ("[]", True),
        ("{}", False),
        ('{"claudeAiOauth": null}', False),
        ('{"claudeAiOauth": {"accessToken": 1}}', False),
    ],
)
def test_what_holds_no_login(text: str, half: bool) -> None:
    with pytest.raises(Unreadable) as error:
        tokens_in(text, CLAUDE)
    assert error.value.half is half


def test_a_login_by_api_key_is_none() -> None:
    with pytest.raises(Unreadable, match="run codex login"):
        tokens_in('{"auth_mode": "apikey", "OPENAI_API_KEY": "sk-x", "tokens": null}', CODEX)


@pytest.mark.parametrize("text", [copilot_file(), '{"github.com": {"oauth_token": "gho_old"}}'])
def test_what_is_exchanged_has_no_token_for_calls(text: str) -> None:
    assert tokens_in(text, COPILOT) == Tokens("", "gho_old")
    assert tokens_in(text, COPILOT).is_due(NOW)


@given(st.integers(0, 400))
def test_half_a_file_is_never_a_login(at: int) -> None:
    text = codex_file()
    if at < len(text):
        with pytest.raises(Unreadable):
            tokens_in(text[:at], CODEX)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c", "a.!!.c", "é.é.é", "..", "a." + "A" * 5 + ".c"])
def test_what_is_no_jwt_says_nothing(token: str) -> None:
    assert claims(token) == {}


@pytest.mark.parametrize(
    ("expires_at", "due_at", "is_due", "is_over"),
    [
        (None, None, False, False),
        (NOW + 301, None, False, False),
        (NOW + 300, None, True, False),
        (NOW, None, True, True),
        (NOW + 1500, NOW + 1, False, False),
        (NOW + 1500, NOW, True, False),
    ],
)
def test_when_a_token_is_due(
    expires_at: float | None, due_at: float | None, is_due: bool, is_over: bool
) -> None:
    tokens = Tokens("a", "r", expires_at, due_at=due_at)
    assert (tokens.is_due(NOW), tokens.is_over(NOW)) == (is_due, is_over)
    assert Tokens("", "r").is_due(NOW)


def test_tokens_say_nothing_of_themselves() -> None:
    assert "old" not in repr(tokens_in(claude_file(), CLAUDE))


def _others(tree: object) -> object:
    """All but what a refresh is about."""
    about = ("accessToken", "refreshToken", "expiresAt", "last_refresh", "id_token", "expiry_date", "expiry")
    if not isinstance(tree, dict):
        return tree
    tokens = ("access_token", "refresh_token", "expires_at")
    return {key: _others(value) for key, value in tree.items() if key not in (*about, *tokens)}


def _keys(text: str) -> list[str]:
    """In their order, at every depth."""
    found: list[str] = []
    json.loads(text, object_pairs_hook=lambda pairs: found.extend(key for key, _ in pairs))
    return found
