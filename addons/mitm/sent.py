"""What a client has got of a response, by which an edit that came too late is taken back."""

from dataclasses import dataclass, field

from mitmproxy import http

_NOT_SENT = "an edit of the answer was taken back: it had been streamed to the client already"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client has got of a response."""

    status: int
    reason: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    content: bytes | None
    response: http.Response = field(compare=False)

    @classmethod
    def of(cls, response: http.Response) -> "Sent":
        data = response.data
        return cls(data.status_code, data.reason, data.headers.fields, data.content, response)

    def write(self, flow: http.HTTPFlow) -> None:
        """Into the response of `flow`, whatever took its place."""
        data = self.response.data
        data.status_code, data.reason, data.content = self.status, self.reason, self.content
        data.headers = http.Headers(self.fields)
        flow.response = self.response
        flow.comment = "\n".join(filter(None, (flow.comment, _NOT_SENT)))
