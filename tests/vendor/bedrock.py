"""Answers of Amazon Bedrock, in AWS's framing, and the signature that a request to it has to have: written
and worked out here, by AWS's documents alone."""

import hashlib
import hmac
import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit
from zlib import crc32

from tests.vendor.http1 import Received
from tests.vendor.script import Reply, Step, streamed, whole

KIND = "application/vnd.amazon.eventstream"
_TEXT = 7


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of a stream."""
    fields = b"".join(_text(name) + bytes([_TEXT]) + _text(value, 2) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(fields) + len(payload), len(fields))
    head = prelude + struct.pack(">I", crc32(prelude)) + fields + payload
    return head + struct.pack(">I", crc32(head))


def _text(value: str, size: int = 1) -> bytes:
    """After its length, of `size` bytes."""
    data = value.encode()
    return len(data).to_bytes(size, "big") + data


def chunk(event: bytes) -> bytes:
    """A server-sent event of Messages as Bedrock has it."""
    (data,) = [line[6:] for line in event.splitlines() if line.startswith(b"data: ")]
    payload = json.dumps({"bytes": b64encode(data).decode(), "p": "abcdefg"}).encode()
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return message(headers, payload)


def exception(name: str, text: str) -> bytes:
    """An exception in the middle of a stream."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": text}).encode())


def bedrock_stream(events: Iterable[bytes], *ending: Step) -> Reply:
    """Of the server-sent events of Messages, each as a chunk."""
    return streamed([chunk(event) for event in events], *ending, kind=KIND)


def bedrock_error(status: int, name: str, text: str) -> Reply:
    headers = (("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)
    return whole(json.dumps({"message": text}).encode(), status, headers)


def is_signed(received: Received, host: str, access: str, secret: str, region: str, token: str = "") -> bool:
    """Whether a request has the signature of that key (AWS Signature Version 4), over its body and at least
    its host and its date."""
    scheme, _, stated = (received.header("authorization") or "").partition(" ")
    said = dict(part.strip().split("=", 1) for part in stated.split(","))
    date = received.header("x-amz-date") or ""
    scope = f"{date[:8]}/{region}/bedrock/aws4_request"
    names = said["SignedHeaders"].split(";")
    values = {name: " ".join((received.header(name) or "").split()) for name in names}
    url = urlsplit(received.target)
    asked = "\n".join(
        [
            received.method,
            quote(url.path, safe="/-_.~"),
            url.query,
            *(f"{name}:{values[name]}" for name in names),
            "",
            said["SignedHeaders"],
            hashlib.sha256(received.body).hexdigest(),
        ]
    )
    digest = hashlib.sha256(asked.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"
    expected = hmac.new(_key(secret, date[:8], region), text.encode(), hashlib.sha256).hexdigest()
    return (
        scheme == "AWS4-HMAC-SHA256"
        and said["Credential"] == f"{access}/{scope}"
        and {"host", "x-amz-date"} <= set(names)
        and values["host"] == host
        and (received.header("x-amz-security-token") or "") == token
        and said["Signature"] == expected
    )


def _key(secret: str, day: str, region: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, "bedrock", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
