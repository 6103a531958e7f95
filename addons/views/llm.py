"""The content view "LLM": what is asked and answered in a call, and what came of it."""

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata, SyntaxHighlight

from addons.mitm.messages import headers_of
from addons.records.record import record_of
from addons.secrets.redaction import fault
from addons.views.about import About, Flows
from addons.views.websocket import Messages
from protocols.model.call import Operation
from protocols.model.http import Head
from protocols.model.wirejson import is_crowded, load_object
from rewrite.views.answer_data import answer_data
from rewrite.views.call_data import call_data, verdict_line
from rewrite.views.content import readable
from rewrite.views.request_data import request_data
from rewrite.views.yaml_text import yaml_text

FIRST = 10.0
"""Above mitmproxy's own views, which say 1 or 2 of what they are for."""

NOT_OURS = -1.0

_NO_CALL = "# This is no call of a language model that rotator knows: see the views JSON and Raw.\n"
_CROWDED = "# This holds too many values to be shown here: see the view Raw.\n"
_NO_JSON = "# This is no JSON object: see the view Raw.\n"


class LLM(Contentview):
    """The default for calls."""

    name = "LLM"
    syntax_highlight: SyntaxHighlight = "yaml"

    def __init__(self, flows: Flows, messages: Messages) -> None:
        self._flows, self._messages = flows, messages

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        if metadata.websocket_message is not None:
            return FIRST if data and self._messages.are_ours(metadata.flow) else NOT_OURS
        known = data and metadata.http_message is not None and self._flows.ours(metadata.flow)
        return FIRST if known else NOT_OURS

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Never raises: what cannot be read is said, and is there to be seen in another view."""
        try:
            return self._text(data, metadata)
        except Exception as error:  # noqa: BLE001  # a fault of ours, which costs the reader this view alone
            return f"# This cannot be shown ({fault(error)}): see the views JSON and Raw.\n"

    def _text(self, data: bytes, metadata: Metadata) -> str:
        if metadata.websocket_message is not None and isinstance(metadata.flow, http.HTTPFlow):
            said = self._messages.data(metadata.websocket_message, metadata.flow)
            return _NO_JSON if said is None else yaml_text(said)
        about, message = self._flows.any(metadata.flow), metadata.http_message
        if about is None or message is None:
            return _NO_CALL
        return (
            _response(about, message, data) if isinstance(message, http.Response) else _request(about, data)
        )


def _request(about: About, data: bytes) -> str:
    came = verdict_line(record_of(about.flow))
    head = yaml_text({"rotator": came}) if came else ""
    if is_crowded(data):
        return head + _CROWDED
    body = load_object(data)
    if body is None:
        return head + _NO_JSON
    call = about.call()
    return head + yaml_text(request_data(body, call.model or ""))


def _response(about: About, message: http.Response, data: bytes) -> str:
    record = call_data(record_of(about.flow))
    head = yaml_text({"rotator": record}) + "\n" if record else ""
    return head + yaml_text(_answer(about, message, data))


def _answer(about: About, message: http.Response, data: bytes) -> object:
    is_whole = about.operation is not Operation.GENERATE and not is_crowded(data)
    if is_whole and (body := load_object(data)) is not None:
        return readable(body)
    head = Head(message.status_code, headers_of(message))
    return answer_data(about.protocol.decoder(about.call(), head), data, message.status_code)
