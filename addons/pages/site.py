"""Which page is where, whoever serves it: the proxy at its own host, or mitmweb."""

import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mitmproxy.exceptions import CommandError

from addons.credentials.commands import Commands
from addons.pages.reply import Reply, json_reply, text_reply

EVENTS = "/events"
"""The page that never ends."""

HEALTH = "/health"
"""The page that says whether the proxy serves: 200, or 503."""

SLOW = frozenset({"/usage"})
"""Pages that are made in a thread, since they read files."""

LONGEST_ACTION = 4096
"""Bytes of what an action is asked with."""

TOKEN = "x-rotator-token"
"""The header by which a page proves that it was served by us."""

type Query = Mapping[str, Sequence[str]]
"""The values of each name in the query of a path."""

type View = Callable[[Query], Reply]


class BadQuery(ValueError):
    """What was asked for cannot be had; says why."""


class Site:
    """`views` by path. Actions are what `commands` have; `token` is what they need. `settle` counts all
    calls that are over."""

    def __init__(
        self, views: Mapping[str, View], commands: Commands, token: str, settle: Callable[[], None]
    ) -> None:
        self._views, self.token, self._settle = views, token, settle
        self._actions: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "/cool": lambda said: commands.cool(_name(said, "provider"), _name(said, "name"), _seconds(said)),
            "/retire": lambda said: commands.retire(_name(said, "provider"), _name(said, "name")),
            "/resume": lambda said: commands.resume(_name(said, "provider"), _name(said, "name")),
        }

    def is_action(self, path: str) -> bool:
        return path in self._actions

    def page(self, method: str, path: str, query: Query) -> Reply:
        """What is at `path`, but for EVENTS."""
        allowed = "POST" if path in self._actions else "GET" if path == EVENTS else "GET, HEAD"
        if path not in (*self._actions, *self._views, EVENTS):
            there = ", ".join([*sorted((*self._views, EVENTS)), *sorted(self._actions)])
            return text_reply(404, f"there is no such page: there is {there}")
        if path == EVENTS or method not in allowed.split(", "):
            return text_reply(405, f"ask with {allowed.replace(', ', ' or ')}", {"allow": allowed})
        if path not in SLOW:
            self._settle()  # on the event loop
        try:
            return self._views[path](query)
        except BadQuery as error:
            return text_reply(400, str(error))

    def act(self, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Do what the page wants."""
        if not hmac.compare_digest(headers.get(TOKEN, "").encode(), self.token.encode()):
            return text_reply(403, f"an action needs the token of the page, in the header {TOKEN}")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return text_reply(415, "an action is asked for with JSON")
        try:
            self._actions[path](_object(body))
        except (BadQuery, CommandError) as error:
            return text_reply(400, str(error))
        return json_reply(200, {"done": True})


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadQuery('an action is asked for with a JSON object, such as {"provider": "x", "name": "y"}')
    return found


def _name(said: Mapping[str, Any], key: str) -> str:
    found = said.get(key)
    if not isinstance(found, str) or not found:
        raise BadQuery(f'name the "{key}"')
    return found


def _seconds(said: Mapping[str, Any]) -> int:
    found = said.get("seconds")
    if not isinstance(found, int) or isinstance(found, bool):
        raise BadQuery('"seconds" is a whole number')
    return found
