"""The keys of all credentials that the settings name: texts, and the tokens of logins. What is known of the
credentials is in the pool."""

from collections.abc import Callable, Mapping

from pydantic import SecretStr

from addons.config.settings import Settings
from addons.credentials.departed import Departed
from addons.credentials.lease import Lease
from addons.credentials.unsaved import mark_of
from addons.oauth.logins import Logins, Who
from addons.oauth.source import TokenSource
from addons.secrets.logins import Login


class Keys:
    """By provider and credential."""

    def __init__(self, logins: Logins) -> None:
        """`logins`: where the tokens of those come from that are no text."""
        self.known: Mapping[Who, SecretStr | Login] = {}
        """All of them. A text is read here, which is what most calls need."""
        self._departed = Departed()
        self._logins = logins

    def configure(self, settings: Settings, in_flight: Callable[[Who], int]) -> frozenset[Who]:
        """Take over those of new settings. Returns who has the key that it had. `in_flight` counts the calls
        that are under way with a credential."""
        keys = {
            (one.provider.name, each.name): each.login or each.secret
            for one in settings.providers
            for each in one.credentials
        }
        same = frozenset(who for who, one in keys.items() if self.known.get(who) == one)
        for who, key in self.known.items():
            if who not in same:
                self._departed.left(who, key, in_flight(who))
        self.known = keys
        self._logins.configure({who: one for who, one in keys.items() if isinstance(one, Login)})
        return same

    def back(self, who: Who) -> int:
        """How many calls are still under way with the key of `who`, which is in use once more."""
        return self._departed.back(who, self.known[who])

    def over(self, who: Who, lease: Lease) -> None:
        """One of the calls is over that began with a key which new settings took out."""
        self._departed.over(who, lease.source.login if lease.source else lease.secret)

    def is_current(self, who: Who, lease: Lease) -> bool:
        """Whether that is still the key of `who`; a login is, whatever its token is now."""
        key, wanted = self.known.get(who), lease.secret if lease.source is None else lease.source.login
        return key is wanted or key == wanted

    def mark(self, who: Who, salt: str) -> str:
        """See `unsaved.mark_of`."""
        return mark_of(self.known[who], salt)

    def token(self, who: Who) -> tuple[SecretStr, TokenSource]:
        """Of a login: the token as it is known now, and where another comes from."""
        source = self._logins.source(who)
        assert source is not None
        return source.token, source

    def lease(self, who: Who) -> Lease | None:
        """A credential of which nothing is counted. Its token may be one that is yet to be exchanged. None:
        there is none, or nothing is in its file."""
        key = self.known.get(who)
        if key is None or isinstance(key, SecretStr):
            return None if key is None else Lease(who[1], key)
        source = self.source(who)
        held = source.held() if source is not None else None
        return Lease(who[1], SecretStr(held.access), source=source, account=held.account) if held else None

    def source(self, who: Who) -> TokenSource | None:
        """Where its tokens come from, if it is a login."""
        return self._logins.source(who)

    def forgive(self, who: Who) -> None:
        """Let a token be refreshed again at once, though that failed."""
        self._logins.forgive(who)

    def secrets(self) -> list[SecretStr]:
        """All that are never to be shown."""
        texts = [one for one in self.known.values() if isinstance(one, SecretStr)]
        return [*texts, *self._logins.secrets()]
