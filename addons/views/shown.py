"""What is added to mitmweb and mitmproxy: content views, the column that says what came of a call, and flows
that no client sent."""

from collections.abc import Callable
from pathlib import Path

from mitmproxy import contentviews, ctx, http
from mitmproxy.options import Options

from addons.secrets.redaction import Redactor
from addons.views.about import Flows, Recognised
from addons.views.as_sent import AsSent
from addons.views.llm import LLM
from addons.views.sent import SentRequests
from addons.views.transforms import Transforms
from addons.views.websocket import Messages
from protocols.registry import Registry

COLUMNS = ("icon", "path", "status", "comment", "size", "time")
"""Of mitmweb's list: what came of a call stands beside its status."""

_COLUMNS = "web_columns"


class Views:
    """One for each add-on."""

    def __init__(
        self,
        registry: Registry,
        recognised: Recognised,
        requests: SentRequests,
        redactor: Redactor,
        traces: Callable[[], Path],
    ) -> None:
        """`recognised`: what is known of a flow that passes just now; `traces`: where traces go now."""
        llm = LLM(Flows(registry, recognised), Messages(registry))
        others = AsSent(requests, redactor), Transforms(traces)
        self._views: tuple[contentviews.Contentview, ...] = (llm, *others)

    def install(self, opts: Options) -> None:
        """At load."""
        for view in self._views:
            contentviews.add(view)
        show_columns(opts)


def show_columns(opts: Options) -> None:
    """Those of ours, unless the user chose some. mitmproxy and mitmdump have none."""
    if _COLUMNS in opts and getattr(opts, _COLUMNS) == opts.default(_COLUMNS):
        opts.update(**{_COLUMNS: list(COLUMNS)})  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def is_listed() -> bool:
    """Whether flows are in a list, as in mitmweb and mitmproxy."""
    return ctx.master.addons.get("view") is not None  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def show(made: http.HTTPFlow) -> None:
    """A flow that no client sent, as it is now."""
    if view := ctx.master.addons.get("view"):  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        view.add([made])
        view.update([made])


def save(made: http.HTTPFlow) -> None:
    """Where flows are written to a file, it is written too."""
    ctx.master.addons.get("save").response(made)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
