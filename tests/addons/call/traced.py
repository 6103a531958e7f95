"""Calls that are answered against the fake provider, each with its trace in memory."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mitmproxy import http
from pydantic import SecretStr

from addons.call.answering import Answering
from addons.call.departure import Departure
from addons.call.fields import FieldCache
from addons.call.forwarding import Forwarder
from addons.call.recognition import Interception
from addons.config.settings import known_protocols, load
from addons.credentials.pool import Pool
from addons.records.journal import Journal
from addons.records.trace import Traces
from addons.secrets.redaction import Redactor
from addons.upstream.client import Upstream
from addons.upstream.network import tls_context
from addons.upstream.way import Direct
from rewrite.catalog.routes import Rule
from tests.addons.call.heads import flow_of
from tests.addons.call.test_driver import PATIENCE, Clock
from tests.addons.call.test_driver import Kept as Client
from tests.addons.pages.bench import Bench
from tests.addons.team.unshared import users
from tests.addons.views.watching import unwatched
from tests.rewrite.records.traces import Kept

ONE, TWO = "sk-pool-number-one", "sk-pool-number-two"

type Answered = tuple[Client, Kept]


class KeptTraces(Traces):
    """Every call is traced, in memory, while it `is_on`."""

    def __init__(self) -> None:
        super().__init__(Redactor())
        self.kept: list[Kept] = []
        self.is_on = True

    def begin(self, call: str, rule: Rule, secrets: Callable[[], Iterable[SecretStr]]) -> Kept | None:
        if not self.is_on:
            return None
        self.kept.append(Kept())
        return self.kept[-1]


class TracedProxy:
    """Answers calls under one config, every one of them traced."""

    def __init__(self, folder: Path, config: str) -> None:
        self.traces = KeptTraces()
        self._upstream = Upstream(Direct(tls_context(insecure=False, ca_file=None, ca_dir=None)))
        redactor, registry = Redactor(), known_protocols()
        pool, journal = Pool(Clock(), lambda _: None), Journal(redactor)
        path = folder / "rotator.toml"
        path.write_text(config)
        settings = load(str(path), {"ONE": ONE, "TWO": TWO}, folder)
        pool.configure(settings)
        self._interception = Interception(registry, pool, journal, redactor)
        self._interception.configure(settings)
        self.answering = Answering(
            registry,
            pool,
            journal,
            self.traces,
            FieldCache(lambda: 0.0, redactor.holds_secret),
            unwatched(journal),
            users(),
        )
        self.answering.configure(settings, self._upstream)
        self.departure = Departure(
            self._interception, Forwarder(pool, journal), self.answering, journal, Bench().own_host
        )

    async def ask(self, url: str, body: Mapping[str, Any], **headers: str) -> Answered:
        """The answer to a client, and the trace of its call."""
        client = Client()
        async with asyncio.timeout(PATIENCE):
            await self.begin(url, body, **headers).run(client)
        return client, self.traces.kept[-1]

    def running(self, url: str, body: Mapping[str, Any], client: Client) -> tuple[Kept, asyncio.Task[None]]:
        """The trace of a call that is being answered, and its task."""
        responder = self.begin(url, body)
        return self.traces.kept[-1], asyncio.create_task(responder.run(client))

    def begin(self, url: str, body: Mapping[str, Any], **headers: str) -> Any:
        flow = self.flow(url, body, **headers)
        intercepted = self._interception.intercepted(flow)
        assert intercepted is not None
        return self.answering.begin(flow, intercepted)

    def flow(self, url: str, body: Mapping[str, Any], **headers: str) -> http.HTTPFlow:
        """One that was admitted."""
        flow = flow_of(url, **headers)
        flow.request.content = json.dumps(body).encode()
        assert self._interception.admit(flow)
        return flow

    def over(self, flow: http.HTTPFlow) -> None:
        """As the hooks of the proxy say it."""
        self.answering.over(flow, self._interception.intercepted(flow))

    async def close(self) -> None:
        await self._upstream.close()


# import
