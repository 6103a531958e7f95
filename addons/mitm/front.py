"""Our place at every way in: before other add-ons where layers are chosen, and in replays.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: `AddonManager.chain`, whose
members are called one by one, each apart from what the others raise (all scripts are one member); the
clientplayback add-on makes a `ReplayHandler`, by that name, for each flow that is replayed.
"""

from collections.abc import Callable

from mitmproxy import ctx, http
from mitmproxy.addons import clientplayback
from mitmproxy.addons.save import Save
from mitmproxy.options import Options
from mitmproxy.proxy.layer import NextLayer

from addons.mitm.relay import Relay, RelayHttpLayer


class Last:
    """A hook behind those of all who edit, and before those who save."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def response(self, flow: http.HTTPFlow) -> None:
        self._relay.put_back(flow, for_good=False)


class Front:
    """Places among mitmproxy's own add-ons that a script does not have."""

    def __init__(self, relay: Relay, tunnel: Callable[[NextLayer], None]) -> None:
        """`tunnel` sends on its way what stays encrypted."""
        self._relay, self._tunnel = relay, tunnel
        self._replays = clientplayback.ReplayHandler
        self._last = Last(relay)

    def install(self) -> None:
        """At load. In place of the chain another one: the old one is being walked through."""
        chain = ctx.master.addons.chain
        saving = next((at for at, each in enumerate(chain) if isinstance(each, Save)), len(chain))
        ctx.master.addons.chain = [self, *chain[:saving], self._last, *chain[saving:]]
        clientplayback.ReplayHandler = _replaying(self._replays, self._relay)  # type: ignore[misc]  # a class, by design

    def uninstall(self) -> None:
        ours = (self, self._last)
        ctx.master.addons.chain = [each for each in ctx.master.addons.chain if each not in ours]
        clientplayback.ReplayHandler = self._replays  # type: ignore[misc]  # the same

    def next_layer(self, nextlayer: NextLayer) -> None:
        self._relay.next_layer(nextlayer)
        self._tunnel(nextlayer)


def _replaying(
    handler: type[clientplayback.ReplayHandler], relay: Relay
) -> type[clientplayback.ReplayHandler]:
    """Replays on layers of ours, so that a replayed flow goes the way of a live one."""

    class Replaying(handler):  # type: ignore[misc,valid-type]  # a class that is given
        def __init__(self, flow: http.HTTPFlow, options: Options) -> None:
            super().__init__(flow, options)
            RelayHttpLayer.adopt(self.layer, relay, self)

    return Replaying
