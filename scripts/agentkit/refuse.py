"""A script for mitmdump: no host is reached but those of the providers, which answer on loopback.

    mitmdump -s addons/rotator.py -s scripts/agentkit/refuse.py

The agents call home (telemetry, settings, releases); a run with fake keys must not.
"""

import logging

from mitmproxy import http

_log = logging.getLogger(__name__)

HOSTS = frozenset({"api.anthropic.com", "api.openai.com", "chatgpt.com", "generativelanguage.googleapis.com"})


def http_connect(flow: http.HTTPFlow) -> None:
    """A tunnel to anywhere else is refused before it is opened."""
    _refuse(flow)


def requestheaders(flow: http.HTTPFlow) -> None:
    """The same for requests without a tunnel."""
    _refuse(flow)


def _refuse(flow: http.HTTPFlow) -> None:
    if flow.request.pretty_host not in HOSTS and flow.response is None:
        _log.info("refused: %s", flow.request.pretty_host)
        flow.response = http.Response.make(403)
