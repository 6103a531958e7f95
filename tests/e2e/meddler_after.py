"""An add-on that is loaded after rotator and has the last word. The query or header `meddle` says on what."""

from mitmproxy import addonmanager, ctx, http


def asked_for(flow: http.HTTPFlow) -> str:
    return str(flow.request.query.get("meddle") or flow.request.headers.get("meddle", ""))


class After:
    """Has the last word in every hook."""

    def load(self, loader: addonmanager.Loader) -> None:
        loader.add_option("neighbour_port", int, 0, "Where the neighbour's host is.")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        match asked_for(flow):
            case "stream":
                flow.request.stream = True
            case "unanswer":
                flow.response = None
            case "to-a-call":
                flow.request.path = flow.request.path.replace("/v1/files", "/v1/chat/completions")

    def request(self, flow: http.HTTPFlow) -> None:
        match asked_for(flow):
            case "away":
                flow.request.host, flow.request.port = "127.0.0.1", ctx.options.neighbour_port
                flow.request.scheme = "http"
            case "here":
                flow.request.host, flow.request.port, flow.request.scheme = "api.openai.com", 443, "https"
            case "to-another":
                flow.request.host = "api.anthropic.com"
            case "edit":
                flow.request.text = (flow.request.text or "").replace("before", "after")

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if asked_for(flow) == "stream-answer":
            assert flow.response
            flow.response.stream = lambda data: data


addons = [After()]
