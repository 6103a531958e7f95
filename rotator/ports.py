"""Ports of this machine: which are taken, and one that is not."""

import errno
import socket

WEB = 8081
"""Of mitmweb's page, unless an option says another."""


def is_taken(host: str, port: int) -> bool:
    """Whether another program listens there. What cannot be known is not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def free_port(wanted: int = 0) -> int:
    """One of loopback that nobody listens on now: `wanted`, if it is one."""
    if wanted and not is_taken("127.0.0.1", wanted):
        return wanted
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
