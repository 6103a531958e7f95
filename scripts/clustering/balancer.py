"""The balancer: a real HAProxy, by TCP."""

import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.clustering.programs import PATIENCE, Program, free_port

_SESSION = re.compile(r"src=127\.0\.0\.1:(\d+) .* srv=(\S+) ")
_SERVER = re.compile(r"(?m)^    server .*\n")
CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy.cfg"
"""The one for users. Here it has other addresses, and is asked what it does."""


class Balancer(Program):
    """In front of proxies on these ports, by their names."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, free_port())
        self._ports = ports
        self._admin = folder / "admin"

    def command(self) -> Sequence[str]:
        servers = "".join(f"    server {name} 127.0.0.1:{port}\n" for name, port in self._ports.items())
        text = CONFIG.read_text().replace("bind :8080", f"bind 127.0.0.1:{self.port}")
        text = text.replace("maxconn 8000", "maxconn 400")  # as many files may be open
        text = text.replace("inter 1s", "inter 200ms")  # nobody waits here for what people would not notice
        text = text.replace("global\n", f"global\n    stats socket {self._admin} mode 600 level admin\n", 1)
        config = self.folder / "haproxy.cfg"
        config.write_text(_SERVER.sub("", text) + servers)
        return ["haproxy", "-f", str(config), "-db"]

    def clients(self, name: str) -> set[int]:
        """The ports of those who are connected to the proxy of this name."""
        return {int(port) for port, server in _SESSION.findall(self._ask("show sess")) if server == name}

    @contextmanager
    def sparing(self, name: str) -> Iterator[None]:
        """Meanwhile nobody else is connected to the proxy of this name; those who are stay."""
        self._ask(f"disable server proxies/{name}")
        yield
        self._ask(f"enable server proxies/{name}")

    def wait(self, name: str) -> None:
        """Until it sends clients to the proxy of this name. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not self._is_up(name):
            if time.monotonic() > end:
                raise TimeoutError(f"the balancer does not find {name}")
            time.sleep(0.05)

    def _is_up(self, name: str) -> bool:
        lines = self._ask("show stat").splitlines()
        return any(line.startswith(f"proxies,{name},") and ",UP," in line for line in lines)

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._admin))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode()
