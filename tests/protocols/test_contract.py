"""Every protocol that the registry finds keeps the contract."""

import inspect
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import WireProtocol
from protocols.model.errors import Fault
from tests import contract, oracle
from tests.contract import PROTOCOLS, REGISTRY, Ended, Sample, editable, parent, samples, streams
from tests.examples import share

GARBAGE = [
    b"\x00\xff\xfe\n\n",
    b"data: {\n\n",
    b"data: null\n\n",
    b"data: []\n\n",
    b'data: "text"\n\n',
    b"data:\n\n",
    b"data: {}\n\n",
    b'event: brand_new\ndata: {"type": "brand_new", "index": "x"}\n\n',
    b'data: {"type": 7, "choices": {"0": 1}, "delta": [], "usage": "much", "error": null}\n\n',
    b'data: {"type": "message_start", "message": [1], "choices": [1, null, {"delta": "x"}]}\n\n',
    b'data: {"type": "content_block_delta", "index": null, "delta": {"text": 7}, "error": [1]}\n\n',
    b'data: {"type": "content_block_start", "content_block": 3, "index": "z"}\n\n',
    b'data: {"choices": [{"index": "z", "delta": {"tool_calls": [{"index": [], "function": 3}]}}]}\n\n',
    b'{"error": {"code": true, "message": null}}',
    b'{"choices": [{"finish_reason": {}}], "usage": [], "content": 3, "stop_reason": []}',
    b"<html>busy</html>",
    b"[1, 2]",
    b'{"message": 3, "done": "x"}\n{"message": {"tool_calls": [{"function": []}, 1]}, "done": true}\n',
    b'{"message": {"content": {}, "thinking": 1}, "done": false, "eval_count": "z"}\n{"error": {}}\n{\n',
    b'{"models": [1], "embeddings": {}}',
    b'[{"candidates": [1, {"content": {"parts": [{"functionCall": {"args": 1}}, {}]}}]},\r\nnull, [',
    b'[}, "\\',
]

each_protocol = pytest.mark.parametrize("protocol", tuple(REGISTRY), ids=lambda protocol: protocol.name)
each_sample = pytest.mark.parametrize("sample", samples(of=REGISTRY), ids=str)
each_editable = pytest.mark.parametrize("sample", editable(REGISTRY), ids=str)
each_stream = pytest.mark.parametrize("sample", streams(REGISTRY), ids=str)


@pytest.fixture(scope="module")
def judges() -> Mapping[str, oracle.Judge]:
    return oracle.judges()


def judge_of(sample: Sample, judges: Mapping[str, oracle.Judge]) -> oracle.Judge:
    name = parent(sample.protocol).name
    return judges[name] if name in judges else pytest.skip(f"nobody judges streams of {name}")


def test_protocols_are_found() -> None:
    assert {"openai_chat", "anthropic_messages", "ollama_chat"} <= {protocol.name for protocol in PROTOCOLS}


@each_protocol
def test_has_its_fixtures(protocol: WireProtocol) -> None:
    contract.has_its_fixtures(protocol)


ROLES = {
    "request_read",
    "request_write",
    "answer_read",
    "answer_write",
    "aggregate",
    "prune",
    "continue_request",
    "retarget",
    "error_words",
    "losses",
}
"""Files of a protocol with all facets, where it is a package. Those beside them begin like the role that they
belong to, but for what both ways need."""


FILES = [Path(inspect.getfile(type(protocol))) for protocol in PROTOCOLS if protocol.editor]


@pytest.mark.parametrize(
    "package", [file.parent for file in FILES if file.name == "__init__.py"], ids=lambda one: one.name
)
def test_a_package_names_its_files_by_their_roles(package: Path) -> None:
    assert {file.stem for file in package.glob("*.py")} >= ROLES


@each_sample
def test_passes_untouched(sample: Sample) -> None:
    contract.passes_untouched(sample)


@each_sample
def test_frames_alike_however_cut(sample: Sample) -> None:
    contract.frames_alike_however_cut(sample)


@each_stream
def test_drops_half_a_frame(sample: Sample) -> None:
    contract.drops_half_a_frame(sample)


@each_sample
def test_keeps_what_is_not_framed(sample: Sample) -> None:
    contract.keeps_what_is_not_framed(sample)


@each_protocol
@pytest.mark.parametrize("garbage", GARBAGE)
def test_reads_anything(protocol: WireProtocol, garbage: bytes) -> None:
    contract.reads_anything(protocol, garbage)


@each_protocol
@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, "rate_limit_exceeded", "every key is rate-limited", 12.0),
        Fault(502, "unreachable", 'no answer: café \u2028 "quoted"', should_retry=False),
        Fault(504, "timeout", "the provider sent no answer"),
        Fault(503, "overloaded", "the provider rests", 30.0),
        Fault(400, "invalid_request", "no"),
        Fault(500, "a kind that nobody knows", "no"),
    ],
    ids=lambda fault: fault.kind,
)
def test_writes_errors(protocol: WireProtocol, fault: Fault) -> None:
    contract.writes_errors(protocol, fault)


@each_protocol
def test_says_when_to_ask_again(protocol: WireProtocol) -> None:
    contract.says_when_to_ask_again(protocol)


@each_stream
def test_beats_without_harm(sample: Sample) -> None:
    contract.heartbeats_do_no_harm(sample)


@each_stream
def test_reads_its_own_closing(sample: Sample) -> None:
    contract.reads_its_own_closing(sample)


@each_stream
def test_reads_its_own_error(sample: Sample) -> None:
    contract.reads_its_own_error(sample)


@each_editable
def test_prunes_calls(sample: Sample) -> None:
    contract.prunes_calls(sample)


@each_editable
def test_continues_where_it_was_cut(sample: Sample, judges: Mapping[str, oracle.Judge]) -> None:
    """At every place inside a text; and a judge finds no seam."""
    for place in contract.places_inside_text(sample):
        assert_it_adds_no_seam(sample, contract.continues_where_it_was_cut(sample, place), judges)


def test_every_protocol_has_a_text_that_can_be_cut() -> None:
    able = {one.protocol.name for one in editable() if contract.places_inside_text(one)}
    assert able == {protocol.name for protocol in PROTOCOLS if protocol.editor}


RECORDED = [
    each
    for text in editable()
    if text.name.startswith("text.") and not text.array
    for each in oracle.recorded(text.protocol.name, f"*{Path(text.name).suffix}")
]


@pytest.mark.parametrize("file", RECORDED)
def test_a_recorded_stream_continues_where_it_was_cut(file: Path, judges: Mapping[str, oracle.Judge]) -> None:
    (protocol,) = (one for one in PROTOCOLS if one.name == oracle.protocol_of(file))
    sample = Sample(protocol, file.name, file.read_bytes())
    places = contract.places_inside_text(sample)
    if not places:
        pytest.skip("it has no text to cut")

    @share(5)
    @given(st.sampled_from(places))
    def cut(place: int) -> None:
        assert_it_adds_no_seam(sample, contract.continues_where_it_was_cut(sample, place), judges)

    cut()


def assert_it_adds_no_seam(
    sample: Sample, found: contract.Resumed, judges: Mapping[str, oracle.Judge]
) -> None:
    """A provider may break the grammar itself."""
    judge = judge_of(sample, judges)
    own = [] if sample.array else judge(contract.as_events(sample, sample.data))["violations"]
    judgement = judge(contract.as_events(sample, found.sent + found.resumed))
    assert judgement["terminal"] or found.whole.error or not found.whole.complete
    assert {words(each) for each in judgement["violations"]} <= {words(each) for each in own}


def words(violation: str) -> str:
    """Without the number of the event: the rest of a stream has others."""
    return violation.partition(" @")[0]


@each_stream
def test_what_it_closes_is_accepted(sample: Sample, judges: Mapping[str, oracle.Judge]) -> None:
    judge = judge_of(sample, judges)
    for one in contract.closed(sample):
        judgement = judge(contract.as_events(sample, one.data))
        assert judgement["terminal"], judgement
        assert_it_adds_no_violation(sample, one, judge)


@each_stream
def test_what_lacks_nothing_is_closed_by_nothing(sample: Sample) -> None:
    """No parts, no bytes: whoever has none to add need not ask."""
    so_far = contract.progress(contract.parts(sample.protocol, sample.head, [sample.data]))
    assert sample.protocol.encoder(sample.call).close((), so_far) == b""


@each_stream
def test_the_errors_that_it_adds_are_accepted(sample: Sample, judges: Mapping[str, oracle.Judge]) -> None:
    judge = judge_of(sample, judges)
    for one in contract.failed(sample):
        error = judge(contract.as_events(sample, one.data))["error"]
        assert (error["message"] if isinstance(error, dict) else error) == "it was cut"
        assert_it_adds_no_violation(sample, one, judge)


def assert_it_adds_no_violation(sample: Sample, one: Ended, judge: oracle.Judge) -> None:
    """A provider may break the grammar itself: an array has none before it is closed, so that its items
    are not looked at twice."""
    own = [] if sample.array else judge(contract.as_events(sample, one.sent))["violations"]
    found = judge(contract.as_events(sample, one.data))["violations"]
    assert found == own
