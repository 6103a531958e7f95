"""How the body of an answer of ours is framed, which other add-ons may not change: it comes as its provider
sends it, whatever length they put into the head, and a client would take the remainder for the next answer.
"""

from dataclasses import dataclass

from mitmproxy import http

_FIELDS = frozenset({b"content-length", b"transfer-encoding"})
_LAST_INTERIM, _WITHOUT_BODY = 199, frozenset({204, 205, 304})

type _Field = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Framing:
    """Of `response` as it was."""

    response: http.Response
    status: int
    fields: tuple[_Field, ...]

    @classmethod
    def of(cls, response: http.Response) -> "Framing":
        return cls(response, response.status_code, tuple(filter(_frames, response.headers.fields)))

    def restored(self, edited: http.Response | None) -> http.Response:
        """What other add-ons made of it, with the framing it had; as it was if they took it away."""
        response = edited or self.response
        others = [each for each in response.headers.fields if not _frames(each)]
        if tuple(filter(_frames, response.headers.fields)) != self.fields:
            response.headers = http.Headers((*others, *self.fields))
        if _has_body(self.status) != _has_body(response.status_code):
            response.status_code = self.status
        return response


def _frames(field: _Field) -> bool:
    return field[0].lower() in _FIELDS


def _has_body(status: int) -> bool:
    return status > _LAST_INTERIM and status not in _WITHOUT_BODY
