"""The credentials of the config: their keys are read, and what they may serve is checked."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from addons.config.errors import ConfigErrors
from addons.config.limits import caps, windows
from addons.config.logins import LoginReader
from addons.config.tables import CredentialTable, Loc, ProviderTable
from addons.secrets.keys import UnusableKey, numbered, resolve, usable
from addons.secrets.logins import Login, read_login
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential, model_filter

_KEY_MISSING = "is missing: write env:NAME, file:PATH or cmd:COMMAND"


@dataclass(frozen=True, slots=True)
class PoolCredential:
    """A credential of a provider's pool, with its key."""

    credential: Credential
    secret: SecretStr
    """The key, or the token that a login's file had when the config was read."""
    login: Login | None = None
    """Where its token comes from. None: it is a key."""
    reference: str = ""
    """What names the key: env:NAME, file:PATH, or cmd: and the command; of a login its file."""

    @property
    def name(self) -> str:
        return self.credential.name


@dataclass(frozen=True, slots=True)
class Keys:
    """What it takes to get at keys, and where errors in them are collected."""

    environ: Mapping[str, str]
    folder: Path
    errors: ConfigErrors

    def listed(self, provider: str, tables: list[CredentialTable]) -> Iterator[PoolCredential]:
        """The credentials of the config that are whole."""
        taken: set[str] = set()
        logins: dict[Path, str] = {}
        for index, table in enumerate(tables):
            loc = ("providers", provider, "credentials", index)
            self._check_name(loc, table.name, taken)
            taken.add(table.name)
            if self.errors.under((*loc, "oauth")):
                continue  # it is not known which of the two it is
            found = self._login(provider, table, loc) if table.oauth else self._key(provider, table, loc)
            if found is not None and self._has_own_login(loc, found, logins):
                yield found

    def _key(self, provider: str, table: CredentialTable, loc: Loc) -> PoolCredential | None:
        LoginReader(self.environ, self.folder, self.errors).refuse_options(table, loc)
        try:
            secret = resolve(table.key, self.environ, self.folder)
        except UnusableKey as error:
            self.errors.add((*loc, "key"), str(error) if table.key else _KEY_MISSING)
            return None
        return PoolCredential(_credential(provider, table), secret, reference=table.key)

    def _login(self, provider: str, table: CredentialTable, loc: Loc) -> PoolCredential | None:
        """A login, with the token that its file has now."""
        login = LoginReader(self.environ, self.folder, self.errors).read(table, loc)
        if login is None:
            return None
        try:
            tokens = read_login(login)
        except UnusableKey as error:
            self.errors.add((*loc, "file"), str(error))
            return None
        credential = replace(_credential(provider, table), clients=login.clients)
        return PoolCredential(credential, SecretStr(tokens.access), login, table.file)

    def _check_name(self, loc: Loc, name: str, taken: set[str]) -> None:
        if not name:
            self.errors.add((*loc, "name"), "is missing: give the credential a name")
        elif name in taken:
            self.errors.add((*loc, "name"), "is taken: give each credential of a provider its own name")

    def _has_own_login(self, loc: Loc, one: PoolCredential, logins: dict[Path, str]) -> bool:
        """Whether no other of the pool has its login, by another name or by a link to its file."""
        if one.login is None:
            return True
        other = logins.setdefault(one.login.file.resolve(), one.name)
        if other == one.name:
            return True
        self.errors.add((*loc, "file"), f"is the login of {other} already: give each credential its own")
        return False

    def numbered(self, provider: Provider) -> Iterator[PoolCredential]:
        """The pool that numbered variables make: in their order and of one priority, so that they may take
        turns."""
        for name in numbered(provider.environment, self.environ).values():
            try:
                secret = usable(self.environ[name], "it")
            except UnusableKey as error:
                self.errors.add((), str(error), f"environment variable {name}")
            else:
                yield PoolCredential(Credential(name, provider.name), secret, reference=f"env:{name}")


def with_checks(pool: tuple[PoolCredential, ...], table: ProviderTable) -> tuple[PoolCredential, ...]:
    """`pool`, of which the provider is asked what all of them have used if its table says so."""
    if not table.check:
        return pool
    return tuple(replace(each, credential=replace(each.credential, check=True)) for each in pool)


def _credential(provider: str, table: CredentialTable) -> Credential:
    return Credential(
        table.name,
        provider,
        table.priority,
        table.weight,
        table.cost_rank,
        table.max_concurrency,
        table.target_concurrency,
        model_filter(table.models),
        windows=windows(table.windows),
        caps=caps(table.caps),
        check=table.check,
    )


def without_secret(credentials: Iterable[PoolCredential]) -> Iterator[str]:
    """A line for each login whose token its tool alone can refresh."""
    for one in credentials:
        if one.login and one.login.wants_secret:
            yield (
                f"providers.{one.credential.provider}.credentials: {one.name}: only its tool can refresh the "
                'token: to refresh it here too, write client_secret = "env:NAME", the secret of that tool, '
                "which stands in its source"
            )
