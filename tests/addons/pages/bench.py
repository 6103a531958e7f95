"""The pages of a proxy with two pools, without the proxy."""

from collections.abc import Mapping
from pathlib import Path

from mitmproxy import http
from mitmproxy.test import tflow
from pydantic import SecretStr

from addons.call.live import LiveCall
from addons.config.credentials import PoolCredential
from addons.config.providers import Configured
from addons.config.settings import Settings
from addons.credentials.commands import Commands
from addons.credentials.overview import Overview
from addons.credentials.pool import Pool
from addons.pages.metrics import Current, Metrics, exposition
from addons.pages.own_host import OwnHost
from addons.pages.pages import Pages
from addons.pages.recent import Recent
from addons.pages.status_line import StatusLine
from addons.pages.usage import usage_view
from addons.pages.views import Views
from addons.records.last_calls import LastCalls
from addons.secrets.redaction import Redactor
from addons.usage.ledger import Ledger
from rewrite.catalog.providers import Provider
from rewrite.credentials.credential import Credential
from rewrite.credentials.notices import Notice
from tests.addons.team.unshared import team as unshared_team

KEY = "sk-pages-test-of-{}-0001"


class Bench:
    """`now` is the time of the pools; `notes` what was noted; `calls` those that are not over."""

    def __init__(self, **named: list[str]) -> None:
        """`named`: the credentials of each provider."""
        self.now, self.notes = 100.0, list[Notice]()
        self.pool = Pool(lambda: self.now, self.notes.append)
        known = [
            Configured(
                Provider(provider, f"https://{provider}", (provider,), ("openai_chat",)),
                tuple(
                    PoolCredential(Credential(name, provider), SecretStr(KEY.format(name))) for name in names
                ),
            )
            for provider, names in named.items()
        ]
        self.pool.configure(Settings(providers=tuple(known)))
        overview = Overview(self.pool, lambda: self.now)
        commands = Commands(self.pool, overview, lambda _: Path(), self.notes.append)
        self.live: list[LiveCall] = []
        self.draining = False
        self.store: Mapping[str, object] = {}
        self.views = Views(
            overview,
            lambda: self.live,
            lambda: None,
            Redactor(),
            lambda: True,
            lambda: self.draining,
            {"store": lambda: self.store},
        )
        self.recent, self.metrics = Recent(), Metrics()
        current = Current(self.views.status, dict)
        self.ledger = Ledger(Redactor())
        self.calls: list[Mapping[str, object]] = []
        self.last = LastCalls()
        more = {
            "/usage": usage_view(self.ledger, unshared_team()),
            "/metrics": exposition(self.metrics, current),
            "/statusline": StatusLine(overview, lambda: self.calls, self.last, lambda: self.now).page,
        }
        self.pages = Pages(self.views, commands, self.recent, more)
        self.own_host: OwnHost = self.pages.own_host


def asked(url: str, method: str = "GET", peer: str = "127.0.0.1", **headers: str) -> http.HTTPFlow:
    """Underscores stand for hyphens in the names of `headers`."""
    flow = tflow.tflow(req=http.Request.make(method, url))
    flow.client_conn.peername = (peer, 50_000)
    for name, value in headers.items():
        flow.request.headers[name.replace("_", "-")] = value
    return flow
