"""A call whose record is kept, the record, and who called: plain data in its flow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mitmproxy import http
from mitmproxy.flow import Flow

from protocols.model.call import Call
from rewrite.catalog.routes import Rule
from rewrite.records.passes import CallTrace
from rewrite.targets.target import Target
from rewrite.usage.entry import CallEntry
from rewrite.values.decision import Ended
from rewrite.values.events import Summary

KEY = "rotator"
"""Where a flow's record is in `flow.metadata`: small plain data, since it is copied and saved."""

_USER = "proxyauth"
"""Where mitmproxy has the name and the password of who called, if it asks for them."""


@dataclass(frozen=True, slots=True)
class Record:
    """A call whose record is kept."""

    flow: http.HTTPFlow
    """In which its record is."""
    call: Call
    """As it is planned."""
    provider: str
    """The name of the provider that the client called."""
    targets: Sequence[Target]
    """Those that can be asked, in order."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """By target, why it cannot be asked."""
    rule: Rule | None = None
    """The route that fits it."""
    trace: CallTrace | None = None
    """None: the call is not traced."""


def record_of(flow: http.HTTPFlow) -> dict[str, Any]:
    """What is recorded of a flow; nothing where another add-on, or a file, has put something else."""
    record = flow.metadata.get(KEY)
    return record if isinstance(record, dict) else {}


def user_of(flow: Flow) -> str:
    """The name. Empty: the proxy asks for none."""
    match flow.metadata.get(_USER):
        case (str(user), *_):
            return user
    return ""


def forget_password(flow: Flow) -> None:
    """Metadata are shown, and saved with the flow. mitmproxy itself remembers the connection."""
    if user := user_of(flow):
        flow.metadata[_USER] = user, ""


def same_user(flow: Flow, other: Flow) -> None:
    """`flow` is a part of `other`."""
    if _USER in other.metadata:
        flow.metadata[_USER] = other.metadata[_USER]


def recorded(record: Record, summary: Summary, dropped: Sequence[str]) -> dict[str, Any]:
    """What happened to a call, as plain data. `dropped`: the client's headers that were not sent."""
    call, usage = record.call, summary.progress.usage
    return {
        "call": call.id,
        "provider": record.targets[summary.target].provider.name if record.targets else record.provider,
        "protocol": call.protocol,
        "operation": call.operation.value,
        "model": call.model,
        "served": _named_model(summary),
        "stream": call.stream,
        "end": summary.end,
        "truncated": summary.end == "truncated",
        "detail": summary.detail,
        "status": summary.status,
        "seconds": round(summary.seconds, 3),
        "first_token": None if summary.first_token is None else round(summary.first_token, 3),
        "tokens_in": usage.input if usage else None,
        "tokens_out": usage.output if usage else None,
        "usage_estimated": summary.estimated,
        "attempts": [_attempt(one, record, summary.began) for one in summary.attempts],
        **({"user": user} if (user := user_of(record.flow)) else {}),
        **_routed(record, summary, dropped),
    }


def counted(entry: CallEntry) -> dict[str, Any]:
    """What the entry of a call adds to its record."""
    found: dict[str, Any] = {"verdict": entry.verdict.value}
    if tokens := entry.tokens:
        written = tokens.cache_write + tokens.cache_write_1h
        classes = {"cache_read": tokens.cache_read, "cache_write": written, "reasoning": tokens.reasoning}
        found |= {name: count for name, count in classes.items() if count}
        if entry.estimated:
            found |= {"tokens_in": tokens.prompt, "tokens_out": tokens.output, "usage_estimated": True}
    if entry.cost is not None:
        found |= {"cost": round(entry.cost, 8), "cost_source": entry.cost_source}
    return found


def _named_model(summary: Summary) -> str | None:
    """The model that answered, as its provider names it. Translated answers name another."""
    named = [one.served for one in summary.attempts if one.given and one.served]
    if named:
        return named[-1]
    head = summary.progress.head
    return head.model if head else None


def _routed(record: Record, summary: Summary, dropped: Sequence[str]) -> dict[str, object]:
    """What is recorded only where a call went elsewhere, or in another form, than its client asked."""
    found: dict[str, object] = {}
    if record.skipped:
        found["skipped"] = dict(record.skipped)
    if failed := failed_hooks(record):
        found["hooks_failed"] = failed
    if record.targets:
        target = record.targets[summary.target]
        asked = target.provider.name, target.protocol.name, target.call.model
        if asked != (record.provider, record.call.protocol, record.call.model):
            found["target"] = f"{target.label} {target.protocol.name}"
        if target.call.model != record.call.model:
            found["asked"] = target.call.model
        if target.losses:
            found["losses"] = [f"{loss.field}: {loss.why}" for loss in target.losses]
        if dropped:
            found["headers_dropped"] = dropped
    return found


def failed_hooks(record: Record) -> list[str]:
    """What became of code of the providers' own that read answers."""
    return [why for target in record.targets if target.hooks for why in target.hooks.failures.values()]


def _attempt(one: Ended, record: Record, began: float) -> dict[str, object]:
    several = len(record.targets) > 1
    return {
        "attempt": one.number,
        **({"target": record.targets[one.target].label} if several else {}),
        "credential": one.credential,
        "outcome": one.outcome.label,
        "ended": round(one.at - began, 3),
        **({"reason": one.reason} if one.reason else {}),
        **({"asked_last": list(one.asked_last)} if one.asked_last else {}),
    }
