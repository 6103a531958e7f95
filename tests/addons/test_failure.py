"""Which failures cost nothing, since nothing was sent."""

import pytest

from addons.failure import Cause, CauseKind

BEFORE = {CauseKind.CONNECT, CauseKind.TLS, CauseKind.DNS, CauseKind.TIMEOUT}


@pytest.mark.parametrize("kind", CauseKind)
def test_whether_there_was_a_connection(kind: CauseKind) -> None:
    assert Cause(kind, "").connected is (kind not in BEFORE)
