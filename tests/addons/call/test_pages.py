"""Which requests are a web page's."""

import pytest
from mitmproxy import http

from addons.call.pages import UNNAMED, page_of


def request(**headers: str) -> http.Request:
    made = http.Request.make("GET", "https://api.openai.com/v1/x")
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize(
    ("origin", "page"),
    [
        ("https://page.example", "https://page.example"),
        ("null", "null"),
        ("http://api.openai.com", "http://api.openai.com"),
        ("https://api.openai.com:8443", "https://api.openai.com:8443"),
        ("https://api.openai.com:port", "https://api.openai.com:port"),
        ("chrome-extension://abc", "chrome-extension://abc"),
        ("https://API.openai.com", ""),
        ("https://api.openai.com:443", ""),
    ],
)
def test_an_origin_names_a_page(origin: str, page: str) -> None:
    assert page_of(request(origin=origin)) == page


@pytest.mark.parametrize(
    ("site", "page"),
    [("cross-site", UNNAMED), ("Same-Site", UNNAMED), ("same-origin", ""), ("none", ""), ("", "")],
)
def test_without_one_the_browser_tells_at_least_that_there_is_a_page(site: str, page: str) -> None:
    """An image or a script of a page is asked for without an Origin."""
    assert page_of(request(sec_fetch_site=site)) == page


def test_without_either_there_is_no_page() -> None:
    assert page_of(request()) == ""
