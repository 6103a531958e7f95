"""What is compared: the ways from a client to the provider, and what the process on each has used."""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from scripts.benchmark import sampler
from scripts.benchmark.sampler import SAMPLES
from tests.e2e.proxy import ADDON, ROOT, Proxy
from tests.redis_server import PROGRAM as REDIS
from tests.redis_server import RedisServer

PASSTHROUGH = Path(__file__).with_name("passthrough.py")
SECURE_HOST = "secure.example"
"""A name of the provider on TLS, for the clients of rotator."""
_CONFIG = """
[providers.openai]
base_url = "http://localhost:{plain}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.secure]
base_url = "https://localhost:{secure}"
hosts = ["{host}"]
protocols = ["openai_chat"]
auth = "bearer"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "http://localhost:{plain}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ provider = "mistral" }}
to = ["anthropic/claude"]
"""
_KEY = 'key = "env:ONE"'
_SHARED = "shared with other proxies"
"""What is logged when a store is reached."""
_TRACE = """
[trace]
directory = "traces"
max_calls = 20
"""
_SOURCES = ("request", "response", "stream_event", "unified_response", "unified_stream_event")
_RULES = "".join(
    f"""
[[providers.openai.field_cache]]
name = "rule {number}"
source = "{_SOURCES[number % len(_SOURCES)]}"
path = "{"id" if number % 2 else "field.*"}"
scope = ["provider"]
inject = {{{{ path = "again_{number}" }}}}
"""
    for number in range(10)
)
"""Ten rules that look at all that a call has. Those with an id find one, which goes into the next request."""
_LITELLM_CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/gpt-4o, api_base: "http://localhost:{plain}/v1", api_key: sk-pool-one}}
"""
_LITELLM_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MASTER_KEY": "sk-client-0123456789",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}
_BEGIN = 60.0
"""Seconds that LiteLLM may take to begin."""
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
_REGULAR = re.compile(r"HTTP\(S\) proxy listening at \S*?:(\d+)")


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's process."""

    plain: int
    """Its port of HTTP on loopback."""
    secure: int
    """Its port of HTTPS on loopback."""
    ca: Path
    """The file of the authority to trust."""
    samples: Path | None = None
    """Where a proxy in front of it writes what it spends CPU on (`sampler`). None: nowhere."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a client connects to."""

    port: int
    host: str
    """Whom the client believes to call."""
    trust: ssl.SSLContext | None
    """None: it is spoken to in plain HTTP."""
    ca: Path
    tunnel: str = ""
    """What it asks the proxy at `port` to connect to, if anything."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the provider."""

    name: str
    plain: Door
    """Its last part is HTTP, the client's is TLS."""
    secure: Door
    """All of it is TLS."""
    pid: int = 0
    """Of the proxy's process; 0: there is none."""

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the process has used."""
        # What clock_getcpuclockid(3) makes of a process id. /proc/PID/stat counts in steps of 10 ms.
        return time.clock_gettime(~self.pid << 3 | 2) if self.pid else 0.0

    def resident(self) -> float:
        """Resident memory in MB."""
        found = _RESIDENT.search(Path(f"/proc/{self.pid}/status").read_text()) if self.pid else None
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    command = (sys.executable, "-m", "scripts.benchmark.provider", str(folder))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:
        assert process.stdout is not None
        try:
            plain, secure = process.stdout.readline().split()
            yield Provider(int(plain), int(secure), folder / "ca.pem")
        finally:
            process.terminate()


@contextmanager
def direct(_: Path, served: Provider) -> Iterator[Way]:
    """Without a proxy, and in both cases over TLS, which the client speaks in all others."""
    door = Door(served.secure, "localhost", _trust(served.ca), served.ca)
    yield Way("direct", door, door)


@contextmanager
def bare(folder: Path, served: Provider) -> Iterator[Way]:
    """A mitmdump without rotator: a proxy for the provider on TLS, in front of the other one a server."""
    port = _free_port()
    modes = ("--mode", "regular", "--mode", f"reverse:http://127.0.0.1:{served.plain}@{port}")
    with _proxy(folder, served, "", PASSTHROUGH, *modes) as proxy:
        regular = _REGULAR.search(proxy.wait_log("listening at ", count=2))
        assert regular is not None
        trust = _trust(proxy.ca)
        secure = Door(int(regular[1]), "localhost", trust, proxy.ca, f"localhost:{served.secure}")
        yield Way("bare", Door(port, "localhost", trust, proxy.ca), secure, proxy.process.pid)


@contextmanager
def rotator(folder: Path, served: Provider) -> Iterator[Way]:
    with _rotator(folder, served) as proxy:
        yield _through(proxy, "rotator", "api.openai.com")


@contextmanager
def traced(folder: Path, served: Provider) -> Iterator[Way]:
    """Through rotator, each call with its trace."""
    with _rotator(folder, served, _TRACE) as proxy:
        yield _through(proxy, "traced", "api.openai.com")


@contextmanager
def ruled(folder: Path, served: Provider) -> Iterator[Way]:
    """Through rotator, with ten rules of the field cache for each call."""
    with _rotator(folder, served, _RULES) as proxy:
        yield _through(proxy, "ruled", "api.openai.com")


@contextmanager
def stored(folder: Path, served: Provider) -> Iterator[Way]:
    """Through rotator, which shares what it knows through a store, and has to ask it for nothing."""
    with RedisServer(folder) as store, _rotator(folder, served, _state(store)) as proxy:
        proxy.wait_log(_SHARED)
        yield _through(proxy, "stored", "api.openai.com")


@contextmanager
def leased(folder: Path, served: Provider) -> Iterator[Way]:
    """The same, with a key that serves so many calls at once at all proxies: the store is asked for each."""
    config = _CONFIG.replace(_KEY, f"{_KEY}, max_concurrency = 99")
    with RedisServer(folder) as store, _rotator(folder, served, _state(store), config) as proxy:
        proxy.wait_log(_SHARED)
        yield _through(proxy, "leased", "api.openai.com")


def _state(store: RedisServer) -> str:
    return f'[state]\nurl = "{store.url}"\n'


@contextmanager
def translated(folder: Path, served: Provider) -> Iterator[Way]:
    """Through rotator, from Chat to Messages and back."""
    with _rotator(folder, served) as proxy:
        yield _through(proxy, "translated", "api.mistral.ai")


@contextmanager
def litellm(folder: Path, served: Provider) -> Iterator[Way]:
    """LiteLLM's proxy, which is a server of its own. It must not look for prices on the net."""
    port = _free_port()
    config = folder / "litellm.yaml"
    config.write_text(_LITELLM_CONFIG.format(plain=served.plain))
    command = ("litellm", "--config", config, "--host", "127.0.0.1", "--port", str(port))
    environment = {**os.environ, **_LITELLM_ENVIRONMENT}
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(port, process)
            door = Door(port, "localhost", None, served.ca)
            yield Way("litellm", door, door, process.pid)
        finally:
            process.terminate()


WAYS: Mapping[str, Callable[[Path, Provider], AbstractContextManager[Way]]] = {
    "direct": direct,
    "bare": bare,
    "rotator": rotator,
    "translated": translated,
    "traced": traced,
    "ruled": ruled,
    **({"stored": stored, "leased": leased} if shutil.which(REDIS) else {}),
    **({"litellm": litellm} if shutil.which("litellm") else {}),
}


class Lab:
    """`with Lab(folder) as lab:` a provider runs, and each way to it from when it is first asked for."""

    def __init__(self, folder: Path, samples: Path | None = None) -> None:
        """`samples`: where a proxy writes what it spends CPU on, when it ends."""
        self._folder, self._samples = folder, samples
        self._stack = ExitStack()
        self._running: dict[str, Way] = {}
        self._begun = 0

    def way(self, name: str) -> Way:
        """The one that runs for the whole of the comparison."""
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self.fresh(name))
        return self._running[name]

    def fresh(self, name: str) -> AbstractContextManager[Way]:
        """Another one, of which nobody has asked anything."""
        self._begun += 1
        folder = self._folder / f"{name}-{self._begun}"
        folder.mkdir()
        return WAYS[name](folder, self._served)

    def __enter__(self) -> Self:
        served = self._stack.enter_context(provider(self._folder))
        self._served = replace(served, samples=self._samples)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _through(proxy: Proxy, name: str, host: str) -> Way:
    trust = _trust(proxy.ca)
    plain, secure = (Door(proxy.port, to, trust, proxy.ca, f"{to}:443") for to in (host, SECURE_HOST))
    return Way(name, plain, secure, proxy.process.pid)


def _rotator(folder: Path, served: Provider, more: str = "", config: str = _CONFIG) -> Proxy:
    """`more`: what its config says besides."""
    config = (config + more).format(plain=served.plain, secure=served.secure, host=SECURE_HOST)
    return _proxy(folder, served, config, ADDON)


def _proxy(folder: Path, served: Provider, config: str, script: Path, *options: str) -> Proxy:
    trusted = ("--set", f"ssl_verify_upstream_trusted_ca={served.ca}")
    every = (*options, *trusted)
    keys, scripts = {"ONE": "sk-pool-one"}, [script]
    if served.samples:
        keys[SAMPLES] = str(served.samples)
        scripts.append(Path(sampler.__file__))
    return Proxy(folder, config, keys=keys, options=every, scripts=scripts, forked=False)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it is listened at. Raises RuntimeError if the process ends before, or takes too long."""
    until = time.monotonic() + _BEGIN
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise RuntimeError("LiteLLM did not begin")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _trust(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["http/1.1"])
    return context
