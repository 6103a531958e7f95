"""Heads of requests, and the parts that recognise and forward them under a config."""

from dataclasses import dataclass
from pathlib import Path

from mitmproxy import http
from mitmproxy.test import tflow

from addons.call.forwarding import Forwarder
from addons.call.recognition import Interception
from addons.config.settings import Settings, known_protocols, load
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.secrets.redaction import Redactor

POOL = "sk-pool-number-one"
OWN = "sk-own-key-of-the-client"
CONFIG = """
[providers.openai]
credentials = [{ name = "one", key = "env:ONE" }]
[providers.azure]
hosts = ["mine.openai.azure.com", "odd.openai.azure.com:8443"]
credentials = [{ name = "one", key = "env:ONE" }]
"""
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Edge:
    """What recognises flows, and what forwards them, of one pool."""

    interception: Interception
    forwarder: Forwarder

    def leaves(self, flow: http.HTTPFlow) -> http.Request:
        """The head of a passed-through flow as it leaves."""
        intercepted = self.interception.admit(flow)
        assert intercepted is not None
        return self.forwarder.forwarding(flow, intercepted).head(flow.request.copy())


def settings_of(folder: Path, text: str) -> Settings:
    path = folder / "rotator.toml"
    path.write_text(text)
    return load(str(path), {"ONE": POOL}, folder)


def edge(folder: Path, text: str) -> Edge:
    redactor = Redactor()
    pool, journal = Pool(lambda: 0.0, lambda _: None), Journal(redactor)
    interception = Interception(known_protocols(), pool, journal, redactor)
    interception.configure(settings_of(folder, text))
    return Edge(interception, Forwarder(pool, journal))


def flow_of(url: str, method: str = "POST", **headers: str) -> http.HTTPFlow:
    """A flow of HTTP/1.1; `_` in the names of headers stands for `-`."""
    flow = tflow.tflow()
    flow.request = http.Request.make(method, url)
    pairs = {name.replace("_", "-"): value for name, value in headers.items()}
    fields = {"Host": flow.request.host, **pairs}
    flow.request.headers = http.Headers([(name.encode(), value.encode()) for name, value in fields.items()])
    return flow


def sent_key(request: http.Request) -> str:
    return str(request.headers.get("authorization", "")).removeprefix("Bearer ")
