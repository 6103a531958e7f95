"""What is added to mitmweb and mitmproxy: content views, and the column that says what came of a call."""

from mitmproxy import contentviews
from mitmproxy.options import Options

from addons.views.about import Flows, Recognised
from addons.views.llm import LLM
from addons.views.websocket import Messages
from protocols.registry import Registry

COLUMNS = ("icon", "path", "status", "comment", "size", "time")
"""Of mitmweb's list: what came of a call stands beside its status."""

_COLUMNS = "web_columns"


class Views:
    """One for each add-on."""

    def __init__(self, registry: Registry, recognised: Recognised) -> None:
        """`recognised`: what is known of a flow that passes just now."""
        self._llm = LLM(Flows(registry, recognised), Messages(registry))

    def install(self, opts: Options) -> None:
        """At load."""
        contentviews.add(self._llm)
        show_columns(opts)


def show_columns(opts: Options) -> None:
    """Those of ours, unless the user chose some. mitmproxy and mitmdump have none."""
    if _COLUMNS in opts and getattr(opts, _COLUMNS) == opts.default(_COLUMNS):
        opts.update(**{_COLUMNS: list(COLUMNS)})  # type: ignore[no-untyped-call]  # mitmproxy has no types here
