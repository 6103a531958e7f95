"""Who called, where the proxy asks for a name and a password (mitmproxy's option proxyauth)."""

from mitmproxy.flow import Flow

_KEY = "proxyauth"
"""Where mitmproxy keeps both in the metadata of a flow."""


def user_of(flow: Flow) -> str:
    """The name. Empty: the proxy asks for none."""
    match flow.metadata.get(_KEY):
        case (str(user), *_):
            return user
    return ""


def forget_password(flow: Flow) -> None:
    """Metadata are shown, and saved with the flow. mitmproxy itself remembers the connection."""
    if user := user_of(flow):
        flow.metadata[_KEY] = user, ""


def same_user(flow: Flow, other: Flow) -> None:
    """`flow` is a part of `other`."""
    if _KEY in other.metadata:
        flow.metadata[_KEY] = other.metadata[_KEY]
