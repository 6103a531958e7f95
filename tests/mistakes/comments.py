"""The comments of flows, as mitmweb shows them."""

from collections.abc import Sequence
from pathlib import Path

from mitmproxy import http
from mitmproxy.io import FlowReader

WATCHING = """
def update(flows):
    for each in flows:
        print("comment meanwhile:", each.comment, flush=True)
"""
"""An add-on that prints the comment of each flow that is shown again before it has ended."""


def saving(folder: Path) -> Sequence[str]:
    """Options of a proxy that saves its flows."""
    return ("-w", str(folder / "flows"))


def saved_comments(folder: Path) -> Sequence[str]:
    """Those of all flows of a proxy that has ended, in the order in which these did."""
    with (folder / "flows").open("rb") as file:
        return [flow.comment for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
