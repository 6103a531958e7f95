"""What other add-ons may make of a head whose body is under way."""

import pytest
from mitmproxy import http

from addons.mitm.framing import Framing

CHUNKED = {"x-id": "1", "transfer-encoding": "chunked"}


def answer(status: int = 200, headers: dict[str, str] | None = None) -> http.Response:
    response = http.Response.make(status, b"", {})
    response.headers = http.Headers([(k.encode(), v.encode()) for k, v in (headers or CHUNKED).items()])
    return response


def test_an_edit_of_other_headers_and_of_the_status_stays() -> None:
    head = answer()
    framing = Framing.of(head)
    head.headers["x-id"], head.status_code = "2", 403
    assert framing.restored(head) is head
    assert (head.status_code, list(head.headers.fields)) == (
        403,
        [(b"x-id", b"2"), (b"transfer-encoding", b"chunked")],
    )


@pytest.mark.parametrize(
    "edited",
    [{"Content-Length": "5"}, {"content-length": "5", **CHUNKED}, {"Transfer-Encoding": "gzip, chunked"}, {}],
)
def test_the_framing_is_as_it_was(edited: dict[str, str]) -> None:
    found = Framing.of(answer()).restored(answer(403, {"x-new": "1", **edited}))
    assert found.status_code == 403
    assert found.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in found.headers
    assert found.headers["x-new"] == "1"


def test_none_stays_none() -> None:
    found = Framing.of(answer(headers={"x-id": "1"})).restored(answer(403, {"content-length": "5"}))
    assert list(found.headers.fields) == []


@pytest.mark.parametrize("status", [101, 204, 205, 304])
def test_a_body_stays_one(status: int) -> None:
    assert Framing.of(answer()).restored(answer(status)).status_code == 200
    assert Framing.of(answer(status)).restored(answer()).status_code == status


def test_what_was_taken_away_is_back() -> None:
    head = answer()
    assert Framing.of(head).restored(None) is head
