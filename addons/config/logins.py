"""Logins in the config: which kind one is, where its file is, and who refreshes its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from tomllib import loads

from addons.config.errors import ConfigErrors
from addons.config.tables import CredentialTable, Loc
from addons.secrets.keys import UnusableKey, located, resolve
from addons.secrets.logins import Login
from protocols.model.http import parsed
from rewrite.oauth.kinds import OAuthKind, oauth_kinds
from rewrite.oauth.refreshing import TokenClient

_OPTIONS = ("file", "token_url", "client_id", "client_secret", "any_client")
_BAD_URL = "must be an address such as https://auth.example.com/oauth/token, without user, query and fragment"
_IN_THE_CLEAR = "plain http is for this machine alone: write https://"


@cache
def known_kinds() -> Mapping[str, OAuthKind]:
    """The kinds of logins by name."""
    return oauth_kinds(loads(files("rewrite.oauth").joinpath("kinds.toml").read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class LoginReader:
    """Reads what the config says of logins."""

    environ: Mapping[str, str]
    folder: Path
    """Where relative paths start."""
    errors: ConfigErrors

    def read(self, table: CredentialTable, loc: Loc) -> Login | None:
        """The login of the credential at `loc`; None where something about it is wrong."""
        kind = self._kind(table, loc)
        if kind is None:
            return None
        client = self._client(table, kind, loc)
        if not table.file:
            where = f": {kind.name} keeps it in {kind.file}" if kind.file else ""
            self.errors.add((*loc, "file"), f"is missing: name the file of the login{where}")
            return None
        file = located(table.file, self.folder)
        return Login(kind, file, client, table.any_client) if client else None

    def refuse_options(self, table: CredentialTable, loc: Loc) -> None:
        """A credential that is a key has none of a login's."""
        for name in _OPTIONS:
            if getattr(table, name):
                self.errors.add(
                    (*loc, name), f'belongs to a login: add oauth = "{_names()[0]}", or take it out'
                )

    def _kind(self, table: CredentialTable, loc: Loc) -> OAuthKind | None:
        found = known_kinds().get(table.oauth)
        if found is None:
            close = get_close_matches(table.oauth, _names(), n=1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(_names())}"
            self.errors.add((*loc, "oauth"), f"no such kind of login: {meant}")
        elif table.key:
            self.errors.add((*loc, "key"), "stands beside oauth: a credential is one of the two")
        return found

    def _client(self, table: CredentialTable, kind: OAuthKind, loc: Loc) -> TokenClient | None:
        url = table.token_url or kind.token_url
        client_id = table.client_id or kind.client_id
        for name, value in (("token_url", url), ("client_id", client_id)):
            if not value and not getattr(kind, name) and kind.encoding != "get":
                self.errors.add((*loc, name), f"is missing: a {kind.name} login has none of its own")
        if url and (fault := _fault_of(url)):
            self.errors.add((*loc, "token_url"), fault)
        secret = self._secret(table, loc)
        good = not any(self.errors.under((*loc, name)) for name in _OPTIONS)
        return TokenClient(url, client_id, secret) if good else None

    def _secret(self, table: CredentialTable, loc: Loc) -> str:
        if not table.client_secret:
            return ""
        try:
            return resolve(table.client_secret, self.environ, self.folder).get_secret_value()
        except UnusableKey as error:
            self.errors.add((*loc, "client_secret"), str(error))
            return ""


def _names() -> list[str]:
    return list(known_kinds())


def _fault_of(url: str) -> str:
    try:
        origin = parsed(url)
    except ValueError:
        return _BAD_URL
    return "" if origin.is_secure or _is_here(origin.host) else _IN_THE_CLEAR


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
