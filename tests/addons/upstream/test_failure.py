"""Which failures cost nothing, since nothing was sent."""

import pytest

from addons.upstream.failure import Cause, CauseKind

BEFORE = {CauseKind.CONNECT, CauseKind.REFUSED, CauseKind.TLS, CauseKind.DNS, CauseKind.TIMEOUT}


@pytest.mark.parametrize("kind", CauseKind)
def test_whether_there_was_a_connection(kind: CauseKind) -> None:
    assert Cause(kind, "").connected is (kind not in BEFORE)


@pytest.mark.parametrize("kind", CauseKind)
def test_whether_a_person_has_to_act(kind: CauseKind) -> None:
    assert Cause(kind, "").is_lasting is (kind is CauseKind.REFUSED)
