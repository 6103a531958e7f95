"""Files of logins as tools write them, with made-up tokens."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from tomllib import loads

from rewrite.oauth.kinds import OAuthKind, oauth_kinds

KINDS: Mapping[str, OAuthKind] = oauth_kinds(loads(files("rewrite.oauth").joinpath("kinds.toml").read_text()))
CLAUDE, CODEX, GEMINI, GENERIC = (KINDS[name] for name in ("claude", "codex", "gemini", "generic"))
ANTIGRAVITY, COPILOT = KINDS["antigravity"], KINDS["copilot"]

EXPIRES = 1_800_000_000
"""The end of each token, in epoch seconds."""


def jwt(expires: int, mark: str = "") -> str:
    """A token whose claims say when it ends."""
    parts = ({"alg": "RS256"}, {"exp": expires, "mark": mark}, {"signature": True})
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def claude_file(
    access: str = "sk-ant-oat01-old", refresh: str = "sk-ant-ort01-old", at: int = EXPIRES
) -> str:
    """As Claude Code writes it: one line, with what other parts of it keep there."""
    login = {
        "accessToken": access,
        "refreshToken": refresh,
        "expiresAt": at * 1000,
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_20x",
    }
    return json.dumps({"mcpOAuth": {"ünïcode": {"n": 1.5}}, "claudeAiOauth": login}, separators=(",", ":"))


def codex_file(access: str | None = None, refresh: str = "rt-old", at: int = EXPIRES) -> str:
    """As codex writes it: indented by two."""
    tokens = {
        "id_token": "id-old",
        "access_token": jwt(at) if access is None else access,
        "refresh_token": refresh,
        "account_id": "account-1",
    }
    whole = {
        "OPENAI_API_KEY": None,
        "tokens": tokens,
        "last_refresh": "2026-11-20T10:00:00.123456789Z",
        "agent_identity": {"kept": True},
    }
    return json.dumps(whole, indent=2)


def gemini_file(access: str = "ya29.old", refresh: str = "1//old", at: int = EXPIRES) -> str:
    whole = {
        "access_token": access,
        "scope": "openid",
        "token_type": "Bearer",
        "id_token": "id-old",
        "expiry_date": at * 1000,
        "refresh_token": refresh,
    }
    return json.dumps(whole, indent=2)


def generic_file(access: str = "generic-old", refresh: str = "refresh-old", at: int = EXPIRES) -> str:
    whole = {"access_token": access, "refresh_token": refresh, "expires_at": at, "note": "mine"}
    return json.dumps(whole, indent=4) + "\n"


def antigravity_file(access: str = "ya29.old", refresh: str = "1//old", at: int = EXPIRES) -> str:
    expiry = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    token = {"access_token": access, "token_type": "Bearer", "refresh_token": refresh, "expiry": expiry}
    return json.dumps({"token": token, "auth_method": "consumer"})


def copilot_file(token: str = "gho_old") -> str:
    """As editors write it: by the application that logged in."""
    return json.dumps({"github.com:Iv1.b507a08c87ecfe98": {"user": "me", "oauth_token": token}})
