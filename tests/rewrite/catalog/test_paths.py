"""Paths as servers may read them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewrite.catalog.paths import fits, is_normal, normalised


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/files",
        "/V1/Files/",
        "/v1/files/a%20b",
        "/v1beta/models/m%3AcountTokens",
        "/v1/fine_tuning/jobs/ft:gpt-4o:org::id",
        "/v1/caf%C3%A9/~x/.well-known/a..b/...",
    ],
)
def test_paths_that_mean_one_thing(path: str) -> None:
    assert is_normal(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1//files",
        "//v1",
        "/v1/./x",
        "/v1/../x",
        "/v1/..",
        "/v1/.",
        "/v1/x\\y",
        "/v1;a/x",
        "/v1/%6frganization",
        "/v1/%2e%2E/x",
        "/v1/x%2Fy",
        "/v1/x%5cy",
        "/v1/%252e/x",
        "/v1/x%00",
        "/v1/x%0a",
        "/v1/x%3fy",
        "/v1/x%23y",
        "/v1/x%c0%afy",
        "/v1/x%",
        "/v1/x%zz",
    ],
)
def test_paths_that_may_mean_another(path: str) -> None:
    assert not is_normal(path)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/organization/users",
        "/V1/Organization/Users/",
        "//v1//organization/users",
        "/v1/x/../organization/./users",
        "/v1/%6Frganization/users",
        "/v1/%256frganization%2Fusers",
        "/v1\\organization;a=b/users",
    ],
)
def test_a_path_is_known_however_it_is_written(path: str) -> None:
    assert normalised(path) == "/v1/organization/users"
    assert fits(path, ["/v1/Organization*"])
    assert fits("/gateway" + path, ["/v1/organization*"], "/gateway")
    assert not fits(path, ["/v1/me", "/v1/organization"])


@given(st.text(min_size=1, max_size=20))
def test_any_text_is_a_path(text: str) -> None:
    """Nothing raises, and what is normal and all in small letters is read as it is written."""
    path = "/" + text
    assert normalised(path).startswith("/")
    if is_normal(path) and "%" not in path and path == path.lower():
        assert normalised(path) == "/" + text.strip("/")


@given(st.text("ab ", min_size=1, max_size=9))
def test_what_has_to_be_encoded_is_normal(text: str) -> None:
    assert is_normal("/" + quote(text))
