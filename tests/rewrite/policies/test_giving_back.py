"""The provider's own words, given back."""

import pytest

from protocols.model.http import Headers
from rewrite.policies.giving_back import given_back
from rewrite.values.outcome import Kind, Rejected
from tests.rewrite.histories import STALLED, history, rejected

WAITS: Headers = (("Retry-After", "200"), ("x-id", "1"), ("retry-after-ms", "200000"))
WITHOUT: Headers = (("x-id", "1"),)


def said(status: int, wait: float | None = 200.0, kind: Kind = Kind.SERVER) -> Rejected:
    return rejected(kind, status, wait, headers=WAITS)


def headers(one: Rejected, *, pooled: bool = True, attempts: int = 1) -> Headers:
    earlier = [("a", STALLED)] * (attempts - 1)
    answer = given_back(one, history(*earlier, ("a", one), pooled=pooled))
    assert answer
    assert (answer.status, answer.body) == (one.status, b"no")
    return answer.headers


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_long_wait_is_taken_out_after_attempts_of_ours(status: int) -> None:
    assert headers(said(status)) == WITHOUT
    assert headers(said(status), pooled=False, attempts=2) == WITHOUT


@pytest.mark.parametrize("status", [429, 503])
def test_a_client_with_its_own_key_that_was_asked_once_gets_every_word(status: int) -> None:
    assert headers(said(status), pooled=False) == WAITS


@pytest.mark.parametrize("wait", [None, 0.0, 7.0, 60.0])
def test_a_short_wait_stays(wait: float | None) -> None:
    assert headers(said(503, wait)) == WAITS


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 408, 409, 413, 422])
def test_another_answer_is_never_touched(status: int) -> None:
    assert headers(said(status, kind=Kind.QUOTA), attempts=2) == WAITS


def test_what_was_not_worded_cannot_be_given_back() -> None:
    in_band = Rejected(500, Kind.SERVER, "busy")
    assert given_back(in_band, history(("a", in_band))) is None
