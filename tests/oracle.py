"""An acceptor for stream grammars that knows nothing of this project: it comes with the recorded streams."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

NAMED = os.environ.get("ROTATOR_RECORDED", "")
GRAMMAR = Path(NAMED).parent / "grammar.py"

type Judge = Callable[[bytes], dict[str, Any]]

OTHER_NAMES: Mapping[str, str] = {"gemini_generate": "gemini", "ollama_chat": "ollama"}
"""What the judges and the recorded folders call a protocol, where it is not its name."""


@cache
def judges() -> Mapping[str, Judge]:
    """Judges of whole streams by the protocol's name; skips where there are none.

    A judgement has `terminal` (it ended by its grammar), `error` (what it said of one) and `violations`.
    """
    if not NAMED or not GRAMMAR.is_file():
        pytest.skip(
            "no grammar.py beside the folder that ROTATOR_RECORDED names: nothing to judge streams by"
        )
    spec = importlib.util.spec_from_file_location("grammar", GRAMMAR)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Mapping[str, Judge] = module.P
    return {**found, **{ours: found[theirs] for ours, theirs in OTHER_NAMES.items()}}


def protocol_of(file: Path) -> str:
    """The name of the protocol that a recorded answer is of."""
    ours = {theirs: ours for ours, theirs in OTHER_NAMES.items()}
    return ours.get(file.parent.name, file.parent.name)


def recorded(protocol: str, pattern: str) -> list[Any]:
    """The recorded answers of a protocol as parameters of a test: none where its streams have another suffix,
    one that skips where there are no recorded streams at all."""
    folder = Path(NAMED) / OTHER_NAMES.get(protocol, protocol)
    if not NAMED or not folder.is_dir():
        reason = "ROTATOR_RECORDED names no folder of recorded streams"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none recorded")]
    files = sorted(file for file in folder.glob(pattern) if not file.name.endswith(".meta.json"))
    return [pytest.param(file, id=f"{protocol}/{file.name}") for file in files]
