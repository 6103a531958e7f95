"""How what several proxies count together is named in the store that they share. Pure."""

import json

from rewrite.credentials.stored import Subject


def used_key(of: Subject, window: str, scope: str) -> str:
    """The hash of what is used of one window, by its key, and for one scope. Its field `UNTIL|PROXY` is what
    that proxy counted of what counts until then, in epoch seconds."""
    parts = (of.provider, of.credential, of.mark, window, scope)
    return "u:" + json.dumps(parts, separators=(",", ":"))


def place_field(of: Subject) -> str:
    """In the hash of a proxy: how many places of a credential it holds."""
    return f"{of.provider}\n{of.credential}\n{of.mark}"


def probe_key(provider: str, scope: str) -> str:
    """The single probe of a provider that may be down."""
    return f"probe:{provider}\n{scope}"
