"""What is compared: where a client connects to, and what the process behind it has used."""

import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.proxy import ADDON, ROOT, Proxy

PASSTHROUGH = Path(__file__).with_name("passthrough.py")
_PROVIDER_HOST = "localhost"
_CONFIG = """
[providers.openai]
base_url = "https://localhost:{port}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[providers.anthropic]
base_url = "https://localhost:{port}"
credentials = [{{ name = "one", key = "env:ONE" }}]
[[routes]]
match = {{ provider = "mistral" }}
to = ["anthropic/claude"]
"""
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's process: its port on loopback, and the file of the authority to trust."""

    port: int
    ca: Path


@dataclass(frozen=True, slots=True)
class Target:
    """A way to the provider. `tunnel`: `port` is a proxy's; `host`: whom the client believes to call."""

    name: str
    port: int
    host: str
    authority: str
    trust: ssl.SSLContext
    pid: int
    tunnel: bool

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the process has used."""
        # What clock_getcpuclockid(3) makes of a process id. /proc/PID/stat counts in steps of 10 ms.
        return time.clock_gettime(~self.pid << 3 | 2)

    def resident(self) -> float:
        """Resident memory in MB."""
        found = _RESIDENT.search(Path(f"/proc/{self.pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    command = (sys.executable, "-m", "scripts.benchmark.provider", str(folder))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with process:
        assert process.stdout is not None
        try:
            yield Provider(int(process.stdout.readline()), folder / "ca.pem")
        finally:
            process.terminate()


@contextmanager
def targets(folder: Path, served: Provider) -> Iterator[list[Target]]:
    """Direct, bare, rotator, and the same rotator translating; the processes end with the context."""
    with ExitStack() as stack:
        bare = stack.enter_context(_proxy(folder / "bare", served, "", PASSTHROUGH))
        ours = stack.enter_context(
            _proxy(folder / "rotator", served, _CONFIG.format(port=served.port), ADDON)
        )
        at_provider = f"{_PROVIDER_HOST}:{served.port}"
        yield [
            Target("direct", served.port, _PROVIDER_HOST, at_provider, _trust(served.ca), 0, tunnel=False),
            Target(
                "bare",
                bare.port,
                _PROVIDER_HOST,
                at_provider,
                _trust(bare.ca),
                bare.process.pid,
                tunnel=True,
            ),
            _through(ours, "rotator", "api.openai.com"),
            _through(ours, "translated", "api.mistral.ai"),
        ]


def _through(proxy: Proxy, name: str, host: str) -> Target:
    return Target(name, proxy.port, host, f"{host}:443", _trust(proxy.ca), proxy.process.pid, tunnel=True)


def _proxy(folder: Path, served: Provider, config: str, script: Path) -> Proxy:
    folder.mkdir()
    trusted = ("--set", f"ssl_verify_upstream_trusted_ca={served.ca}")
    return Proxy(
        folder, config, keys={"ONE": "sk-pool-one"}, options=trusted, scripts=(script,), forked=False
    )


def _trust(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    context.set_alpn_protocols(["http/1.1"])
    return context
