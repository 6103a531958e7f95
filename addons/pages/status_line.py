"""What a tool's status line says of its conversation, as plain data."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from addons.credentials.overview import Overview
from addons.pages.reply import Reply, json_reply
from addons.pages.site import Query
from addons.records.last_calls import LastCalls
from rewrite.credentials.evidence import hash_of_session
from rewrite.usage.entry import CallEntry


class StatusLine:
    """`live` gives the calls that are not over as plain data, `now` epoch seconds."""

    def __init__(
        self,
        overview: Overview,
        live: Callable[[], Iterable[Mapping[str, Any]]],
        last: LastCalls,
        now: Callable[[], float],
    ) -> None:
        self._overview, self._live, self._last, self._now = overview, live, last, now

    def page(self, query: Query) -> Reply:
        """Who answered the last call of a conversation, what is left of that key's limits, and what it waits
        for now. `session`: the id that its tool gives it; `model`: the one that it asks for."""
        session = hash_of_session(_one(query, "session"))
        last = self._last.find(session, _one(query, "model"))
        waiting = (one for one in self._live() if one["session"] == session and one["state"] == "waits")
        said = {
            "last": self._said(last) if last else None,
            "windows": self._overview.windows(last.provider, last.credential) if last else [],
            "waits": next(waiting, None),
        }
        return json_reply(200, said)

    def _said(self, last: CallEntry) -> Mapping[str, object]:
        return {
            "provider": last.provider,
            "model": last.model,
            "served": last.served or last.asked,
            "credential": last.credential,
            "verdict": last.verdict.value,
            "ago": round(max(self._now() - last.at, 0.0), 3),
        }


def _one(query: Query, name: str) -> str:
    return next(iter(query.get(name, ())), "")
