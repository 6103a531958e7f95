"""Files of traces: where, for whom, and what must not be in them."""

import json
import logging
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import tflow
from pydantic import SecretStr

from addons.records.journal import KEY, Record
from addons.records.trace import Traces
from addons.secrets.redaction import REDACTED, Redactor
from protocols import anthropic_messages
from protocols.model.call import Call, Operation, Rendered
from protocols.model.http import Head, WireResponse
from protocols.model.parts import BlockDelta, BlockKind, BlockStart, BlockStop
from protocols.model.progress import Progress
from protocols.model.wirejson import dump
from rewrite.catalog.providers import Provider
from rewrite.catalog.routes import Match, Rule, RuleTarget
from rewrite.records.rendering import LARGEST_BODY
from rewrite.translation.translate import Loss
from rewrite.values.decision import Ended
from rewrite.values.events import Summary
from rewrite.values.outcome import Completed, Kind, Rejected
from tests.rewrite.scenes import own

SECRET = "the-secret/of a pool"
CALL = Call("c0ffee", "openai_chat", Operation.GENERATE, "gpt-4o", True, (), session="s-1")
SENT = replace(CALL, headers=(("X-Stainless-OS", "Linux"),))
OPENAI = Provider("openai", "https://api.openai.com", (), ("openai_chat",))
GATEWAY = Provider("anthropic", "https://gateway.test/anthropic", (), ("anthropic_messages",))
OWN = own(CALL, provider=OPENAI)
OTHER = own(
    replace(CALL, model="claude"),
    anthropic_messages.PROTOCOL,
    provider=GATEWAY,
    original=False,
    losses=[Loss("seed", "is not there")],
    rendered=Rendered("/v1/messages", {"model": "claude"}),
)
SUMMARY = Summary(
    "completed",
    "",
    (Ended(1, "one", Completed(), 12.0, sent=10.5),),
    Progress(),
    10.0,
    2.0,
    status=200,
    head=Head(200, (("content-type", "text/event-stream"),)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "traces"


@pytest.fixture
def traces(folder: Path) -> Traces:
    traces = Traces(Redactor())
    traces.configure(folder)
    return traces


@pytest.fixture
def flow() -> http.HTTPFlow:
    flow = tflow.tflow()
    body = b'{"model":"gpt-4o","seed":7}'
    flow.request = http.Request.make("POST", "https://api.openai.com/v1/chat/completions", body)
    flow.request.headers.update({"user-agent": "tool/1", "cookie": "a=b"})
    flow.metadata[KEY] = {"client_credential": "abcdef"}
    return flow


def record_of(flow: http.HTTPFlow, **changed: Any) -> Record:
    return replace(Record(flow, CALL, "openai", [OWN], rule=Rule()), **changed)


def written(traces: Traces, folder: Path, record: Record, summary: Summary = SUMMARY) -> dict[str, Any]:
    """The one trace that comes of a call."""
    before = set(folder.glob("*")) if folder.exists() else set()
    traces.write(record, summary, [SecretStr(SECRET)])
    (file,) = set(folder.glob("*")) - before
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


def test_a_file_is_its_users_alone_and_named_by_time_and_call(
    traces: Traces, folder: Path, flow: http.HTTPFlow
) -> None:
    written(traces, folder, record_of(flow))
    (file,) = folder.iterdir()
    assert file.match("[0-9]" * 8 + "T" + "[0-9]" * 6 + ".*Z-c0ffee.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_folder_nothing_is_written(traces: Traces, folder: Path, flow: http.HTTPFlow) -> None:
    traces.configure(None)
    traces.write(record_of(flow), SUMMARY, [])
    assert not folder.parent.exists()


def test_a_call_and_its_client_are_recorded(traces: Traces, folder: Path, flow: http.HTTPFlow) -> None:
    document = written(traces, folder, record_of(flow))
    assert document["call"] == {
        "id": "c0ffee",
        "provider": "openai",
        "protocol": "openai_chat",
        "operation": "generate",
        "model": "gpt-4o",
        "stream": True,
        "session": True,
    }
    assert document["client"]["body"] == {"model": "gpt-4o", "seed": 7}
    assert document["client"]["headers"][-2:] == [["user-agent", "tool/1"], ["cookie", REDACTED]]
    assert (document["client"]["credential"], document["client"]["method"]) == ("abcdef", "POST")
    assert document["attempts"][0]["request"] == {
        "method": "POST",
        "url": "https://api.openai.com/v1/chat/completions",
    }
    assert document["answer"]["headers"] == [["content-type", "text/event-stream"]]
    assert "rule" not in document


def test_where_it_went_is_recorded(traces: Traces, folder: Path, flow: http.HTTPFlow) -> None:
    rule = Rule(Match(model="gpt-*"), (RuleTarget("openai"), RuleTarget("anthropic", "claude")))
    record = record_of(flow, call=SENT, targets=[OWN, OTHER], rule=rule, skipped={"gemini/g": "n: no"})
    rejected = Ended(1, "one", Rejected(429, Kind.RATE), 10.5)
    summary = replace(SUMMARY, attempts=(rejected, Ended(2, "two", Completed(), 12.0, 1)), target=1)
    document = written(traces, folder, record, summary)
    assert document["rule"] == {"match": {"model": "gpt-*"}, "to": ["openai", "anthropic/claude"]}
    assert document["targets"][1] == {
        "target": "anthropic/claude",
        "protocol": "anthropic_messages",
        "losses": [{"field": "seed", "why": "is not there"}],
        "headers_dropped": ["x-stainless-os"],
    }
    assert document["skipped"] == {"gemini/g": "n: no"}
    assert [one["target"] for one in document["attempts"]] == ["openai/gpt-4o", "anthropic/claude"]
    assert document["attempts"][1]["request"] == {
        "method": "POST",
        "url": "https://gateway.test/anthropic/v1/messages",
        "body": {"model": "claude"},
    }


def test_a_call_that_nobody_was_asked_about_is_recorded(
    traces: Traces, folder: Path, flow: http.HTTPFlow
) -> None:
    summary = Summary("refused", "nobody can", (), Progress(), 0.0, 0.0, status=400, body=b'{"error":"no"}')
    document = written(traces, folder, record_of(flow, targets=(), skipped={"gemini/g": "n: no"}), summary)
    assert (document["targets"], document["attempts"]) == ([], [])
    assert document["answer"]["body"] == {"error": "no"}


# -- never a key --------------------------------------------------------------------------------------


def parts(*texts: str, kind: BlockKind = BlockKind.TEXT) -> Progress:
    progress = Progress()
    deltas = [BlockDelta(0, 0, kind, text) for text in texts]
    progress.fold([BlockStart(0, 0, kind, "id", "f"), *deltas, BlockStop(0, 0)])
    return progress


@pytest.mark.parametrize(
    "summary",
    [
        replace(SUMMARY, detail=f"said {SECRET}"),
        replace(SUMMARY, body=dump({"error": SECRET})),
        replace(SUMMARY, body=dump({SECRET: 1})),
        replace(SUMMARY, body=b"not JSON: " + SECRET.encode()),
        replace(SUMMARY, body=dump([SECRET]).replace(b"/", b"\\/")),
        replace(SUMMARY, head=Head(200, (("x-you-are", SECRET),))),
        replace(SUMMARY, progress=parts("You are ", SECRET[:5], SECRET[5:])),
        replace(SUMMARY, progress=parts('{"a":"', SECRET.replace("/", "\\/"), '"}', kind=BlockKind.TOOL)),
        replace(
            SUMMARY,
            attempts=(
                Ended(
                    1,
                    "one",
                    Rejected(401, Kind.AUTH, SECRET, None, WireResponse(401, (), dump({"e": SECRET}))),
                    11.0,
                ),
            ),
        ),
    ],
)
def test_no_secret_of_an_answer_is_written(
    traces: Traces, folder: Path, flow: http.HTTPFlow, summary: Summary
) -> None:
    document = written(traces, folder, record_of(flow), summary)
    assert SECRET not in str(document)
    assert SECRET not in next(folder.iterdir()).read_text().replace("\\/", "/")
    assert REDACTED in str(document["answer"]) + str(document["attempts"])


def test_no_secret_of_a_request_is_written(traces: Traces, folder: Path, flow: http.HTTPFlow) -> None:
    flow.request.content = dump({"messages": [{"role": "user", "content": f"is {SECRET} right?"}]})
    flow.request.headers["x-mine"] = SECRET
    flow.request.path += "?trace=1&key=of-somebody-else"
    rendered = Rendered("/v1/messages", {"messages": [f"is {SECRET} right?"]})
    document = written(traces, folder, record_of(flow, targets=[replace(OTHER, rendered=rendered)]))
    assert not [word for word in (SECRET, "of-somebody-else") if word in str(document)]
    assert str(document).count(REDACTED) == 5, "cookie, query, header, two bodies"


def test_a_long_body_is_cut_after_its_secrets(traces: Traces, folder: Path, flow: http.HTTPFlow) -> None:
    """No half of one is left at the cut."""
    flow.request.content = dump("a" * (LARGEST_BODY - 5) + SECRET + "b" * 99)
    document = written(traces, folder, record_of(flow))
    assert document["client"]["body"]["cut"].startswith(f"the first {LARGEST_BODY} of ")
    assert SECRET[:3] not in document["client"]["body"]["text"][-20:]
    assert document["call"]["id"] == "c0ffee"


@pytest.mark.parametrize("levels", [101, 500, 980, 100_000])
def test_what_is_nested_too_deep_to_look_into_is_a_text(
    traces: Traces, folder: Path, flow: http.HTTPFlow, levels: int
) -> None:
    flow.request.content = b"[" * levels + dump(SECRET) + b"]" * levels
    document = written(traces, folder, record_of(flow))
    assert document["client"]["body"] == "[" * levels + f'"{REDACTED}"' + "]" * levels
    assert SECRET not in document["client"]["body"]


# -- what cannot be written -----------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to_is_reported_once(
    traces: Traces, tmp_path: Path, folder: Path, flow: http.HTTPFlow, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    for _ in range(2):
        traces.configure(blocked / "traces")
        traces.write(record_of(flow), SUMMARY, [])
        traces.write(record_of(flow), SUMMARY, [])
    traces.configure(blocked)
    traces.write(record_of(flow), SUMMARY, [])
    assert [each.levelno for each in caplog.records] == [logging.WARNING] * 2
    assert caplog.messages[0].startswith(f"trace.directory: {blocked / 'traces'}: cannot be written (")
    traces.configure(folder)
    assert written(traces, folder, record_of(flow))


def test_half_a_file_is_not_left_behind(
    traces: Traces, folder: Path, flow: http.HTTPFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    traces.write(record_of(flow), SUMMARY, [])
    assert list(folder.iterdir()) == []
