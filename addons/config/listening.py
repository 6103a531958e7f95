"""Where the proxy listens, who may come in there, and what they have to paste."""

import os
import shlex
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from mitmproxy import options
from mitmproxy.proxy.mode_specs import (
    ProxyMode,
    RegularMode,
    ReverseMode,
    Socks5Mode,
    TransparentMode,
    UpstreamMode,
)

from addons.config.settings import Settings

PASTE = "ROTATOR_PASTE"
"""The variable in which scripts/start hands over the lines that it would have people paste."""

_FOR_OTHERS = (RegularMode, UpstreamMode, ReverseMode, Socks5Mode, TransparentMode)
_LOOPBACK = "127.0.0.1"

COPIES = "these files are on the proxy's machine: copy them to this one, and name the copies"
"""What the lines do not say to somebody at another machine."""

_BUNDLE, _AUTHORITY = "rotator-ca-bundle.pem", "mitmproxy-ca-cert.pem"


def blocks_others(opts: options.Options) -> bool:
    """Whether a server listens on all addresses unasked, and none does so by the user's own word."""
    hosts = [ProxyMode.parse(mode).listen_host(opts.listen_host) for mode in opts.mode]
    return "" in hosts and all(not host or is_loopback(host) for host in hosts)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(_bare(host)).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def warn_of_others(opts: options.Options, settings: Settings) -> Iterator[str]:
    """A line where other machines can spend the pool's keys without a password."""
    pools = [one.provider.name for one in settings.providers if one.credentials]
    modes = [mode for mode in map(ProxyMode.parse, opts.mode) if isinstance(mode, _FOR_OTHERS)]
    hosts = [mode.listen_host(opts.listen_host) for mode in modes]
    open_hosts = [host or "all addresses" for host in hosts if not is_loopback(host)]
    closed = opts.block_private and opts.block_global
    if pools and open_hosts and not closed and opts.proxyauth in (None, "", "any"):
        yield (
            f"other machines can reach this proxy (it listens on {', '.join(open_hosts)}) and use your "
            f"keys of {', '.join(pools)}: add --set proxyauth=USER:PASSWORD, or listen on "
            "--listen-host 127.0.0.1"
        )


def paste_lines(opts: options.Options, port: int, host: str = _LOOPBACK) -> str:
    """What makes a tool go through this proxy: as scripts/start says, else by our options. `host` is how the
    tool's machine reaches us."""
    lines = os.environ.get(PASTE, "").strip() or "\n".join(_exports(opts, port))
    if is_loopback(host):
        return lines
    reach = f"[{_bare(host)}]" if ":" in _bare(host) else _bare(host)
    return lines.replace(f"//{_LOOPBACK}:", f"//{reach}:") + f"\n# {COPIES}"


def _bare(host: str) -> str:
    """Without brackets. A socket for both IPv4 and IPv6 writes the former as `::ffff:192.0.2.1`."""
    return host.strip("[]").removeprefix("::ffff:")


def _exports(opts: options.Options, port: int) -> Iterator[str]:
    confdir = Path(opts.confdir).expanduser()
    bundle = confdir / _BUNDLE
    roots = shlex.quote(str(bundle if bundle.is_file() else confdir / _AUTHORITY))
    yield f"export HTTPS_PROXY=http://{_LOOPBACK}:{port}"
    yield f"export SSL_CERT_FILE={roots}"
    yield f"export REQUESTS_CA_BUNDLE={roots}"
    yield f"export CURL_CA_BUNDLE={roots}"
    yield f"export NODE_EXTRA_CA_CERTS={shlex.quote(str(confdir / _AUTHORITY))}"
    yield "export NODE_USE_ENV_PROXY=1"
