"""The balancer: a real HAProxy, by TCP."""

from collections.abc import Sequence
from pathlib import Path

from scripts.clustering.programs import Program, free_port

_CONFIG = """
global
    maxconn 2000
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
    """In front of proxies on these ports."""

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        super().__init__(folder, free_port())
        self._ports = ports

    def command(self) -> Sequence[str]:
        servers = "\n".join(
            f"    server proxy{number} 127.0.0.1:{port} check inter 500 fall 1 rise 1"
            for number, port in enumerate(self._ports, 1)
        )
        config = self.folder / "haproxy.cfg"
        config.write_text(_CONFIG.format(port=self.port, servers=servers))
        return ["haproxy", "-f", str(config), "-db"]
