"""The balancer: a real HAProxy, by TCP."""

import re
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.clustering.programs import PATIENCE, Program, free_port

_SESSION = re.compile(r"src=127\.0\.0\.1:(\d+) .* srv=(\S+) ")
_CONFIG = """
global
    maxconn 2000
    stats socket {admin} mode 600 level admin
defaults
    mode tcp
    balance leastconn
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    option redispatch
    retries 3
frontend proxies
    bind 127.0.0.1:{port}
    default_backend rotators
backend rotators
{servers}
"""


class Balancer(Program):
    """In front of proxies on these ports, by their names."""

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, free_port())
        self._ports = ports
        self._admin = folder / "admin"

    def command(self) -> Sequence[str]:
        servers = "\n".join(
            f"    server {name} 127.0.0.1:{port} check inter 500 fall 1 rise 1"
            for name, port in self._ports.items()
        )
        config = self.folder / "haproxy.cfg"
        config.write_text(_CONFIG.format(port=self.port, servers=servers, admin=self._admin))
        return ["haproxy", "-f", str(config), "-db"]

    def clients(self, name: str) -> set[int]:
        """The ports of those who are connected to the proxy of this name."""
        return {int(port) for port, server in _SESSION.findall(self._ask("show sess")) if server == name}

    def wait(self, name: str) -> None:
        """Until it sends clients to the proxy of this name. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not self._is_up(name):
            if time.monotonic() > end:
                raise TimeoutError(f"the balancer does not find {name}")
            time.sleep(0.05)

    def _is_up(self, name: str) -> bool:
        lines = self._ask("show stat").splitlines()
        return any(line.startswith(f"rotators,{name},") and ",UP," in line for line in lines)

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self._admin))
            admin.sendall(f"{command}\n".encode())
            return b"".join(iter(lambda: admin.recv(1 << 16), b"")).decode()
