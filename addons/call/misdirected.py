"""Clients that reach the proxy in a wrong way, and what they see where they look for it: a tool whose base
URL is the proxy, a browser that opens it, a page that would steer it, a client that does not trust it.

Internals of mitmproxy 12.2 that this file leans on, to be checked at an upgrade: the error of a connection to
a client that hung up in its handshake is "connection closed".
"""

from mitmproxy import http, options
from mitmproxy.tls import TlsData

from addons.config.listening import paste_line, paste_lines
from addons.mitm.messages import response_of
from protocols.base import WireProtocol
from protocols.model.errors import Fault
from protocols.registry import Registry

LONGEST_MEMORY = 1_000

_BASE_URLS = {
    "openai_chat": "OPENAI_BASE_URL",
    "openai_responses": "OPENAI_BASE_URL",
    "anthropic_messages": "ANTHROPIC_BASE_URL",
    "gemini_generate": "GOOGLE_GEMINI_BASE_URL",
    "ollama_chat": "OLLAMA_HOST",
}
"""The variables that SDKs read their base URL from, by the protocol that they speak."""

_SILENT = "connection closed"
"""The error of mitmproxy's TLS where the client hung up without an alert, as some do that do not trust us."""


# -- the proxy's own address ------------------------------------------------------------------------------


def own_address(request: http.Request, registry: Registry, opts: options.Options) -> http.Response:
    """The answer to a request for the proxy itself: a 403 that says what it is and what to set."""
    here = f"{request.pretty_host}:{request.port}"
    if "text/html" in request.headers.get("accept", ""):
        return _forbidden(_page(request.pretty_host, request.port, opts))
    protocol = _spoken(request, registry)
    named = _BASE_URLS.get(protocol.name if protocol else "", "OPENAI_BASE_URL, ANTHROPIC_BASE_URL, ...")
    message = (
        f"{here} is the proxy rotator itself, not a provider: unset your tool's base URL ({named}) and set "
        f"HTTPS_PROXY=http://{here} in its place, with the other lines that the proxy printed at its start"
    )
    if protocol is None:
        return _forbidden(f"{message}.\n")
    return response_of(protocol.error(Fault(403, "forbidden", message, should_retry=False)))


def _spoken(request: http.Request, registry: Registry) -> WireProtocol | None:
    path = request.path.partition("?")[0]
    return next((each for each in registry if each.match(request.method, path)), None)


def _page(host: str, port: int, opts: options.Options) -> str:
    web = f"http://{opts.web_host}:{opts.web_port}/" if "web_port" in opts else ""
    where = (
        f"Its calls are shown at {web}; the terminal has that address with its token. "
        f"What it does now is at {web}rotator."
        if web
        else "A page that shows its calls comes with scripts/start --web.\nWhat it does now is at "
        "http://rotator.local/ for a browser that goes through it: "
        f"chromium --proxy-server=http://{host}:{port} http://rotator.local/"
    )
    return (
        f"{host}:{port} is rotator, a proxy for LLM tools. There is no page here.\n{where}\n\n"
        f"{paste_lines(opts, port, host)}\n"
    )


def _forbidden(text: str) -> http.Response:
    return http.Response.make(403, text, {"content-type": "text/plain; charset=utf-8"})


# -- trust ------------------------------------------------------------------------------------------------


class Distrust:
    """Reports once for each client and host that a client does not trust us."""

    def __init__(self) -> None:
        self._reported: dict[tuple[str, str], None] = {}
        self._trusting: dict[tuple[str, str], None] = {}

    def established(self, data: TlsData) -> None:
        """A client that trusts us may hang up without an alert for other reasons."""
        _remember(self._trusting, _who(data))

    def failed(self, data: TlsData, opts: options.Options, port: int) -> str:
        """The log line for a handshake that came to nothing; "" if there is none."""
        who, error = _who(data), data.conn.error or ""
        silent = error == _SILENT
        if who in self._reported or (silent and who in self._trusting):
            return ""
        _remember(self._reported, who)
        client, host = who
        if data.context.server.address is None:
            return (
                f"the client at {client} speaks TLS to the proxy itself, and does not trust it: begin "
                "HTTPS_PROXY with http://, not with https://"
            )
        does = "hung up on" if silent else "refused"
        return (
            f"the client at {client} {does} this proxy's certificate for {host}: it does not trust our "
            f"authority{', most likely' if silent else ''}; paste where it runs: "
            + paste_line(opts, port, data.context.client.sockname[0])
        )


def _who(data: TlsData) -> tuple[str, str]:
    peer = data.context.client.peername
    address = data.context.server.address
    return peer[0], data.conn.sni or (address[0] if address else "")


def _remember(known: dict[tuple[str, str], None], who: tuple[str, str]) -> None:
    if len(known) >= LONGEST_MEMORY:
        del known[next(iter(known))]
    known[who] = None
