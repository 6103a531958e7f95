"""Which addresses are this machine's alone."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it: an address, with or without brackets, or the name localhost."""
    try:
        return ip_address(bare(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def bare(host: str) -> str:
    """Without brackets. A socket for both IPv4 and IPv6 writes the former as `::ffff:192.0.2.1`."""
    return host.strip("[]").removeprefix("::ffff:")
