"""Our places inside mitmproxy: taken at load, given back at the end."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from mitmproxy import ctx
from mitmproxy.addons import clientplayback
from mitmproxy.addons.save import Save
from mitmproxy.addons.serverplayback import ServerPlayback
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.test import taddons, tflow

from addons.mitm.flows import TRUNCATED_KEY, FlowRegistry
from addons.mitm.front import Front
from addons.mitm.layers import Layers
from tests.addons.mitm.test_flows import Never


def pass_by(nextlayer: NextLayer) -> None:
    pass


@pytest.fixture
async def playback() -> AsyncIterator[ServerPlayback]:
    """That of a mitmproxy which saves, too."""
    playback = ServerPlayback()  # type: ignore[no-untyped-call]  # mitmproxy has no types here
    with taddons.context(playback, Save()):  # type: ignore[no-untyped-call]  # nor here
        yield playback


@contextmanager
def installed() -> Iterator[None]:
    flows = FlowRegistry(Never(), lambda: None)
    front = Front(flows, Layers(flows, lambda host, port: False), pass_by)
    front.install()
    yield
    front.uninstall()


def test_it_is_first_and_the_registry_comes_before_what_saves(playback: ServerPlayback) -> None:
    before, replays = ctx.master.addons.chain, clientplayback.ReplayHandler
    with installed():
        places = [type(each) for each in ctx.master.addons.chain]
        assert places[0] is Front
        assert places[places.index(Save) - 1] is FlowRegistry
        assert clientplayback.ReplayHandler is not replays
    assert ctx.master.addons.chain == before
    assert clientplayback.ReplayHandler is replays


@pytest.mark.parametrize("cut", ["truncated", "streamed"])
def test_a_server_replay_serves_no_answer_that_was_cut(playback: ServerPlayback, cut: str) -> None:
    recorded, whole = tflow.tflow(resp=True), tflow.tflow(resp=True)
    assert recorded.response is not None
    if cut == "truncated":
        recorded.metadata[TRUNCATED_KEY] = True
    else:
        recorded.response.raw_content = None
    with installed():
        playback.load_flows([recorded, whole])
        assert playback.next_flow(tflow.tflow()) is whole
        assert playback.next_flow(tflow.tflow()) is None


def test_it_serves_one_again_when_we_have_gone(playback: ServerPlayback) -> None:
    recorded = tflow.tflow(resp=True)
    recorded.metadata[TRUNCATED_KEY] = True
    with installed():
        pass
    playback.load_flows([recorded])
    assert playback.next_flow(tflow.tflow()) is recorded
