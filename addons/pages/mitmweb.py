"""The same pages at /rotator in mitmweb, for who has its password.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: `Application` of
`mitmproxy.tools.web.app`, a tornado application; its `RequestHandler`, whose methods are for those with the
password alone, which refuses what other sites post, and whose answers tornado compresses; its template
login.html, a form that posts to where it is. The cookie by which it knows other sites is up to 12.1 one that
no script reads.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from mitmproxy.master import Master
from mitmproxy.tools.web.app import Application, RequestHandler
from mitmproxy.tools.web.master import WebMaster
from tornado.iostream import StreamClosedError

from addons.pages.feed import HEAD, PATIENCE, Feed
from addons.pages.reply import Reply
from addons.pages.site import EVENTS, SLOW, Query, Site

PLACE = "/rotator"


class PagesHandler(RequestHandler):  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    """`path` in what follows is that of the page, empty for the first."""

    def initialize(self, site: Site, feed: Feed) -> None:
        self._site, self._feed = site, feed

    def auth_fail(self, invalid_password: bool) -> None:
        """The form for the password. Programs get it too, with its 403."""
        self.render("login.html", invalid_password=invalid_password)

    def check_xsrf_cookie(self) -> None:
        """But for an action: that needs the page's own token, which other sites have no way to."""
        if not self._site.is_action(self.path_args[0]):
            super().check_xsrf_cookie()

    async def get(self, path: str) -> None:
        if path == EVENTS:
            await self._follow()
        else:
            query = {name: self.get_query_arguments(name) for name in self.request.query_arguments}
            self._answer(await self._page(path or "/", query))

    async def _page(self, path: str, query: Query) -> Reply:
        if path in SLOW:
            return await asyncio.to_thread(self._site.page, "GET", path, query)
        return self._site.page("GET", path, query)

    async def post(self, path: str) -> None:
        if not path:  # the form for the password
            self.redirect(PLACE, status=303)
        elif self._site.is_action(path):
            headers = {name.lower(): value for name, value in self.request.headers.get_all()}
            self._answer(self._site.act(path, headers, self.request.body))
        else:
            self._answer(self._site.page("POST", path, {}))

    def _answer(self, reply: Reply) -> None:
        self.set_status(reply.status)
        for name, value in reply.headers.items():
            self.set_header(name, value)
        self.finish(reply.body)

    async def _follow(self) -> None:
        for name, value in HEAD.items():
            self.set_header(name, value)
        async with aclosing(self._feed.messages()) as messages:
            async for data in messages:
                self.write(data)
                try:
                    await asyncio.wait_for(self.flush(), PATIENCE)
                except (StreamClosedError, TimeoutError):
                    return


def serve(site: Site, feed: Feed, master: Master) -> Callable[[], None]:
    """Where `master` is mitmweb, have it serve these pages too. Returns what ends that."""
    if not isinstance(master, WebMaster):
        return lambda: None
    app: Application = master.app
    rules = app.default_router.rules
    before = list(rules)
    app.add_handlers(".*", [(rf"{PLACE}((?:/.*)?)", PagesHandler, {"site": site, "feed": feed})])

    ours = [rule for rule in rules if rule not in before]

    def end() -> None:
        for rule in ours:
            rules.remove(rule)

    return end
