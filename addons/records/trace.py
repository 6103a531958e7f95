"""The traces of calls: with `[trace] directory` each call leaves one file of JSON there, fit for its user
alone: what the client asked, where that went and in which form, and what was answered."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mitmproxy import http
from pydantic import SecretStr

from addons.mitm.messages import bytes_of, for_client, headers_of
from addons.records.journal import Record, record_of
from addons.secrets.redaction import Redactor
from addons.upstream.encodings import beginning
from protocols.model.call import Call
from protocols.model.http import Headers
from protocols.model.wirejson import dump, given
from rewrite.catalog.routes import Rule
from rewrite.records.passes import Sink
from rewrite.records.rendering import Asked, Body, rendered_answer, rendered_attempts, rendered_headers
from rewrite.targets.target import Target
from rewrite.values.events import Summary

LONGEST_BODY = 64 << 20
"""Bytes that a compressed request is decoded to."""

log = logging.getLogger("rotator")
_PRIVATE_FOLDER = 0o700
_OURS_ALONE = 0o600
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class Traces:
    """Writes them; `redactor` sees every text. A folder that cannot be written to is reported once."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self.folder: Path | None = None
        """Where they go. None: none is written."""
        self._reported: set[Path] = set()

    def configure(self, folder: Path | None) -> None:
        """From now on into `folder`; None: no more."""
        self.folder = folder

    def begin(self, call: str, rule: Rule, secrets: Callable[[], Iterable[SecretStr]]) -> Sink | None:
        """Where the entries of a call go, which begins now and which `rule` fits; None: it is not traced.
        `call`: its id; `secrets`: those of the pool, and what its client sent for a key."""
        return None

    def write(self, record: Record, summary: Summary, secrets: Iterable[SecretStr]) -> None:
        """The file of a call that is over. `secrets` are those in use now, lest one was forgotten."""
        if self.folder is None:
            return
        self._redactor.learn(secrets)
        now = datetime.now(UTC)
        name = f"{now.strftime(_STAMP)}-{record.call.id}.json"
        trace = self._redactor.cleaned(dict(_trace(record, summary, now)))
        try:
            _write(self.folder, name, json.dumps(trace, indent=1, ensure_ascii=False).encode())
        except OSError as error:
            self._warn(self.folder, error)

    def _warn(self, folder: Path, error: OSError) -> None:
        if folder not in self._reported:
            self._reported.add(folder)
            log.warning(
                "trace.directory: %s: cannot be written (%s): calls leave no trace",
                folder,
                error.strerror,
            )


def _write(folder: Path, name: str, data: bytes) -> None:
    """Whole or not at all, for those who watch the folder."""
    folder.mkdir(_PRIVATE_FOLDER, parents=True, exist_ok=True)
    unfinished = folder / f".{name}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ALONE)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        unfinished.replace(folder / name)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise


# -- what is in one -------------------------------------------------------------------------------------


def _trace(record: Record, summary: Summary, now: datetime) -> Iterator[tuple[str, object]]:
    request = record.flow.request
    yield "call", _call(record.call, record.provider)
    yield "began", (now - timedelta(seconds=summary.seconds)).isoformat()
    yield "client", _client(record.flow)
    if record.rule not in (None, Rule()):
        yield "rule", _rule(record.rule)
    yield "targets", [_target(target, record.call.headers) for target in record.targets]
    yield "skipped", dict(record.skipped)
    yield "attempts", list(rendered_attempts(summary, [_asked(each, request) for each in record.targets]))
    yield "answer", rendered_answer(_as_given(summary))


def _as_given(summary: Summary) -> Summary:
    head = summary.head
    return replace(summary, head=replace(head, headers=for_client(head.headers))) if head else summary


def _call(call: Call, provider: str) -> Mapping[str, object]:
    return {
        "id": call.id,
        "provider": provider,
        "protocol": call.protocol,
        "operation": call.operation.value,
        "model": call.model,
        "stream": call.stream,
        "session": call.session is not None,
    }


def _client(flow: http.HTTPFlow) -> Mapping[str, object]:
    """The request as it came, but for its credential, of which there is the fingerprint."""
    request = flow.request
    coding = request.headers.get("content-encoding", "")
    body = beginning(request.raw_content or b"", coding, LONGEST_BODY)
    return {
        "method": request.method,
        "url": request.pretty_url,
        "headers": rendered_headers(headers_of(request)),
        **given(credential=record_of(flow).get("client_credential")),
        **given(body=Body(body) if body else None),
    }


def _rule(rule: Rule) -> Mapping[str, object]:
    match = rule.match
    globs = {name: getattr(match, name) or None for name in ("model", "provider", "protocol", "path")}
    to = [f"{one.provider}/{one.model}" if one.model else one.provider for one in rule.to]
    return given(
        match=given(**globs, headers=dict(match.headers) or None),
        to=to or None,
        protocol=rule.protocol or None,
        adapters=[adapter.name for adapter in rule.adapters] or None,
        on_truncation=rule.on_truncation.value if rule.on_truncation else None,
    )


def _target(target: Target, sent: Headers) -> Mapping[str, object]:
    return {
        "target": target.label,
        "protocol": target.protocol.name,
        "losses": [{"field": loss.field, "why": loss.why} for loss in target.losses],
        "headers_dropped": target.dropped(sent),
    }


def _asked(target: Target, request: http.Request) -> Asked:
    rendered = target.rendered
    path = rendered.path if rendered else request.path
    url = target.origin.url(bytes_of(path))
    return Asked(
        target.label, request.method, url, dump(rendered.body) if rendered and rendered.body else None
    )
