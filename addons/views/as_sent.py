"""The content view "As sent": what each attempt of a call was sent, without the key."""

from collections.abc import Iterator, Sequence

import msgspec
from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from addons.secrets.redaction import Redactor, fault
from addons.views.sent import Sent, SentRequests
from protocols.model.http import Headers
from rewrite.views.yaml_text import yaml_text

LONGEST_BODY = 200_000
"""Bytes of a body that are shown."""

NEVER = -1.0
"""The priority of a view that is only shown to who asks for it."""

_NOT_KEPT = """\
# What the attempts of a call were sent is kept as long as mitmweb or mitmproxy lists the call.
# Of this flow nothing is: no provider was asked, it was loaded from a file, or its calls are
# the turns of a WebSocket.
"""


class AsSent(Contentview):
    """Only for who asks for it."""

    name = "As sent"
    syntax_highlight: SyntaxHighlight = "yaml"

    def __init__(self, requests: SentRequests, redactor: Redactor) -> None:
        self._requests, self._redactor = requests, redactor

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return NEVER

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Never raises."""
        flow = metadata.flow
        sent = self._requests.of(flow) if isinstance(flow, http.HTTPFlow) else ()
        try:
            return self._redactor.redact("\n".join(_attempts(sent))) if sent else _NOT_KEPT
        except Exception as error:  # noqa: BLE001  # a fault of ours, which costs the reader this view alone
            return f"# This cannot be shown ({fault(error)}).\n"


def _attempts(sent: Sequence[Sent]) -> Iterator[str]:
    former: Sent | None = None
    for one in sent:
        yield yaml_text({f"attempt {one.number}": _head(one)}) + _body(one, former)
        former = one


def _head(one: Sent) -> dict[str, object]:
    return {
        "asked": f"{one.target} ({one.protocol}) with {one.credential}",
        "request": f"{one.method} {one.url}",
        "headers": _headers(one.headers),
    }


def _headers(headers: Headers) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]


def _body(one: Sent, former: Sent | None) -> str:
    if one.body is None:
        return "  body: as the client sent it\n"
    if former is not None and former.body == one.body:
        return f"  body: as that of attempt {former.number}\n"
    shown = one.body[:LONGEST_BODY]
    text = msgspec.json.format(shown, indent=2) if shown is one.body and _is_json(shown) else shown
    more = f"\n# ... {len(one.body) - len(shown):,} bytes more" if len(shown) < len(one.body) else ""
    return f"body:\n{text.decode('utf-8', 'replace')}{more}\n"


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
