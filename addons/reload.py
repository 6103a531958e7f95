"""The settings in force: taken at the start and when a file changes, kept when the new ones are broken."""

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import options
from platformdirs import user_state_path

from addons.call.answering import Answering
from addons.call.forwarding import Forwarder
from addons.call.recognition import Interception
from addons.config.listening import warn_of_names, warn_of_others
from addons.config.settings import ConfigError, Settings, load, load_again, watched
from addons.config.watch import Watch
from addons.oauth.logins import Logins
from addons.pages.probes import HOSTS
from addons.parts import Sharing
from addons.records.journal import Journal
from addons.responses.storage import StateError
from addons.secrets.keys import located
from addons.secrets.redaction import Redactor
from addons.startup import Connecting, connecting, make_upstream, provider_hosts, set_options
from addons.state.field_values import FieldValues
from addons.state.keeper import Keeper
from addons.upstream.client import Upstream
from addons.upstream.proxies import in_short, notices, proxies
from addons.usage.ledger import Ledger
from addons.usage.price_table import PriceTable
from rewrite.fields.rule import Rule

log = logging.getLogger("rotator")


@dataclass(frozen=True, slots=True)
class Lasting:
    """What can outlive a proxy."""

    keeper: Keeper
    """What is known of credentials."""
    sharing: Sharing
    """What other proxies know and have too."""
    ledger: Ledger
    """What calls used and cost."""
    prices: PriceTable
    """What tokens cost."""


class Control:
    """Hands settings to those who follow them. `opts` are mitmproxy's."""

    def __init__(
        self,
        interception: Interception,
        forwarder: Forwarder,
        answering: Answering,
        journal: Journal,
        redactor: Redactor,
        logins: Logins,
        lasting: Lasting,
    ) -> None:
        self._interception, self._forwarder, self._answering = interception, forwarder, answering
        self._journal, self._redactor = journal, redactor
        self._logins, self._keeper, self._ledger = logins, lasting.keeper, lasting.ledger
        self._sharing, self._prices = lasting.sharing, lasting.prices
        fields = answering.fields
        self._values = FieldValues(fields.store, fields.clock, redactor.holds_secret, journal.failed)
        self._watch, self._watch_logins = Watch(self._reload), Watch(logins.look)
        self._settings: Settings | None = None
        self._upstream: tuple[Connecting, Upstream] | None = None
        self._users_hosts: list[str] | None = None
        self._said: set[str] = set()

    @property
    def in_force(self) -> bool:
        """Whether there are settings: a config could be used, the current one or one before."""
        return self._settings is not None

    @property
    def source(self) -> Path | None:
        """The config file in force. None: there is none."""
        return self._settings.source if self._settings else None

    @property
    def drain_timeout(self) -> float:
        """Seconds in which calls may end by themselves at the end of the proxy."""
        return self._settings.drain_timeout if self._settings else 0.0

    def start(self) -> None:
        """The event loop runs: look after the files."""
        self._watch.start()
        self._watch_logins.start()
        self._sharing.store.start()
        self._keeper.start()
        self._values.start()
        self._answering.checker.start()
        self._answering.silences.start()

    async def stop(self) -> None:
        self._watch.stop()
        self._watch_logins.stop()
        self._answering.checker.stop()
        self._answering.silences.stop()
        await self._logins.close()
        await self._answering.close()
        await self._answering.responses.close()
        await asyncio.to_thread(self._answering.traces.close)
        await self._keeper.stop()
        self._journal.settle()  # what was used is counted in the store too
        self._sharing.totals.flush()
        self._sharing.users.flush()
        await self._sharing.roster.leave()
        await self._sharing.store.stop()
        await self._values.stop()
        self._journal.settle()
        await asyncio.to_thread(self._ledger.close)
        self._journal.close()

    def configure(self, opts: options.Options) -> None:
        """Read the config, or say line by line what is wrong."""
        self._opts = opts
        try:
            self._take(load(opts.rotator_config, os.environ, Path.cwd(), opts.rotator_providers))
        except ConfigError as error:
            self._reject(error)

    def follow(self, opts: options.Options) -> None:
        """One of mitmproxy's own options changed."""
        if self._settings is not None:
            self._apply(self._settings, opts)

    async def _reload(self) -> None:
        """As `configure`, in a thread, since a key may be what a slow command prints."""
        log.info("the config changed and is read again")
        try:
            self._take(await self._load())
        except ConfigError as error:
            self._reject(error)
        except Exception as error:  # noqa: BLE001  # the watch continues, whatever a config leads to
            self._journal.failed("reading the config", error)
        else:
            log.info("the changed config is in force")

    async def _load(self) -> Settings:
        assert self._settings is not None
        return await asyncio.to_thread(load_again, self._settings, os.environ, Path.cwd())

    def _reject(self, error: ConfigError) -> None:
        """A file of a provider that is new and broken is looked after too, to be read once it is mended."""
        if self._settings:
            self._watch.files(self._watched(self._settings))
        kept = "the settings before stay in force: " if self._settings else ""
        for line in error.lines:
            log.error("%s", self._redactor.redact(f"{kept}{line}"))

    def _take(self, settings: Settings) -> None:
        of_callers = *warn_of_others(self._opts, settings), *warn_of_names(self._opts, settings)
        for warning in (*settings.warnings, *of_callers):
            log.warning("%s", self._redactor.redact(warning))
        log.info("%s", self._redactor.redact(_in_short(settings)))
        self._apply(settings, self._opts)

    def _apply(self, settings: Settings, opts: options.Options) -> None:
        found = proxies(settings.upstream_proxy, opts, os.environ)
        upstream = self._connections(connecting(opts, found))
        if upstream is None or not self._state(opts.rotator_state, settings):
            return
        self._settings = settings
        self._interception.configure(settings)
        self._keeper.follow()
        self._forwarder.configure(found, upstream)
        self._say_once((*notices(opts, os.environ), in_short(found)))
        self._answering.configure(settings, upstream)
        self._values.configure(opts.rotator_state, Path.cwd(), _field_rules(settings))
        self._answering.traces.configure(settings.trace, _folder_of_traces(opts.rotator_state))
        self._price(settings)
        self._ledger.follow(opts.rotator_usage, opts.rotator_state, Path.cwd(), settings.usage_kept)
        self._sharing.totals.configure(settings.usage_kept)
        self._answering.users.configure(settings.users, self._ledger.by_user)
        self._watch.files(self._watched(settings))
        self._watch_logins.files(self._logins.files)
        self._decrypt(settings, opts)

    def _share(self, settings: Settings) -> None:
        if settings.shared is not None:
            self._redactor.keep(settings.shared.secrets)
        self._sharing.tokens.configure(settings.shared)
        self._sharing.store.configure(settings.shared)

    def _watched(self, settings: Settings) -> Sequence[Path]:
        return (*watched(settings), self._prices.updated)

    def _price(self, settings: Settings) -> None:
        providers = [one.provider for one in settings.providers]
        used = [one.provider.name for one in settings.providers if one.credentials]
        self._prices.follow(providers, used, settings.own_prices)

    def _say_once(self, lines: Iterable[str]) -> None:
        """What stays true while settings come and go."""
        for line in lines:
            if line and line not in self._said:
                self._said.add(line)
                log.info("%s", self._redactor.redact(line))

    def _connections(self, wanted: Connecting) -> Upstream | None:
        """The same ones as long as nothing about them changes; None where the options cannot be followed."""
        if self._upstream is None or self._upstream[0] != wanted:
            try:
                self._upstream = wanted, make_upstream(wanted)
            except ValueError as error:
                log.error("%s", self._redactor.redact(str(error)))
                return None
        return self._upstream[1]

    def _state(self, folder: str, settings: Settings) -> bool:
        """Whether responses and what is known of keys can be kept where the option says."""
        try:
            shared = settings.shares_responses
            self._answering.responses.configure(folder, settings.responses, shared=shared)
            self._share(settings)
            self._keeper.configure(folder, Path.cwd())
        except StateError as error:
            log.error("%s", self._redactor.redact(str(error)))
            return False
        return True

    def _decrypt(self, settings: Settings, opts: options.Options) -> None:
        """Besides what the user named with allow_hosts, the hosts of providers; or whatever the user says."""
        if self._users_hosts is None:
            self._users_hosts = list(opts.allow_hosts)
        of_providers = provider_hosts(settings)
        ours = "" if opts.rotator_intercept == "all" else "|".join(filter(None, [of_providers, HOSTS]))
        hosts = [*self._users_hosts, *filter(None, [ours])]
        if list(opts.allow_hosts) != hosts:
            set_options(opts, allow_hosts=hosts)


def _folder_of_traces(state: str) -> Path:
    """Where calls are traced to if the config does not say: under `rotator_state`, or the user's state."""
    folder = located(state, Path.cwd()) if state else user_state_path("rotator", appauthor=False)
    return folder / "traces"


def _field_rules(settings: Settings) -> Iterator[Rule]:
    return (rule for one in settings.providers for rule in one.provider.field_cache)


def _in_short(settings: Settings) -> str:
    """What the log says of a start: which file was read, and which pools came of it."""
    pools = (f"{one.provider.name} {len(one.credentials)}" for one in settings.providers if one.credentials)
    keys = ", ".join(pools) or "none, clients' own keys are used"
    return f"config: {_named(settings.source)}; keys: {keys}"


def _named(source: Path | None) -> str:
    """A file in the folder that we were started in is named as that: it may have come with the folder."""
    if source is None:
        return "no file"
    return f"./{source.name}" if source.parent == Path.cwd() else str(source)
