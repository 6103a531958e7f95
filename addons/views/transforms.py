"""The content view "Transforms": what the passes of a traced call made of its request and its answer."""

from collections.abc import Callable
from pathlib import Path

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from addons.records.folders import size_of
from addons.records.record import record_of
from addons.records.trace_reading import NoTrace, Pass, Trace, find, opened, read
from addons.secrets.redaction import fault
from addons.views.as_sent import NEVER
from rewrite.views.passes_text import Shown, passes_text

LARGEST = 16 << 20
"""Bytes of a trace that are read."""

_NO_CALL = "This flow is no call that is over: there is nothing to show.\n"
_NOT_TRACED = """\
There is no trace of call {call} in {folder}.

To see what becomes of a request and its answer, step by step, trace the next calls: give the
command `rotator.trace 5`, and ask again. Or set `directory` in [trace] of the config, or
`trace = true` in a route.
"""
_TOO_LARGE = "The trace of this call is too large to be shown here: `rotator trace show {call}` reads it.\n"


class Transforms(Contentview):
    """Only for who asks for it."""

    name = "Transforms"
    syntax_highlight: SyntaxHighlight = "none"

    def __init__(self, folder: Callable[[], Path]) -> None:
        """`folder`: where traces go now."""
        self._folder = folder

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        return NEVER

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Never raises."""
        flow = metadata.flow
        record = record_of(flow) if isinstance(flow, http.HTTPFlow) else {}
        call = str(record.get("call") or record.get("of_call") or "")
        try:
            return self._text(call) if call else _NO_CALL
        except NoTrace:
            return _NOT_TRACED.format(call=call, folder=self._folder())
        except Exception as error:  # noqa: BLE001  # a fault of ours, which costs the reader this view alone
            return f"This cannot be shown ({fault(error)}).\n"

    def _text(self, call: str) -> str:
        folder = find(self._folder(), call)
        if size_of(folder) > LARGEST:
            return _TOO_LARGE.format(call=call)
        trace = read(folder)
        return passes_text([_shown(trace, one) for one in trace.passes])


def _shown(trace: Trace, one: Pass) -> Shown:
    attempt = f"attempt {one.attempt}, " if one.attempt else ""
    asked = f"{one.asked} with {one.credential}" if one.credential else one.asked
    title = f"({one.direction}, {attempt}{asked}, {one.protocol})"
    return Shown(one.name, title, one.direction, one.changed, opened(_data(trace, one)))


def _data(trace: Trace, one: Pass) -> object:
    try:
        return trace.data(one)
    except (OSError, ValueError) as error:
        return f"[its file cannot be read: {error}]"
