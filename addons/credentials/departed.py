"""Calls that are under way with keys which new settings took out or replaced: they count again where such a
key comes back, since its provider counts them too."""

from pathlib import Path

from pydantic import SecretStr

from addons.oauth.logins import Who
from addons.secrets.logins import Login


class Departed:
    """How many calls are under way with each of them."""

    def __init__(self) -> None:
        self._calls: dict[tuple[Who, SecretStr | Path], int] = {}

    def left(self, who: Who, key: SecretStr | Login, in_flight: int) -> None:
        """`key` is in use no more under that name."""
        if in_flight:
            self._calls[who, _account(key)] = in_flight

    def back(self, who: Who, key: SecretStr | Login) -> int:
        """How many are under way with `key`, which is in use now."""
        return self._calls.pop((who, _account(key)), 0)

    def over(self, who: Who, key: SecretStr | Login) -> None:
        """One of them is over."""
        account = who, _account(key)
        left = self._calls.pop(account, 0) - 1
        if left > 0:
            self._calls[account] = left


def _account(key: SecretStr | Login) -> SecretStr | Path:
    """A login is the same whatever its token."""
    return key if isinstance(key, SecretStr) else key.file
