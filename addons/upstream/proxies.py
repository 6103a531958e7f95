"""Through which proxies servers are reached: one of the config or of mitmproxy's upstream mode for providers,
and the one that the shell that started us names for all hosts (a company's, most often)."""

import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit

from mitmproxy import options
from mitmproxy.net.server_spec import ServerSpec
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.layers.http._upstream_proxy import HttpUpstreamProxy
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, Socks5Mode, UpstreamMode

from addons.config.loopback import is_loopback
from addons.upstream.connection import NetworkStream
from addons.upstream.network import is_local
from addons.upstream.way import Form, Way, way
from protocols.model.http import Origin

_VISIBLE = re.compile(r"[!-~]+")
_WITH_PORT = re.compile(r"(\[[^]]*\]|[^:\[\]]*):([0-9]{1,5})")
_HTTPS = 443
_VARIABLE = "HTTPS_PROXY"
_SPELLINGS = (_VARIABLE.lower(), _VARIABLE)
_INSTEAD = "hosts are reached directly; set it to http://HOST:PORT, or [upstream] proxy for providers alone"


@dataclass(frozen=True, slots=True)
class Proxies:
    """URLs of proxies, which may hold a user name and password; empty for none."""

    providers: str = field(default="", repr=False)
    """The proxy towards every provider."""
    shell: str = field(default="", repr=False)
    """The proxy towards https hosts; those of providers too if there is no `providers`."""
    spared: str = ""
    """NO_PROXY: the hosts that `shell` is not for."""

    def to_provider(self, origin: Origin) -> str:
        return self.providers or (self.to_host(*origin.address) if origin.is_secure else "")

    def to_host(self, host: str, port: int = _HTTPS) -> str:
        """The proxy towards a host that is spoken to in TLS, or through a tunnel of a client."""
        return "" if is_loopback(host) or is_spared(host, self.spared, port) else self.shell

    def authorization(self, address: object) -> str:
        """What the proxy at that address, a host and a port, wants in Proxy-Authorization; "" for nothing."""
        for url in filter(None, (self.providers, self.shell)):
            parts = urlsplit(url)
            if parts.username and address == address_of(url):
                pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                return f"Basic {b64encode(pair.encode()).decode()}"
        return ""


NO_PROXIES = Proxies()


def is_spared(host: str, spared: str, port: int = _HTTPS) -> bool:
    """Whether NO_PROXY names a host: by its name, a domain of it (with a dot or a star before it, or
    without), its address, a network, each with a port or without, or `*`."""
    return any(
        _named(entry.lower(), host.lower().rstrip("."), port) for entry in re.split(r"[\s,;]+", spared)
    )


def _named(entry: str, host: str, port: int) -> bool:
    with_port = _WITH_PORT.fullmatch(entry)
    if with_port is None:
        return _covers(entry.rstrip("."), host)
    return int(with_port[2]) == port and _covers(with_port[1].rstrip("."), host)


def _covers(entry: str, host: str) -> bool:
    if entry == "*":
        return True
    try:
        return ip_address(host.strip("[]")) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = entry.removeprefix("*").removeprefix(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))


def address_of(proxy_url: str) -> tuple[str, int]:
    """Where a proxy is that the config names."""
    parts = urlsplit(proxy_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def spec(url: str) -> ServerSpec | None:
    """As mitmproxy names a proxy."""
    return ("https" if url.startswith("https:") else "http", address_of(url)) if url else None


# -- where they are named ---------------------------------------------------------------------------------


def proxies(configured: str, opts: options.Options, environ: Mapping[str, str]) -> Proxies:
    """`configured`: the URL in the config. In upstream mode mitmproxy sends every host through its own."""
    mode = _upstream_mode(opts)
    spared = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    url, unusable = _of_shell(opts, environ)
    return Proxies(configured or mode, "" if unusable or mode else url, spared)


def notices(opts: options.Options, environ: Mapping[str, str]) -> Iterator[str]:
    """A line where a proxy of the shell is not used."""
    url, unusable = _of_shell(opts, environ)
    if unusable:
        yield f"{_VARIABLE} is not used: {unusable}: {_INSTEAD}"
    elif url and _upstream_mode(opts):
        yield f"{_VARIABLE} is not used: --mode upstream names another proxy"


def in_short(found: Proxies) -> str:
    """What a start says of a proxy of the shell, without its user name; "" for none."""
    if not found.shell:
        return ""
    host, port = address_of(found.shell)
    but = f", but not {found.spared}" if found.spared else ""
    return f"{_VARIABLE} of this shell is used: https hosts are reached through {host}:{port}{but}"


def _of_shell(opts: options.Options, environ: Mapping[str, str]) -> tuple[str, str]:
    """Its URL, and why it cannot be used, "" if it can."""
    named = next((environ[name] for name in _SPELLINGS if environ.get(name, "").strip()), "").strip()
    if not named:
        return "", ""
    url = named if "://" in named else f"http://{named}"
    scheme = url.partition("://")[0].lower()
    if scheme not in {"http", "https"}:
        return "", f"a proxy is reached by http:// or https://, not by {scheme[:10]}://"
    if not _is_address(url):
        return "", "it is not an address such as http://proxy.example.com:3128"
    if _is_us(*address_of(url), opts):
        return "", "it is the address of this proxy itself"
    return url, ""


def _is_address(url: str) -> bool:
    try:
        return (
            bool(urlsplit(url).hostname) and urlsplit(url).port != 0 and _VISIBLE.fullmatch(url) is not None
        )
    except ValueError:
        return False


def _is_us(host: str, port: int, opts: options.Options) -> bool:
    if port not in {ProxyMode.parse(mode).listen_port(opts.listen_port) for mode in opts.mode}:
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False
    return any(is_local(family, address) for family, *_, address in found)


def _upstream_mode(opts: options.Options) -> str:
    """The proxy of `--mode upstream:URL`, which our own calls go through as well, as `upstream_auth` says."""
    for mode in map(ProxyMode.parse, opts.mode):
        if isinstance(mode, UpstreamMode):
            host, port = mode.address
            auth = opts.upstream_auth if "upstream_auth" in opts else None
            user, colon, password = (auth or "").partition(":")
            who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if colon else ""
            return f"{mode.scheme}://{who}{host}:{port}"
    return ""


# -- who goes through them --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ByHost:
    """Each origin through the proxy that it is reached by, or straight."""

    straight: Way
    through: Way
    found: Proxies

    async def open(self, origin: Origin) -> NetworkStream:
        return await self.to(origin).open(origin)

    def form(self, origin: Origin) -> Form:
        return self.to(origin).form(origin)

    def to(self, origin: Origin) -> Way:
        return self.through if self.found.to_provider(origin) else self.straight


def way_to_providers(found: Proxies, tls: ssl.SSLContext) -> Way:
    """Raises ValueError for a proxy that cannot be used."""
    if found.providers or not found.shell:
        return way(found.providers, tls)
    return ByHost(way("", tls), way(found.shell, tls), found)


def tunnel(nextlayer: NextLayer, found: Proxies) -> None:
    """Have a client's tunnel that is not decrypted go through the shell's proxy. Its layer is chosen by
    now; it is asked for again inside that of the proxy."""
    context = nextlayer.context
    server, mode = context.server, context.client.proxy_mode
    if not isinstance(nextlayer.layer, TCPLayer) or not isinstance(mode, RegularMode | Socks5Mode):
        return
    if server.address and not server.via and (url := found.to_host(*server.address[:2])):
        server.via = spec(url)
        nextlayer.layer = HttpUpstreamProxy.make(context, send_connect=True)[0]
