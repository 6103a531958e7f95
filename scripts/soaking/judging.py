"""Whether what a client got is an answer of its protocol, whole and honest to the last byte."""

import json
from collections.abc import Callable, Mapping

import pytest

from protocols.model.http import Head
from protocols.model.parts import BlockDelta, BlockKind, Opaque
from protocols.registry import discover
from scripts.soaking.faults import TEXTS
from tests import contract
from tests.oracle import Judge, judges
from tests.vendor.speech import SPEECHES

type Check = Callable[[str, int, bytes], str]
"""Of a protocol's name, a status and a body: what is wrong with them, "" for nothing."""

_EXPECTED = frozenset({429, 500, 502, 503, 504, 529})
_PROTOCOLS = {protocol.name: protocol for protocol in discover()}


def checker() -> tuple[Check, str]:
    """The check, and by what it judges: our own decoders, and the grammars beside the recorded streams."""
    try:
        found = judges()
    except pytest.skip.Exception as missing:
        return _checker({}), f"the protocols' own decoders alone ({missing.msg})"
    return _checker(found), "an independent grammar and the protocols' own decoders"


def _checker(grammars: Mapping[str, Judge]) -> Check:
    def check(protocol: str, status: int, body: bytes) -> str:
        if status != 200:
            return _refusal(protocol, status, body)
        return _decoded(protocol, body) or (_judged(grammars[protocol], body) if grammars else "")

    return check


def _refusal(protocol: str, status: int, body: bytes) -> str:
    if status not in _EXPECTED:
        return f"{status}: {body[:200]!r}"
    read_back = contract.progress(contract.parts(_PROTOCOLS[protocol], contract.JSON, [body]))
    return "" if read_back.error else f"{status} without an error of {protocol}: {body[:200]!r}"


def _decoded(protocol: str, body: bytes) -> str:
    head = Head(200, (("content-type", SPEECHES[protocol].kind),))
    target = contract.TARGETS["gemini_generate/*.sse"] if protocol == "gemini_generate" else ""
    known = _PROTOCOLS[protocol]
    parts = contract.parts(known, head, [body], contract.call(known, target=target))
    if any(isinstance(part, Opaque) for part in parts):
        return f"a frame that makes no sense in {body[-300:]!r}"
    text = "".join(
        part.text for part in parts if isinstance(part, BlockDelta) and part.kind is BlockKind.TEXT
    )
    if not any(said.startswith(text) for said in TEXTS):
        return f"not what the provider said: {text[-300:]!r}"
    seen = contract.progress(parts)
    return "" if seen.complete or seen.error else f"no end and no error in {body[-300:]!r}"


def _judged(grammar: Judge, body: bytes) -> str:
    found = grammar(body)
    if found["violations"]:
        return json.dumps(found["violations"][:3])
    return "" if found["terminal"] or found["error"] else f"the grammar sees no end in {body[-300:]!r}"
