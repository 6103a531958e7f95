"""Media in requests and answers: `data:` addresses and what they hold, and what base64 text is of."""

import re
from collections.abc import Mapping

_DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*?;base64,(?P<data>.*)", re.DOTALL)

_IMAGES: Mapping[str, str] = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""How base64 text of an image begins: what it is, is not said."""


def data_url(media_type: str, data: str) -> str:
    """`data` (base64 text) as an address."""
    return f"data:{media_type};base64,{data}"


def from_data_url(url: str) -> tuple[str, str] | None:
    """Media type (empty where unsaid) and base64 text of a `data:` address; None for any other address."""
    found = _DATA_URL.fullmatch(url)
    return (found["type"], found["data"]) if found else None


def image_type(data: str) -> str:
    """The media type of an image (base64 text), empty where it is none of the usual ones."""
    return next((kind for opening, kind in _IMAGES.items() if data.startswith(opening)), "")
