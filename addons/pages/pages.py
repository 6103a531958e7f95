"""All pages of one proxy, put together."""

from collections.abc import Callable, Iterator

from addons.credentials.commands import Commands
from addons.pages.feed import Feed, Message
from addons.pages.own_host import OwnHost
from addons.pages.reply import json_reply
from addons.pages.site import Site, View
from addons.pages.views import Data, Views


class Pages:
    """`own_host` has them for who asks through the proxy."""

    def __init__(self, views: Views, commands: Commands) -> None:
        self._views = views
        self._shown: Data = {}
        self._feed = Feed(self._first, self._changes)
        found = {"/health": _view(views.health), "/status": _view(views.status)}
        self.site = Site(found, commands)
        self.own_host = OwnHost(self.site, self._feed.answer)

    def close(self) -> None:
        """The proxy ends: so do pages that never would."""
        self._feed.close()

    def _first(self) -> Iterator[Message]:
        yield Message("status", self._views.status())

    def _changes(self) -> Iterator[Message]:
        shown = self._views.status()
        if shown != self._shown:
            self._shown = shown
            yield Message("status", shown)


def _view(say: Callable[[], Data]) -> View:
    """A page without options."""
    return lambda _: json_reply(200, say())
