"""A login in a folder, and an endpoint that refreshes it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from addons.oauth.source import TokenSource
from addons.secrets.logins import Login
from rewrite.oauth.files import Tokens, tokens_in
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient
from tests.rewrite.oauth.logins import EXPIRES
from tests.vendor import Reply, Step, Vendor, whole

LATE = EXPIRES - 10.0
"""When the tokens of the files are due."""

PATH = "/oauth/token"
DEAD = whole(b'{"error": "invalid_grant", "error_description": "gone"}', 400)


@dataclass
class Place:
    """A login in a folder, and what its source says."""

    folder: Path
    kind: OAuthKind
    vendor: Vendor
    now: float = LATE
    path: str = PATH
    warned: list[str] = field(default_factory=list)
    changes: int = 0

    @property
    def file(self) -> Path:
        return self.folder / "login.json"

    @property
    def login(self) -> Login:
        return Login(self.kind, self.file, TokenClient(self.vendor.base_url + self.path, "client", ""))

    def source(self) -> TokenSource:
        return TokenSource(self.login, lambda: self.now, asyncio.Lock(), self._renewed, self.warned.append)

    def _renewed(self, now: Sequence[SecretStr], former: Sequence[SecretStr]) -> None:
        assert set(now) != set(former)
        self.changes += 1

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)

    def tokens(self) -> Tokens:
        return tokens_in(self.file.read_text(), self.kind)


def granted(
    access: str = "new-access", refresh: str = "new-refresh", lasts: int = 28800, *before: Step
) -> Reply:
    """A refresh that went well, after `before`."""
    body = {"access_token": access, "refresh_token": refresh, "expires_in": lasts}
    return after(whole(json.dumps(body).encode()), *before)


def after(reply: Reply, *before: Step) -> Reply:
    return Reply(reply.status, reply.headers, reply.steps, reply.framing, before=before)
