"""Media in a request: `data:` addresses and what they hold."""

import re

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)


def data_url(media_type: str, data: str) -> str:
    """`data` (base64 text) as an address."""
    return f"data:{media_type};base64,{data}"


def from_data_url(url: str) -> tuple[str, str] | None:
    """Media type (empty where unsaid) and base64 text of a `data:` address; None for any other address."""
    found = _DATA_URL.fullmatch(url)
    return (found["type"], found["data"]) if found else None
