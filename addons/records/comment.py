"""What is written into a flow for a reader of the inspector."""

from collections.abc import Iterator, Sequence

from addons.records.record import Record, failed_hooks
from rewrite.targets.target import Target
from rewrite.values.events import Summary


def sentences(record: Record, summary: Summary, dropped: Sequence[str]) -> Iterator[str]:
    for label, why in record.skipped.items():
        yield f"{label} cannot be asked: {why}"
    yield from failed_hooks(record)
    for one in summary.attempts:
        at = one.at - summary.began
        where = f" at {record.targets[one.target].label}" if len(record.targets) > 1 else ""
        yield f"attempt {one.number}{where} with {one.credential}: {one.outcome.label} after {at:.2f} s"
        if one.reason:
            yield one.reason
    yield f"{summary.end}: {summary.detail}" if summary.detail else summary.end
    if summary.first_token is not None:
        yield f"first token after {summary.first_token:.2f} s"
    if summary.estimated:
        yield "the output token count of the closing frame is an estimate"
    if record.targets:
        yield from _lost(record.targets[summary.target], dropped)


def _lost(target: Target, dropped: Sequence[str]) -> Iterator[str]:
    for loss in target.losses:
        yield f"not sent to {target.label}: {loss.field}: {loss.why}"
    if dropped:
        yield f"headers not sent to {target.label}: {', '.join(dropped)}"
