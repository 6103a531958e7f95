"""Where the proxy listens, who may come in there, and what they have to paste."""

from collections.abc import Iterator, Mapping
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

from addons.config.client_variables import AUTHORITY, BUNDLE, REMOVED, client_variables
from addons.config.loopback import bare, is_loopback
from addons.config.settings import Settings
from addons.config.shells import Shell, pasted, setting

_FOR_OTHERS = (RegularMode, UpstreamMode, ReverseMode, Socks5Mode, TransparentMode)
_LOOPBACK = "127.0.0.1"

COPIES = "these files are on the proxy's machine: copy them to this one, and name the copies"
"""What the lines do not say to somebody at another machine."""


def blocks_others(opts: options.Options) -> bool:
    """Whether a server listens on all addresses unasked, and none does so by the user's own word."""
    hosts = [ProxyMode.parse(mode).listen_host(opts.listen_host) for mode in opts.mode]
    return "" in hosts and all(not host or is_loopback(host) for host in hosts)


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


def warn_of_names(opts: options.Options, settings: Settings) -> Iterator[str]:
    """A line where users have limits and nobody knows who calls."""
    if settings.users and opts.proxyauth in (None, ""):
        yield (
            "[users]: nobody is asked for a name, so that no limit of a user holds: add --set "
            "proxyauth=@FILE, a file of htpasswd"
        )
    if settings.users and opts.proxyauth == "any":
        yield (
            "[users]: with proxyauth=any everybody gives any name, so that a limit of a user holds for the "
            "honest alone: add --set proxyauth=@FILE, a file of htpasswd"
        )


def paste_lines(opts: options.Options, port: int, host: str = _LOOPBACK) -> str:
    """What makes a tool go through this proxy, a line each, as a shell of POSIX takes it. `host` is how the
    tool's machine reaches us."""
    others = () if is_loopback(host) else (f"# {COPIES}",)
    return "\n".join((*pasted(Shell.BASH, _variables(opts, port, host)), *others))


def paste_line(opts: options.Options, port: int, host: str = _LOOPBACK) -> str:
    """The same in one line, for a log."""
    variables = _variables(opts, port, host)
    set_all = " ".join(line.removeprefix("export ") for line in setting(Shell.BASH, variables))
    others = "" if is_loopback(host) else f" ({COPIES})"
    return f"unset {' '.join(REMOVED)}; export {set_all}{others}"


def _variables(opts: options.Options, port: int, host: str) -> Mapping[str, str]:
    confdir = Path(opts.confdir).expanduser()
    bundle, authority = confdir / BUNDLE, confdir / AUTHORITY
    reach = _LOOPBACK if is_loopback(host) else bare(host)
    url = f"http://{f'[{reach}]' if ':' in reach else reach}:{port}"
    return client_variables(url, str(bundle if bundle.is_file() else authority), str(authority))
