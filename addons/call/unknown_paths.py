"""Paths that are almost those of calls: what passes to a provider and comes back with 404, most often since a
base URL lacks a part or has it twice."""

from collections.abc import Iterator
from difflib import get_close_matches

from mitmproxy import http

from addons.call.recognition import Intercepted
from addons.records.journal import Journal
from rewrite.catalog.providers import Provider
from rewrite.credentials.notices import Notice

LONGEST_MEMORY = 1_000

NO_SUCH_PATH = frozenset({404, 405})
"""Statuses of an answer to a path that a server does not have."""

_ALIKE = 0.8
_METHODS = ("generateContent", "streamGenerateContent", "countTokens")


class UnknownPaths:
    """Reports each of them once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._reported: dict[tuple[str, str], None] = {}

    def answered(self, flow: http.HTTPFlow, intercepted: Intercepted | None) -> None:
        """The head of an answer with one of NO_SUCH_PATH is here."""
        if intercepted is None or intercepted.operation is not None or flow.response is None:
            return
        if flow.request.method != "POST":
            return
        path, provider = flow.request.path.partition("?")[0], intercepted.provider
        if close := nearest(path, provider):
            text = (
                f"POST {path} at {provider.name} is no known call: it was passed through and answered "
                f"with {flow.response.status_code}: did you mean {close}? Check your tool's base URL"
            )
            self._journal.remark(flow, text)
            self._report((provider.name, path), text)

    def _report(self, which: tuple[str, str], text: str) -> None:
        if which not in self._reported:
            if len(self._reported) >= LONGEST_MEMORY:
                del self._reported[next(iter(self._reported))]
            self._reported[which] = None
            self._journal.notice(Notice(text, warning=True))


def nearest(path: str, provider: Provider) -> str:
    """The path of a call at `provider` that is most like `path`; "" where none is much like it."""
    return next(iter(get_close_matches(path, list(_paths(path, provider)), n=1, cutoff=_ALIKE)), "")


def _paths(path: str, provider: Provider) -> Iterator[str]:
    model = path.rpartition("/")[2].partition(":")[0]
    prefix = provider.origin.prefix if provider.origin else ""
    for protocol in provider.protocols:
        known = prefix + provider.paths.get(protocol, "").replace("{model}", model)
        yield from (known.replace("{method}", method) for method in _METHODS)
