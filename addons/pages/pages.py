"""All pages of one proxy, put together."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping

from mitmproxy.master import Master

from addons.credentials.commands import Commands
from addons.pages.dates import dated
from addons.pages.document import document
from addons.pages.feed import Feed, Message
from addons.pages.mitmweb import serve
from addons.pages.own_host import OwnHost
from addons.pages.probes import Probes
from addons.pages.recent import GROWTH, MINUTE, MINUTES, SHORTEST, Recent
from addons.pages.reply import Reply, json_reply
from addons.pages.site import HEALTH, Query, Site, View
from addons.pages.views import SERVES, Data, Views

MOST_ROWS = 200
"""Calls that are over and are shown."""


class Pages:
    """`own_host` has them for who asks through the proxy."""

    def __init__(
        self,
        views: Views,
        commands: Commands,
        recent: Recent,
        more: Mapping[str, View],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """`more`: further pages, by path. `settle` counts all calls that are over."""
        self._views, self._recent, self._settle = views, recent, settle
        self._shown: object = None
        self._count = 0
        self._looked = 0.0
        self.feed = Feed(self._first, self._changes)
        self.probes = Probes()
        token = secrets.token_urlsafe(24)
        own = {
            "/": document(token),
            HEALTH: self._health,
            "/status": _view(views.status),
            "/probe": self._probe,
        }
        self.site = Site({**own, **more}, commands, token, settle)
        self._end: Callable[[], None] = lambda: None
        self.own_host = OwnHost(self.site, self.feed.answer, self.probes, views.serves)

    def start(self, master: Master) -> None:
        """`master` runs: where that is mitmweb, it has the same pages."""
        self._end = serve(self.site, self.feed, master)

    def close(self) -> None:
        """The proxy ends: so do pages that never would."""
        self._end()
        self.feed.close()

    def _probe(self, query: Query) -> Reply:
        """What came of the probe `id`."""
        return json_reply(200, self.probes.seen(next(iter(query.get("id", ())), "")))

    def _health(self, _: Query) -> Reply:
        said = self._views.health()
        return json_reply(200 if said["status"] == SERVES else 503, said)

    def _first(self) -> Iterator[Message]:
        """What a viewer needs to begin with."""
        self._settle()
        now = time.time()
        yield Message("hello", {"bins": {"shortest": SHORTEST, "growth": GROWTH}})
        yield Message("status", self._views.status())
        yield self._ended(now, MOST_ROWS, 0, now - MINUTE * MINUTES)

    def _changes(self) -> Iterator[Message]:
        """What is new since the last look. A viewer that came meanwhile knows some of it, which it skips by
        the numbers of calls and the times of minutes."""
        self._settle()
        now = time.time()
        status = self._views.status()
        if (shown := dated(status, now)) != self._shown:
            self._shown = shown
            yield Message("status", status)
        if self._recent.count != self._count:
            yield self._ended(now, MOST_ROWS, self._count, self._looked)
        self._count, self._looked = self._recent.count, now

    def _ended(self, now: float, most: int, after: int, since: float) -> Message:
        """The calls with numbers above `after`, and the minutes that had not ended at `since`."""
        calls, minutes = self._recent.last(most, after), [*self._recent.minutes(since)]
        return Message("ended", {"now": now, "calls": calls, "minutes": minutes})


def _view(say: Callable[[], Data]) -> View:
    """A page without options."""
    return lambda _: json_reply(200, say())
