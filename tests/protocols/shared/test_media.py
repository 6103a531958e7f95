"""Addresses that hold what they are of."""

import pytest

from protocols.shared.media import data_url, from_data_url


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("data:text/plain;charset=utf-8;base64,SGk=", ("text/plain", "SGk=")),
        ("data:;base64,AAAA", ("", "AAAA")),
        ("data:image/png;base64,", ("image/png", "")),
        ("data:image/png;base64,AA\nAA", ("image/png", "AA\nAA")),
        ("data:image/png,AAAA", None),
        ("https://example.com/data:image/png;base64,AAAA", None),
        ("", None),
    ],
)
def test_an_address_is_read(url: str, found: tuple[str, str] | None) -> None:
    assert from_data_url(url) == found


def test_an_address_that_is_written_is_read_again() -> None:
    assert from_data_url(data_url("audio/wav", "UklGRg==")) == ("audio/wav", "UklGRg==")
