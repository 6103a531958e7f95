"""The pages as flows of the proxy: http://rotator.local/, of which nothing ever leaves."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import parse_qs

from mitmproxy import ctx, http

from addons.config.loopback import is_loopback
from addons.mitm.dispatch import Responder
from addons.mitm.sink import Sink, answer_with
from addons.pages.guard import HOST, PORTS, foreign_page, is_own
from addons.pages.probes import Probes
from addons.pages.reply import Reply, text_reply
from addons.pages.site import EVENTS, HEALTH, LONGEST_ACTION, SLOW, Query, Site
from addons.pages.views import SERVES

_ANYBODY = "any"
"""The value of mitmproxy's option proxyauth by which any password will do."""


class OwnHost:
    """`follow` answers with the page that never ends; `serves` says in one word whether the proxy serves."""

    def __init__(self, site: Site, follow: Responder, probes: Probes, serves: Callable[[], str]) -> None:
        self._site, self._follow, self._probes, self._serves = site, follow, probes, serves

    def has(self, flow: http.HTTPFlow) -> bool:
        return is_own(flow.request.host) or self._probes.has(flow.request.host)

    def answer(self, flow: http.HTTPFlow) -> http.Response | None:
        """Of a request whose head is here. None: it is for another host, or `responder` will answer it."""
        if not self.has(flow):
            return None
        if self._probes.has(flow.request.host):
            return _response(self._probes.answer(flow.request.method, flow.request.host))
        refusal, (path, query) = _refusal(flow), _parted(flow.request)
        if refusal is not None and (health := self.health(flow)) is not None:
            return health
        if refusal is None and self._waits(flow.request, path):
            refusal = _too_long(flow.request)
            return _response(refusal) if refusal else None
        return _response(refusal or self._site.page(flow.request.method, path, query))

    def health(self, flow: http.HTTPFlow) -> http.Response | None:
        """Whether the proxy serves, for a load balancer that may be elsewhere and knows no password: one
        word, and nothing else. None: something else is asked for, or a web page asks."""
        request = flow.request
        asks = request.method in ("GET", "HEAD") and request.path.partition("?")[0] == HEALTH
        if not asks or foreign_page(_lower(request.headers)):
            return None
        word = self._serves()
        return _response(text_reply(200 if word == SERVES else 503, word))

    def _waits(self, request: http.Request, path: str) -> bool:
        """Whether more is needed than the head, or more is answered than one piece."""
        if request.method == "POST":
            return self._site.is_action(path)
        return path in SLOW or (path == EVENTS and request.method == "GET")

    def responder(self, flow: http.HTTPFlow) -> Responder | None:
        """Of a request that is about to leave, whatever became of it before. None: it is for another host."""
        if not self.has(flow):
            return None
        if self._probes.has(flow.request.host):
            return answer_with(_response(self._probes.answer(flow.request.method, flow.request.host)))
        refusal, (path, query) = _refusal(flow), _parted(flow.request)
        if refusal is None and self._waits(flow.request, path):
            if path in SLOW:
                return partial(self._slowly, flow.request.method, path, query)
            if path == EVENTS:
                return self._follow
            refusal = self._site.act(path, _lower(flow.request.headers), flow.request.content or b"")
        return answer_with(_response(refusal or self._site.page(flow.request.method, path, query)))

    async def _slowly(self, method: str, path: str, query: Query, sink: Sink) -> None:
        reply = await asyncio.to_thread(self._site.page, method, path, query)
        await answer_with(_response(reply))(sink)


def _refusal(flow: http.HTTPFlow) -> Reply | None:
    if page := foreign_page(_lower(flow.request.headers)):
        return text_reply(403, f"a web page ({page}) may not ask for this: type http://{HOST}/ yourself")
    if not (is_loopback(flow.client_conn.peername[0]) or _is_let_in(flow)):
        return text_reply(403, "only programs on the machine of the proxy may ask for this")
    if flow.request.port not in PORTS or _is_for_us_alone(flow):
        return text_reply(404, f"the pages are at http://{HOST}/")
    return None


def _is_for_us_alone(flow: http.HTTPFlow) -> bool:
    """Whether a proxy that listens on such a port itself is asked as if it were a server: whoever names this
    machine rotator.local could have sent a page there."""
    client = flow.client_conn
    is_asked_for = bool(flow.request.authority) or client.tls_established
    return not is_asked_for and client.sockname[1] in PORTS


def _is_let_in(flow: http.HTTPFlow) -> bool:
    """Whether mitmproxy's proxyauth has seen a password of somebody."""
    return "proxyauth" in flow.metadata and ctx.options.proxyauth != _ANYBODY


def _too_long(request: http.Request) -> Reply | None:
    length = request.headers.get("content-length", "0" if request.method != "POST" else "")
    if not length.isdecimal():
        return text_reply(411, "say how long the request is: content-length")
    if int(length) > LONGEST_ACTION:
        return text_reply(413, f"an action has {LONGEST_ACTION} bytes at most")
    return None


def _parted(request: http.Request) -> tuple[str, Mapping[str, list[str]]]:
    path, _, query = request.path.partition("?")
    try:
        return path, parse_qs(query, max_num_fields=20)
    except ValueError:
        return path, {}


def _lower(headers: http.Headers) -> Mapping[str, str]:
    return {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in headers.fields}


def _response(reply: Reply) -> http.Response:
    return http.Response.make(reply.status, reply.body, reply.headers)
