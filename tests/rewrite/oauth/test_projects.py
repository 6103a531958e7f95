"""The project of a login of Code Assist: how it is asked for, and where calls name it."""

import json

import pytest

from protocols.model.http import WireResponse, header, parsed
from rewrite.oauth.projects import project_in, project_request, with_project


def test_it_is_asked_for_where_the_provider_is() -> None:
    request = project_request(parsed("https://mirror.test/base"), "the-token")
    assert (request.method, request.target) == ("POST", b"/base/v1internal:loadCodeAssist")
    assert header(request.headers, "authorization") == "Bearer the-token"
    assert json.loads(request.body)["metadata"]["pluginType"] == "GEMINI"


@pytest.mark.parametrize(
    ("status", "body", "project"),
    [
        (200, b'{"cloudaicompanionProject": "mine"}', "mine"),
        (200, b'{"cloudaicompanionProject": {"id": "mine"}}', "mine"),
        (200, b'{"currentTier": {}}', ""),
        (403, b'{"cloudaicompanionProject": "mine"}', ""),
        (200, b"<html>", ""),
    ],
)
def test_what_an_answer_names(status: int, body: bytes, project: str) -> None:
    assert project_in(WireResponse(status, (), body)) == project


def test_a_call_names_the_project_of_its_login() -> None:
    body = b'{"model": "m", "project": "theirs", "user_prompt_id": "u", "request": {"contents": []}}'
    named = json.loads(with_project(body, "mine"))
    assert named == {**json.loads(body), "project": "mine"}
    assert list(named) == list(json.loads(body))
    without = b'{"model": "m", "request": {"contents": []}}'
    assert json.loads(with_project(without, "mine"))["project"] == "mine"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "m", "project": "mine",  "request": {"contents": []}}',
        b'{"request": {"model": "models/m", "contents": []}}',
        b'{"contents": []}',
        b"not json",
        b"",
    ],
)
def test_other_bodies_stay_as_they_are(body: bytes) -> None:
    assert with_project(body, "mine") is body
