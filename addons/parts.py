"""Parts of the add-on that belong together: who counts calls, and what is shared with other proxies."""

from dataclasses import dataclass

from addons.oauth.shared import SharedTokens
from addons.pages.metrics import Metrics
from addons.pages.recent import Recent
from addons.records.entries import Entries, Take
from addons.records.journal import Journal
from addons.records.last_calls import LastCalls
from addons.runtime.clock import EpochClock, by_the_loop
from addons.secrets.redaction import Redactor
from addons.store.connection import Connection
from addons.store.roster import Roster
from addons.team.shared_use import SharedUse
from addons.team.team_usage import Team
from addons.team.totals import Totals
from addons.team.users import Users
from addons.usage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Counting:
    """Who counts calls that are over."""

    recent: Recent
    metrics: Metrics
    last: LastCalls
    ledger: Ledger
    by: list[Take]
    """All of them; each gets what is over, some calls at a time."""
    entries: Entries
    """From where they get it."""


def counting(redactor: Redactor) -> Counting:
    recent, metrics, last, ledger = Recent(), Metrics(), LastCalls(), Ledger(redactor)
    by: list[Take] = [ledger.take, recent.take, metrics.take, last.take]
    return Counting(recent, metrics, last, ledger, by, Entries(by, by_the_loop))


@dataclass(frozen=True, slots=True)
class Sharing:
    """What this proxy has in common with others that use the same store."""

    store: Connection
    roster: Roster
    """Which proxies there are."""
    users: Users
    totals: Totals
    """What calls used and cost."""
    tokens: SharedTokens
    """Those of logins."""

    def team(self, clock: EpochClock) -> Team:
        """What all of them used."""
        return Team(self.store, self.roster, self.totals, clock)


def sharing(clock: EpochClock, journal: Journal, counted: Counting) -> Sharing:
    """Users and totals count calls from now on."""
    store = Connection(clock, journal.failed)
    roster = Roster(store, clock)
    users = Users(clock, counted.entries.drain, SharedUse(store, roster, clock))
    totals = Totals(store, clock)
    counted.by.extend((users.take, totals.take))
    return Sharing(
        store, roster, users, totals, SharedTokens(store, journal.notice, lambda: roster.rank == 0)
    )
