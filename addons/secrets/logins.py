"""Logins of tools as the config names them, and their files: read where nobody else can have written them,
replaced whole."""

import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from addons.secrets.keys import UnusableKey
from addons.secrets.owned_file import NotOurs, read_own
from rewrite.oauth.files import Tokens, Unreadable, tokens_in
from rewrite.oauth.kinds import OAuthKind
from rewrite.oauth.refreshing import TokenClient

_LARGEST_FILE = 1 << 20

LOOKS, LOOK_INTERVAL = 20, 0.05
"""How often a file is read that some tools write in place, so that half of it may be there; and how many
seconds apart."""


@dataclass(frozen=True, slots=True)
class Login:
    """One login."""

    kind: OAuthKind
    """What its tool does."""
    file: Path
    """Where its tokens are."""
    client: TokenClient
    """Who refreshes them, and where."""
    any_client: bool = False
    """Whether calls of other programs than the tool may use it."""

    @property
    def wants_secret(self) -> bool:
        """Whether its tokens cannot be refreshed for want of a secret that the config does not name."""
        kind, client = self.kind, self.client
        own = (client.token_url, client.client_id) == (kind.token_url, kind.client_id)
        return kind.wants_secret and own and not client.client_secret

    @property
    def clients(self) -> tuple[str, ...] | None:
        """The names of the tools whose calls may use it. None: any."""
        return None if self.any_client or not self.kind.clients else self.kind.clients


def text_of(file: Path) -> str:
    """What is in the file of a login. Raises Unreadable."""
    try:
        return read_own(file, _LARGEST_FILE).decode()
    except NotOurs as error:
        raise Unreadable(f"{error.reason}: {error.remedy} it") from None
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text", half=True) from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "not a usable name"
        raise Unreadable(f"cannot be read ({reason})") from None


def read_login(login: Login) -> Tokens:
    """Its tokens as its file has them. Blocks for a second at most, while the file is half written. Raises
    UnusableKey, with what to do."""
    for left in reversed(range(LOOKS)):
        try:
            return tokens_in(text_of(login.file), login.kind)
        except Unreadable as error:
            if error.half and left:
                time.sleep(LOOK_INTERVAL)
                continue
            remedy = "" if login.kind.login in str(error) else f": {login.kind.login}, or correct its path"
            raise UnusableKey(f"the file {error}{remedy}") from None
    raise AssertionError("the last look returned")


def replace_text(file: Path, text: str) -> None:
    """Put `text` into the place of what is in `file`, at once and for good, with its mode and its owner.

    A link stays one. Raises OSError.
    """
    real = file.resolve(strict=True)
    old = real.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            _take_over(descriptor, old)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
        new.replace(real)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _take_over(descriptor: int, old: os.stat_result) -> None:
    if hasattr(os, "fchown") and os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
