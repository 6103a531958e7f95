"""Three proxies with one config, a store, a balancer and a fake provider."""

import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.clustering import login, skewed
from scripts.clustering.balancer import Balancer
from scripts.clustering.between import Between
from scripts.clustering.client import Clients
from scripts.clustering.pools import config, environment
from scripts.clustering.provider import Provider
from scripts.clustering.store import Store
from tests.e2e.proxy import ADDON, Proxy
from tests.vendor import Vendor, VendorThread

PATIENCE = 20.0
"""Seconds until all proxies have the store."""

_ABOUT, _SHARES = " state: ", "shared with other proxies"


@dataclass(slots=True)
class Cluster:
    """`with Cluster(folder) as cluster:`. Each proxy has a name, by which the provider knows who asks."""

    folder: Path
    count: int = 3
    faulty: bool = False
    """Whether there is something between each proxy and the store that can lose an answer."""
    provider: Provider = field(default_factory=Provider)
    proxies: dict[str, Proxy] = field(init=False, default_factory=dict)
    between: dict[str, Between] = field(init=False, default_factory=dict)
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
            self.wait_together()
            ports = {name: proxy.port for name, proxy in self.proxies.items()}
            self.balancer = self._stack.enter_context(Balancer(self._made("balancer"), ports))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if error is not None:
            error.add_note("\n".join(f"{name}:\n{proxy.log}" for name, proxy in self.proxies.items()))

    def begin(self, name: str, *, port: int = 0, ahead: float = 0.0) -> Proxy:
        """Start a proxy. `port`: where one of this name listened before. `ahead`: its clock."""
        own = environment(self.vendor.base_url, name)
        folder = self._made(name)
        if not (folder / login.FILE).exists():
            self.provider.login.write(folder)
        clock = {skewed.SECONDS: str(ahead)} if ahead else {}
        proxy = Proxy(
            folder,
            config(self.vendor.base_url),
            keys={**own, **clock, **self._store_of(name)},
            options=(*(("-p", str(port)) if port else ()), "--set", "flow_detail=0"),
            scripts=(Path(skewed.__file__), ADDON) if ahead else (ADDON,),
            forked=not ahead,
        )
        self.proxies[name] = proxy.start()
        return proxy

    def again(self, name: str, *, ahead: float = 0.0) -> None:
        """End the proxy of this name as a service manager does, and start it where it was."""
        proxy = self.proxies[name]
        proxy.stop()
        self.begin(name, port=proxy.port, ahead=ahead)
        self.balancer.wait(name)

    def _store_of(self, name: str) -> Mapping[str, str]:
        """The variables that say to the proxy of this name where the store is, and what it keeps."""
        if self.faulty and name not in self.between:
            self.between[name] = self._stack.enter_context(Between(self.store.port))
        way = self.between.get(name, self.store)
        return {"ROTATOR__STATE__URL": f"redis://127.0.0.1:{way.port}", **login.SHARED}

    def wait_together(self) -> None:
        """Until all proxies that run have the store. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not all(self.has_store(name) for name in self.proxies):
            if time.monotonic() > end:
                raise TimeoutError("a proxy does not reach the store")
            time.sleep(0.05)

    def has_store(self, name: str) -> bool:
        """By the last line of its log about it."""
        said = [line for line in self.proxies[name].log.splitlines() if _ABOUT in line]
        return bool(said) and _SHARES in said[-1]

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
