"""What a proxy has that shares nothing with others."""

from collections.abc import Callable

from addons.store.connection import Connection
from addons.store.roster import Roster
from addons.team.shared_use import SharedUse
from addons.team.team_usage import Team
from addons.team.totals import Totals
from addons.team.users import Users
from tests.addons.store.connecting import failed


def users(clock: Callable[[], float] = lambda: 0.0, settle: Callable[[], None] = lambda: None) -> Users:
    connection = Connection(clock, failed)
    return Users(clock, settle, SharedUse(connection, Roster(connection, clock), clock))


def team(clock: Callable[[], float] = lambda: 0.0) -> Team:
    connection = Connection(clock, failed)
    return Team(connection, Roster(connection, clock), Totals(connection, clock), clock)
