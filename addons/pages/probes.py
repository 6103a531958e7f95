"""Hosts by which a program finds out whether its calls come here: https://ID.rotator.local/.

`rotator doctor` has a runtime ask one. Whoever goes past the proxy finds no such host; who goes through it
without trusting it gets as far as its CONNECT. Nobody else is asked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from addons.pages.guard import HOST
from addons.pages.reply import JSON, Reply, json_reply, text_reply

HOSTS = rf"^(?:[0-9a-f]{{16}}\.)?{re.escape(HOST)}:443$"
"""Our own hosts over TLS, as a regular expression for mitmproxy's allow_hosts: they are decrypted."""

MOST = 1000
"""Probes that are remembered."""

_PROBE = re.compile(rf"([0-9a-f]{{16}})\.{re.escape(HOST)}\.?", re.IGNORECASE)
_READS = ("GET", "HEAD")
_ERROR = {
    "type": "invalid_request_error",
    "code": "probe",
    "message": "a probe of rotator doctor",
}


@dataclass(slots=True)
class Probe:
    """What came of one."""

    reached: bool = False
    """The program asked the proxy for the way to its host."""
    answered: bool = False
    """It sent a request, so that it trusts the proxy's certificate."""


class Probes:
    """Those of late."""

    def __init__(self) -> None:
        self._known: dict[str, Probe] = {}

    def has(self, host: str) -> bool:
        return host.endswith("local") and _PROBE.fullmatch(host) is not None

    def connected(self, host: str) -> None:
        """A client asks for the way to `host`, whatever that is."""
        if self.has(host):
            self._of(host).reached = True

    def answer(self, method: str, host: str) -> Reply:
        """Of a request for the host of a probe."""
        probe = self._of(host)
        probe.reached = probe.answered = True
        if method in _READS:
            return text_reply(200, f"rotator probe {_id(host)}")
        return Reply(400, json_reply(400, {"type": "error", "error": _ERROR}).body, JSON, _NOT_AGAIN)

    def seen(self, probe: str) -> Mapping[str, bool]:
        """What came of the probe of that id."""
        found = self._known.get(probe, Probe())
        return {"reached": found.reached, "answered": found.answered}

    def _of(self, host: str) -> Probe:
        name = _id(host)
        if name not in self._known and len(self._known) >= MOST:
            del self._known[next(iter(self._known))]
        return self._known.setdefault(name, Probe())


_NOT_AGAIN = {"x-should-retry": "false"}


def _id(host: str) -> str:
    return host.partition(".")[0].lower()
