"""Tunnels to the proxy's own ports are refused: through them a page or a tool could steer the proxy."""

import asyncio
import socket
from collections.abc import Collection

from mitmproxy import master, options


def own_ports(running: master.Master, opts: options.Options) -> frozenset[int]:
    """The ports that this process listens on: the proxy's and, in mitmweb, the inspector's."""
    server = running.addons.get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    ports = {address[1] for address in server.listen_addrs()}
    if "web_port" in opts:
        ports.add(opts.web_port)
    return frozenset(ports)


async def points_at_us(host: str, port: int, ports: Collection[int]) -> bool:
    """Whether a request to `host` and `port` would come back to this process, whatever the host is called."""
    if port not in ports:
        return False
    name = host.strip("[]").rstrip(".")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False  # no name at all: nothing is reached by it
    return any(is_ours(family, address) for family, *_, address in found)


def is_ours(family: int, address: tuple[object, ...]) -> bool:
    """Whether that is an address of this machine: only such a one can be bound to."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True
