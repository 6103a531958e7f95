"""The commands of mitmproxy by which a person looks at the pools, steers them, and has calls traced.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: the table of the types that
arguments of commands may have, `mitmproxy.types.CommandTypes.typemap`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from mitmproxy import command, exceptions, types

from addons.credentials.overview import Overview
from addons.credentials.pool import Pool
from rewrite.credentials.notices import Notice


class Suggestion(types.Choice):
    """Of an argument that is completed from what a command returns, and not refused where it is another: then
    our own message says what there is."""


class _SuggestionType(types._ChoiceType):
    typ = Suggestion

    def parse(self, manager: command.CommandManager, t: types.Choice, s: str) -> str:
        return s

    def is_valid(self, manager: command.CommandManager, typ: object, val: object) -> bool:
        return isinstance(val, str)


types.CommandTypes.typemap[Suggestion] = _SuggestionType()


def _command[**P, R](name: str, /, **suggested: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a command of a method, some of whose arguments are completed from what other commands return."""

    def decorated(method: Callable[P, R]) -> Callable[P, R]:
        for argument, options in suggested.items():
            kind = Suggestion(options)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            command.argument(argument, kind)(method)  # type: ignore[no-untyped-call]
        found: Callable[P, R] = command.command(name)(method)
        return found

    return decorated


_PROVIDERS, _CREDENTIALS, _ALL = "rotator.providers", "rotator.credentials", "rotator.pools"


LONGEST = 366 * 86_400
"""Seconds that a credential can be cooled for."""

MOST_TRACED = 1_000_000
"""Calls that a command has traced."""


class Commands:
    """An add-on of its own."""

    def __init__(
        self,
        pool: Pool,
        overview: Overview,
        trace_next: Callable[[int], Path],
        notify: Callable[[Notice], None],
    ) -> None:
        """`trace_next` has so many calls traced, and gives where to; `notify` gets what was done."""
        self._pool, self._overview, self._trace_next, self._notify = pool, overview, trace_next, notify

    # -- what may be named ----------------------------------------------------------------------------

    @_command(_PROVIDERS)
    def providers(self) -> Sequence[str]:
        """The providers that have a pool."""
        return list(self._overview.names())

    @_command(_CREDENTIALS)
    def credentials(self) -> Sequence[str]:
        """The credentials of all pools."""
        return list(dict.fromkeys(name for names in self._overview.names().values() for name in names))

    @_command(_ALL)
    def pools(self) -> Sequence[str]:
        """PROVIDER and PROVIDER/NAME of all pools."""
        named = [f"{provider}/{name}" for provider, names in self._overview.names().items() for name in names]
        return [*self._overview.names(), *named]

    # -- commands -------------------------------------------------------------------------------------

    @_command("rotator.status")
    def status(self) -> Sequence[str]:
        """How the credentials of all pools do."""
        return self._overview.lines() or ["there is no pool: list credentials in the config"]

    @_command("rotator.cool", provider=_PROVIDERS, name=_CREDENTIALS)
    def cool(self, provider: str, name: str, seconds: int) -> None:
        """Do not use the credential PROVIDER NAME for so many SECONDS."""
        if not 0 < seconds <= LONGEST:
            raise exceptions.CommandError(f"name the seconds, from 1 to {LONGEST}; rotator.retire has no end")
        _one(provider, name)
        count = self._pool.cool(provider, name, seconds)
        self._done("cooled", count, provider, name, f"is not used for {seconds} s")

    @_command("rotator.retire", provider=_PROVIDERS, name=_CREDENTIALS)
    def retire(self, provider: str, name: str) -> None:
        """Do not use the credential PROVIDER NAME any more, until rotator.resume."""
        _one(provider, name)
        count = self._pool.retire(provider, name)
        self._done("retired", count, provider, name, "is not used until rotator.resume")

    @_command("rotator.resume", provider=_ALL, name=_CREDENTIALS)
    def resume(self, provider: str = "", name: str = "") -> None:
        """Use credentials again at once, though they were refused, rate-limited or retired: all, those of
        PROVIDER, or PROVIDER NAME."""
        provider, name = _parted(provider, name)
        self._done("resumed", self._pool.resume(provider, name), provider, name, "may be used at once")

    @_command("rotator.reset", provider=_ALL, name=_CREDENTIALS)
    def reset(self, provider: str = "", name: str = "") -> None:
        """Forget all that is known of credentials, what they have used of their limits too: of all, of those
        of PROVIDER, or of PROVIDER NAME."""
        provider, name = _parted(provider, name)
        self._done("reset", self._pool.reset(provider, name), provider, name, "starts as if never used")

    @_command("rotator.trace")
    def trace(self, calls: int) -> None:
        """Trace the next CALLS that are not traced anyway; 0: none of them."""
        if not 0 <= calls <= MOST_TRACED:
            raise exceptions.CommandError(f"name a number of calls, from 0 to {MOST_TRACED}")
        folder = self._trace_next(calls)
        number = "call" if calls == 1 else f"{calls} calls"
        self._notify(
            Notice(f"traced: the next {number}, in {folder}" if calls else "no more calls are traced")
        )

    def _done(self, did: str, count: int, provider: str, name: str, now: str) -> None:
        which = "/".join(filter(None, (provider, name)))
        if not count:
            there = ", ".join(self.pools()) or "no pool"
            raise exceptions.CommandError(f"there is no key of {which or 'any provider'}: there is {there}")
        self._notify(Notice(f"{did}: {which or 'all keys'} {now}"))


def _one(provider: str, name: str) -> None:
    """An empty text would stand for all. Raises CommandError."""
    if not provider or not name:
        raise exceptions.CommandError("name one key: its PROVIDER and its NAME")


def _parted(provider: str, name: str) -> tuple[str, str]:
    """PROVIDER/NAME may stand for both."""
    before, _, after = provider.partition("/")
    return before, name or after
