"""Our places inside mitmproxy that a script does not have: before other add-ons where layers are chosen,
after them where answers are saved, and in replays of clients and of servers.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade:
`AddonManager.chain`, whose members are called one by one, each apart from what the others raise (all scripts
are one member);
the clientplayback add-on makes a `ReplayHandler`, by that name, for each flow that is replayed;
the serverplayback add-on asks its `next_flow` for the answer to a request while its `flowmap` has recorded
flows, by the `_hash` of the request, and passes over those without a response.
"""

from collections.abc import Callable, Sequence

from mitmproxy import ctx, http
from mitmproxy.addons import clientplayback
from mitmproxy.addons.save import Save
from mitmproxy.addons.serverplayback import ServerPlayback
from mitmproxy.connection import Client
from mitmproxy.options import Options
from mitmproxy.proxy.layer import NextLayer

from addons.mitm import direct
from addons.mitm.flows import TRUNCATED_KEY, FlowRegistry
from addons.mitm.hooks import Hooks
from addons.mitm.layers import Layers
from addons.mitm.messages import check_without_cycles
from addons.mitm.sink import addon
from addons.mitm.stream import RelayHttpLayer
from addons.mitm.tls_buffers import release_empty


class Front:
    """Takes these places, and gives them back. It is the first member of the chain, the registry one of the
    last. `tunnel` sends on its way what stays encrypted."""

    _put_back: Sequence[Callable[[], None]]

    def __init__(self, flows: FlowRegistry, layers: Layers, tunnel: Callable[[NextLayer], None]) -> None:
        self._flows, self._layers, self._tunnel = flows, layers, tunnel
        self._replays = clientplayback.ReplayHandler
        self._hooks = Hooks()

    def install(self) -> None:
        """At load. In place of the chain another one: the old one is being walked through."""
        chain = ctx.master.addons.chain
        saving = next((at for at, each in enumerate(chain) if isinstance(each, Save)), len(chain))
        ctx.master.addons.chain = [self, *chain[:saving], self._flows, *chain[saving:]]
        self._put_back = check_without_cycles(), release_empty()
        clientplayback.ReplayHandler = _replaying(self._replays, self._flows)  # type: ignore[misc]  # a class, by design
        if playback := addon("serverplayback"):
            playback.next_flow = _without_cut(playback)

    def start(self) -> None:
        """When all runs: mitmproxy has called no hook of a connection yet."""
        self._hooks.install(ctx.master.addons)
        direct.check()

    def uninstall(self) -> None:
        self._hooks.uninstall()
        for put_back in self._put_back:
            put_back()
        ours = (self, self._flows)
        ctx.master.addons.chain = [each for each in ctx.master.addons.chain if each not in ours]
        clientplayback.ReplayHandler = self._replays  # type: ignore[misc]  # the same
        if playback := addon("serverplayback"):
            vars(playback).pop("next_flow", None)  # the class's own remains

    def client_connected(self, client: Client) -> None:
        self._hooks.attend(client)

    def next_layer(self, nextlayer: NextLayer) -> None:
        self._layers.next_layer(nextlayer)
        self._tunnel(nextlayer)


def _replaying(
    handler: type[clientplayback.ReplayHandler], flows: FlowRegistry
) -> type[clientplayback.ReplayHandler]:
    """Replays on layers of ours, so that a replayed flow goes the way of a live one."""

    class Replaying(handler):  # type: ignore[misc,valid-type]  # a class that is given
        def __init__(self, flow: http.HTTPFlow, options: Options) -> None:
            super().__init__(flow, options)
            RelayHttpLayer.adopt(self.layer, flows, self)

    return Replaying


def _without_cut(playback: ServerPlayback) -> Callable[[http.HTTPFlow], http.HTTPFlow | None]:
    """A look-up that first forgets recorded answers to the request of which not all was kept, or nothing,
    since they passed through as streams."""

    def next_flow(flow: http.HTTPFlow) -> http.HTTPFlow | None:
        for recorded in playback.flowmap.get(playback._hash(flow), ()):
            response = recorded.response
            if response is not None and (
                recorded.metadata.get(TRUNCATED_KEY) or response.raw_content is None
            ):
                recorded.response = None
        return ServerPlayback.next_flow(playback, flow)

    return next_flow
