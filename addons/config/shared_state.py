"""The server that several proxies share their state through: where it is, and as whom it is asked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from addons.config.credentials import Keys
from addons.config.tables import Loc, StateTable
from addons.secrets.keys import UnusableKey, key_file, resolve

_PORT = 6379
_PACKAGE, LEAST = "redis", (6, 4)
"""The client, and from which version on it was tested, as pyproject.toml has it."""
_SHORTEST_KEY = 32
"""Characters: nobody is to find it by trying."""
_MISSING = (
    f"needs the package redis from {'.'.join(map(str, LEAST))} on: pip install -U 'rotator[state]', "
    "or start with scripts/start, which does that"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: a host and a port, or the path of a socket."""

    host: str = ""
    port: int = _PORT
    path: str = ""
    """A unix socket. Empty: there is a host."""
    is_secure: bool = False
    """Whether it is spoken to in TLS."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SharedState:
    """A server of Redis or Valkey, and what is kept in it."""

    address: Address
    database: int = 0
    user: str = ""
    """Empty: that which the server has by itself."""
    password: SecretStr | None = None
    prefix: str = "rotator:"
    """What the names of all keys begin with."""
    oauth_tokens: bool = False
    """Whether the tokens of logins are kept there, encrypted."""
    key: SecretStr | None = field(default=None)
    """What they are encrypted with. None: they are not kept there."""

    def __str__(self) -> str:
        """As the log names it: without a password."""
        return f"{self.address}/{self.database}"

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        return tuple(filter(None, (self.password, self.key)))


def shared_state(table: StateTable, keys: Keys) -> SharedState | None:
    """What the table says. None: there is no server, or what is said of it is wrong, which `keys` notes."""
    if not table.url:
        _needs_url(table, keys)
        return None
    if not _has_package():
        keys.errors.add(("state", "url"), _MISSING)
    password = _secret(table.password, ("state", "password"), keys)
    key = _secret(table.key, ("state", "key"), keys)
    _check_key(table, key, keys)
    parts = urlsplit(table.url)
    in_url = parts.path.removeprefix("/") if parts.hostname else ""
    if in_url and table.database and int(in_url) != table.database:
        keys.errors.add(("state", "database"), "is another than the one in url: leave one of them out")
    return SharedState(
        address(table.url),
        int(in_url or table.database),
        table.user,
        password,
        table.prefix,
        table.oauth_tokens == "shared",
        key,
    )


def address(url: str) -> Address:
    """Of a URL that was found to be good."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return Address(path=unquote(parts.path))
    return Address(parts.hostname or "", parts.port or _PORT, is_secure=parts.scheme == "rediss")


def key_files(table: StateTable, folder: Path) -> Iterator[Path]:
    """The files that its secrets are read from."""
    yield from filter(None, (key_file(each, folder) for each in (table.password, table.key)))


def _needs_url(table: StateTable, keys: Keys) -> None:
    given = table.given().keys() - {"url"}
    if given:
        text = f'is missing, so that {", ".join(sorted(given))} does nothing: write url = "redis://HOST:6379"'
        keys.errors.add(("state", "url"), text)


def _has_package() -> bool:
    """Whether it is there, and not one from before."""
    try:
        numbers = version(_PACKAGE).split(".")
    except PackageNotFoundError:
        return False
    return tuple(int(each) for each in numbers[:2] if each.isdecimal()) >= LEAST


def _check_key(table: StateTable, key: SecretStr | None, keys: Keys) -> None:
    """Whether tokens can be encrypted with it."""
    if table.oauth_tokens == "shared" and not table.key:
        text = 'is missing: oauth_tokens = "shared" needs one to encrypt them with: write env:NAME'
        keys.errors.add(("state", "key"), text)
    if table.key and table.oauth_tokens == "off":
        text = 'does nothing while no tokens are kept: write oauth_tokens = "shared", or take it out'
        keys.errors.add(("state", "key"), text)
    if key is not None and len(key.get_secret_value()) < _SHORTEST_KEY:
        text = f"has less than {_SHORTEST_KEY} characters: `openssl rand -base64 32` prints one that is good"
        keys.errors.add(("state", "key"), text)


def _secret(reference: str, loc: Loc, keys: Keys) -> SecretStr | None:
    if not reference:
        return None
    try:
        return resolve(reference, keys.environ, keys.folder)
    except UnusableKey as error:
        keys.errors.add(loc, str(error))
        return None
