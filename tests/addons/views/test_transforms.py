"""The view "Transforms": of a traced call what became of it, of any other how to trace one."""

from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.contentviews import Metadata
from mitmproxy.test import tflow

from addons.config.tracing import Tracing
from addons.records.trace import Traces
from addons.secrets.redaction import Redactor
from addons.views import transforms
from addons.views.transforms import Transforms
from rewrite.catalog.routes import Rule
from rewrite.records.passes import Asked, CallTrace, Direction, Stage


def flow(**record: object) -> http.HTTPFlow:
    made = tflow.tflow()
    made.metadata["rotator"] = record
    return made


def write(root: Path, call: str) -> None:
    written = Traces(Redactor(), lambda: 1_728_000_000.0)
    written.configure(Tracing(root), root)
    sink = written.begin(call, Rule(), list)
    assert sink is not None
    trace = CallTrace(sink, call, Asked("openai_chat", "openai", "gpt-5"), 0.0, 1_728_000_000.0)
    for name, body in (("raw_request", '{"n": 1}'), ("sent_request", '{"n": 2}')):
        request = {"method": "POST", "headers": [["host", "a"]], "body": body}
        trace.note(name, Direction.REQUEST, Stage.CLIENT, request, changed=True)
    trace.close()
    written.close()


@pytest.mark.parametrize("record", [{"call": "c0ffee"}, {"of_call": "c0ffee", "attempt": 1}])
def test_a_traced_call(tmp_path: Path, record: dict[str, object]) -> None:
    write(tmp_path, "c0ffee")
    view, metadata = Transforms(lambda: tmp_path), Metadata(flow(**record))
    text = view.prettify(b"", metadata)
    assert text.startswith("raw_request  (request, openai/gpt-5, openai_chat)\n")
    assert '    -   "n": 1\n    +   "n": 2\n' in text
    assert view.render_priority(b"", metadata) < 0


def test_what_is_not_traced_says_how_to_trace(tmp_path: Path) -> None:
    text = Transforms(lambda: tmp_path).prettify(b"", Metadata(flow(call="c0ffee")))
    assert f"no trace of call c0ffee in {tmp_path}" in text
    assert "`rotator.trace 5`" in text
    assert "no call" in Transforms(lambda: tmp_path).prettify(b"", Metadata())


def test_a_trace_that_is_too_large_is_left_to_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "c0ffee")
    monkeypatch.setattr(transforms, "LARGEST", 10)
    text = Transforms(lambda: tmp_path).prettify(b"", Metadata(flow(call="c0ffee")))
    assert "rotator trace show c0ffee" in text
