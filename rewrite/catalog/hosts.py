"""Which hosts are a provider's, and where a key of its pool goes."""

from fnmatch import fnmatchcase

from protocols.model.http import Origin
from rewrite.catalog.providers import Provider

_TLS_PORT = 443


def serves(provider: Provider, host: str, port: int) -> bool:
    """Whether `host` (a name or an address, any case, no brackets) and `port` are the provider's.

    They are if an entry of `hosts` matches, on any port unless it states one, or if they are the
    authority of `base_url`.
    """
    named, own = host.lower().rstrip("."), provider.origin
    if own and named == own.host and port == own.port:
        return True
    return any(wanted in (None, port) and fnmatchcase(named, glob) for glob, wanted in provider.places)


def is_exact(host: str) -> bool:
    """Whether an entry of `hosts` names one host, not a pattern of them."""
    return not set("*?") & set(host)


def pool_origin(provider: Provider, host: str, port: int) -> Origin | None:
    """Where a key of the pool goes when a client calls `host`; None: nowhere.

    It is the config's to say: by `base_url`, or by an entry of `hosts` that is exact, which is called over
    TLS. What a client says of the scheme and the port decides nothing.
    """
    if provider.origin:
        return provider.origin
    named = host.lower().rstrip(".")
    ports = [
        wanted
        for entry, (name, wanted) in zip(provider.hosts, provider.places, strict=True)
        if is_exact(entry) and name == named and wanted in (None, port)
    ]
    return Origin("https", named, ports[0] or _TLS_PORT) if ports else None
