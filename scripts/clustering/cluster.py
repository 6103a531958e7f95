"""Three proxies with one config, a store, a balancer and a fake provider."""

import json
import ssl
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scripts.clustering.balancer import Balancer
from scripts.clustering.client import Clients
from scripts.clustering.provider import Provider
from scripts.clustering.store import Store
from tests.e2e.proxy import Proxy
from tests.vendor import Vendor, VendorThread

KEYS = {f"key-{number}": f"sk-cluster-key-number-{number:02}-of-ten" for number in range(10)}
"""The credentials, by name."""
NAMES = {secret: name for name, secret in KEYS.items()}

CONVERSING = "api.openai.com"
"""The host whose conversations are dealt out in turn."""
BOUNDED, PLACES = "bounded.test", 4
"""The host whose keys may have so many calls in flight each."""

_CONFIG = """
[report]
headers = true
[providers.openai]
rotation = "round_robin"
credentials = [{plain}]
[providers.bounded]
hosts = ["{bounded}"]
protocols = ["openai_chat"]
auth = "bearer"
rotation = "round_robin"
queue_limit = 200
credentials = [{places}]
"""


def config(places: int = PLACES) -> str:
    """The same of all proxies."""
    named = [f'name = "{name}", key = "env:{variable(name)}"' for name in KEYS]
    plain = ", ".join(f"{{ {one} }}" for one in named)
    few = ", ".join(f"{{ {one}, max_concurrency = {places} }}" for one in named)
    return _CONFIG.format(plain=plain, places=few, bounded=BOUNDED)


def variable(name: str) -> str:
    """The one that holds the key of this name."""
    return name.upper().replace("-", "_")


@dataclass(slots=True)
class Cluster:
    """`with Cluster(folder) as cluster:`. Each proxy has a name, by which the provider knows who asks."""

    folder: Path
    count: int = 3
    provider: Provider = field(default_factory=Provider)
    proxies: dict[str, Proxy] = field(init=False, default_factory=dict)
    vendor: VendorThread = field(init=False)
    store: Store = field(init=False)
    balancer: Balancer = field(init=False)
    _stack: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        with self._stack:
            self.vendor = self._stack.enter_context(VendorThread(Vendor(default=self.provider)))
            self.store = self._stack.enter_context(Store(self._made("store")))
            self._stack.callback(self._stop)
            for number in range(1, self.count + 1):
                self.begin(f"proxy{number}")
            ports = [proxy.port for proxy in self.proxies.values()]
            self.balancer = self._stack.enter_context(Balancer(self._made("balancer"), ports))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is not None:
            error.add_note("\n".join(f"{name}:\n{proxy.log}" for name, proxy in self.proxies.items()))

    def begin(self, name: str, *, port: int = 0, options: Sequence[str] = (), forked: bool = True) -> Proxy:
        """Start a proxy. `port`: where one of this name listened before."""
        own = {f"ROTATOR__PROVIDERS__{one}__BASE_URL": f"{self.vendor.base_url}/{name}" for one in POOLS}
        keys = {variable(key): secret for key, secret in KEYS.items()}
        listening = ("-p", str(port)) if port else ()
        proxy = Proxy(
            self._made(name),
            config(),
            keys=keys | own,
            options=(*listening, "--set", "flow_detail=0", *options),
            forked=forked,
        )
        self.proxies[name] = proxy.start()
        return proxy

    def _made(self, name: str) -> Path:
        made = self.folder / name
        made.mkdir(exist_ok=True)
        return made

    def _stop(self) -> None:
        for proxy in self.proxies.values():
            if proxy.process.poll() is None:
                proxy.stop()

    def clients(self) -> Clients:
        """Of the balancer."""
        return Clients(self.balancer.port, self.trust())

    def trust(self) -> ssl.SSLContext:
        """All proxies have one authority."""
        proxy = next(iter(self.proxies.values()))
        return ssl.create_default_context(cafile=str(proxy.ca))

    def page(self, name: str, path: str) -> Any:
        """A page of the proxy of this name, which is JSON."""
        return json.loads(read_page(self.proxies[name].url, path))


POOLS = ("OPENAI", "BOUNDED")


def read_page(proxy: str, path: str) -> bytes:
    """A page of the own host of the proxy at this URL."""
    handler = urllib.request.ProxyHandler({"http": proxy})
    with urllib.request.build_opener(handler).open(f"http://rotator.local{path}", timeout=10) as answer:
        found: bytes = answer.read()
        return found
