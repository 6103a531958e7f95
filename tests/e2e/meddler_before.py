"""A careless add-on, loaded before rotator. `?meddle=`, or the header of that name, says what it does."""

from mitmproxy import http
from mitmproxy.proxy.layer import NextLayer


def asked_for(flow: http.HTTPFlow) -> str:
    return str(flow.request.query.get("meddle") or flow.request.headers.get("meddle", ""))


class Before:
    """Its exceptions keep the scripts after it from their hooks."""

    def next_layer(self, nextlayer: NextLayer) -> None:
        address = nextlayer.context.server.address
        if address and address[0] == "raising.test":
            raise LookupError("in next_layer")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        match asked_for(flow):
            case "raise":
                raise LookupError("in requestheaders")
            case "raise-and-stream":
                flow.request.stream = True
                raise LookupError("in requestheaders")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if asked_for(flow) == "raise-on-answer":
            raise LookupError("in responseheaders")

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        if asked_for(flow) == "raise-on-message":
            raise LookupError("in websocket_message")


addons = [Before()]
