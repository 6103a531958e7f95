"""The login of a cluster: a file at each proxy, and the endpoint that refreshes its token."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from tests.vendor import Answer, Received
from tests.vendor.script import whole

FILE = "login.json"
SHARED = {
    "ROTATOR__STATE__OAUTH_TOKENS": "shared",
    "ROTATOR__STATE__KEY": "env:CLUSTER_STORE_KEY",
    "CLUSTER_STORE_KEY": "the-key-of-the-tokens-in-the-store",
}
"""The variables by which proxies share its tokens."""
PATH = "/token"
_OLD = "an-access-token-that-is-over"
_LASTS = 28_800


@dataclass(slots=True)
class Endpoint:
    """Each refresh token is good for one refresh, as most providers have it."""

    refreshes: int = 0
    refused: int = 0
    """Refreshes with a token that had been used."""

    @property
    def access(self) -> str:
        """The token that is good now."""
        return f"access-token-number-{self.refreshes}-of-the-login"

    @property
    def refresh(self) -> str:
        return f"refresh-token-number-{self.refreshes}-of-the-login"

    def __call__(self, received: Received) -> Answer:
        token = parse_qs(received.body.decode()).get("refresh_token", [""])[0]
        if token != self.refresh:
            self.refused += 1
            return whole(b'{"error":"invalid_grant"}', 400)
        self.refreshes += 1
        said = {"access_token": self.access, "refresh_token": self.refresh, "expires_in": _LASTS}
        return whole(json.dumps(said).encode())

    def write(self, folder: Path) -> None:
        """The file of a proxy, whose token has expired."""
        file = folder / FILE
        expired = {"access_token": _OLD, "expires_at": int(time.time()) - 60}
        file.write_text(json.dumps({"refresh_token": self.refresh, **expired}))
        file.chmod(0o600)
