"""What requests get besides the token of a login."""

import pytest

from protocols.model.http import Headers
from rewrite.oauth.headers import with_needed
from rewrite.oauth.kinds import OAuthKind
from tests.rewrite.oauth.logins import CLAUDE, CODEX, GEMINI, GENERIC

BETA = "oauth-2025-04-20"


@pytest.mark.parametrize(
    ("kind", "account", "before", "after"),
    [
        (CLAUDE, "", (), (("anthropic-beta", BETA),)),
        (CLAUDE, "", (("Anthropic-Beta", "a"),), (("Anthropic-Beta", f"a,{BETA}"),)),
        (CLAUDE, "", (("anthropic-beta", ""),), (("anthropic-beta", BETA),)),
        (CLAUDE, "", (("anthropic-beta", f"a, {BETA},b"),), (("anthropic-beta", f"a, {BETA},b"),)),
        (
            CLAUDE,
            "",
            (("anthropic-beta", "a"), ("x", "y"), ("anthropic-beta", "b")),
            (("anthropic-beta", "a"), ("x", "y"), ("anthropic-beta", f"b,{BETA}")),
        ),
        (CODEX, "mine", (("x", "y"),), (("x", "y"), ("chatgpt-account-id", "mine"))),
        (
            CODEX,
            "mine",
            (("ChatGPT-Account-ID", "theirs"), ("x", "y"), ("chatgpt-account-id", "again")),
            (("ChatGPT-Account-ID", "mine"), ("x", "y")),
        ),
        (CODEX, "", (("chatgpt-account-id", "theirs"), ("x", "y")), (("x", "y"),)),
        (GEMINI, "mine", (("x", "y"),), (("x", "y"),)),
        (GENERIC, "", (), ()),
    ],
)
def test_what_a_request_gets(kind: OAuthKind, account: str, before: Headers, after: Headers) -> None:
    assert with_needed(before, kind, account) == after
    assert with_needed(after, kind, account) == after
