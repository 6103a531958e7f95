"""What `--server-replay` may serve of answers that were recorded here.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: the serverplayback add-on's
`flowmap`, its `_hash` of a request, and that it passes over recorded flows without a response.
"""

from mitmproxy import http

from addons.mitm.relay import TRUNCATED_KEY
from addons.mitm.sink import addon


def forget_cut(flow: http.HTTPFlow) -> None:
    """Before a request is looked up: recorded answers to it go out of which not all was kept, or nothing,
    since they passed through as streams."""
    playback = addon("serverplayback")
    if playback is None or not playback.flowmap:
        return
    for recorded in playback.flowmap.get(playback._hash(flow), ()):
        response = recorded.response
        if response is not None and (recorded.metadata.get(TRUNCATED_KEY) or response.raw_content is None):
            recorded.response = None
