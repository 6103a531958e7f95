"""What is said of a call, made of its record: a line in the log, as `key=value` pairs or in columns for a
reader, and the comment that an inspector shows beside it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# -- logfmt -------------------------------------------------------------------------------------------

_KEYS = (
    "call",
    "provider",
    "target",
    "operation",
    "model",
    "status",
    "end",
    "detail",
    "truncated",
    "first_token",
    "seconds",
    "tokens_in",
    "tokens_out",
    "cache_read",
    "cache_write",
    "cost",
    "cost_source",
    "verdict",
    "user",
)


def logfmt(record: Mapping[str, Any]) -> str:
    """`key=value` pairs, values with spaces in quotes, in which two backslashes are one."""
    pairs = [
        f"{key}={logfmt_value(value) if type(value) in _WRITTEN else value}"
        for key in _KEYS
        if (value := record.get(key)) is not None and value != ""
    ]
    if record.get("usage_estimated"):
        pairs.append("estimated=yes")
    if losses := record.get("losses"):
        pairs.append(f"lost={logfmt_value(','.join(_fields(losses)))}")
    if skipped := record.get("skipped"):
        pairs.append(
            f"skipped={logfmt_value('; '.join([f'{label}: {why}' for label, why in skipped.items()]))}"
        )
    if attempts := record["attempts"]:
        pairs.append(f"attempts={logfmt_value(' '.join([_named(one) for one in attempts]))}")
    return " ".join(pairs)


def _named(attempt: Mapping[str, str]) -> str:
    where = f"{attempt['target']}/" if "target" in attempt else ""
    return f"{where}{attempt['credential']}:{attempt['outcome']}"


def _fields(losses: Sequence[str]) -> list[str]:
    return [loss.partition(":")[0] for loss in losses]


_BACKSLASH = "\\"


def logfmt_value(value: object) -> object:
    """As it stands after `key=`."""
    if type(value) is str:
        text = value.replace('"', "'")
        return f'"{text.replace(_BACKSLASH, _BACKSLASH * 2)}"' if " " in text else text
    return _YES[value] if isinstance(value, bool) else value


_YES = {True: "yes", False: "no"}
_WRITTEN = (str, bool)
"""What `logfmt_value` writes in its own way."""

# -- columns ------------------------------------------------------------------------------------------

VERDICT = 9
"""Characters of the column that a line begins with."""

_MODEL, _CREDENTIAL = 26, 20
_ERRORS = 400
"""The first status that is one of an error."""

_ANSWERED = frozenset({"ok", "retried", "spare", "fallback"})
"""Verdicts of calls of which there is nothing more to say than what their attempts say."""


def columns(record: Mapping[str, Any]) -> str:
    """Verdict, model, credential, seconds to the first token and in all, tokens in and out, cost; then what
    happened, if anything did. The columns are 88 characters wide, and longer names are shortened."""
    shown = (
        f"{record['verdict']:<{VERDICT}} {_model(record):<{_MODEL}} {_credentials(record):<{_CREDENTIAL}} "
        f"{_times(record):>10} {tokens(record):>11} {_cost(record.get('cost')):>7}"
    )
    return f"{shown}  {'; '.join(_happened(record))}".rstrip()


def shortened(name: str, longest: int) -> str:
    """`name` without as much of its middle as it takes."""
    if len(name) <= longest:
        return name
    head = (longest - 2) // 2
    return f"{name[:head]}..{name[len(name) - (longest - 2 - head) :]}"


def _model(record: Mapping[str, Any]) -> str:
    """What was asked for; with `>` and the model, or the provider, that it ended at if it is another."""
    asked = record.get("model") or record["operation"]
    provider, _, model = record.get("target", "").partition(" ")[0].partition("/")
    return (
        _both(asked, model if model != asked else provider, _MODEL) if provider else shortened(asked, _MODEL)
    )


def _credentials(record: Mapping[str, Any]) -> str:
    """The one that was asked first, and with `>` the last one if it is another."""
    attempts = record["attempts"]
    if not attempts:
        return "-"
    first, last = attempts[0]["credential"], attempts[-1]["credential"]
    return shortened(first, _CREDENTIAL) if first == last else _both(first, last, _CREDENTIAL)


def _both(first: str, last: str, longest: int) -> str:
    """`first>last`. What `last` begins with like `first` is left out where both would be too long."""
    if len(first) + 1 + len(last) > longest:
        last = last[_begun_alike(first, last) :]
    half = max((longest - 1) // 2, longest - 1 - len(last))
    first = shortened(first, half)
    return f"{first}>{shortened(last, longest - 1 - len(first))}"


def _begun_alike(first: str, last: str) -> int:
    """How long the whole words are that both begin with: `A_KEY_1` and `A_KEY_2` with `A_KEY_`."""
    alike = 0
    for at, (one, other) in enumerate(zip(first, last, strict=False), 1):
        if one != other:
            break
        if not one.isalnum():
            alike = at
    return alike


def _times(record: Mapping[str, Any]) -> str:
    whole, first = _seconds(record["seconds"]), record.get("first_token")
    return f"{whole}s" if first is None else f"{_seconds(first)}/{whole}s"


def _seconds(seconds: float) -> str:
    """In three digits, or more where they are needed."""
    if seconds < 10:
        return f"{seconds:.2f}"
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"


def tokens(record: Mapping[str, Any]) -> str:
    """`in>out`, such as 12k>850; `~` before what is estimated. Empty: nothing is known."""
    used, made = record.get("tokens_in"), record.get("tokens_out")
    if used is None and made is None:
        return ""
    return f"{amount(used)}>{'~' if record.get('usage_estimated') else ''}{amount(made)}"


def amount(number: int | None) -> str:
    """A count in few characters, such as 1.2k; `?` for None."""
    if number is None:
        return "?"
    for size, unit in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 10 * size else f"{number // size}{unit}"
    return str(number)


def dollars(cost: float) -> str:
    return f"${cost:.4f}" if cost < 1 else f"${cost:.2f}"


def _cost(cost: float | None) -> str:
    return "" if cost is None else dollars(cost)


def _happened(record: Mapping[str, Any]) -> Iterator[str]:
    if record["operation"] != "generate" and record.get("model"):
        yield record["operation"]
    yield from _failed(record["attempts"])
    if record["verdict"] not in _ANSWERED and (said := _ended(record)):
        yield said
    for label, why in record.get("skipped", {}).items():
        yield f"skipped {label}: {why}"
    if user := record.get("user"):
        yield f"user {user}"
    if losses := record.get("losses"):
        yield f"lost {', '.join(_fields(losses))}"


def _ended(record: Mapping[str, Any]) -> str:
    """The status, if it is one of an error, and the message."""
    status = record.get("status") or 0
    return f"{status} {record['detail']}".rstrip() if status >= _ERRORS else record["detail"]


def _failed(attempts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Each attempt that came to nothing, and how often it came to the same."""
    found: dict[str, int] = {}
    for one in attempts:
        if one["outcome"] != "completed":
            said = f"{one['credential']} {plain(one['outcome'])}"
            found[said] = found.get(said, 0) + 1
    for said, times in found.items():
        yield f"{said} x{times}" if times > 1 else said


def plain(outcome: str) -> str:
    """`rejected(429 rate)` is 429 rate, and `stalled(first_token 30.0s)` is stalled: first_token 30.0s."""
    kind, _, detail = outcome.removesuffix(")").partition("(")
    if kind == "rejected" or not detail:
        return detail or kind
    return f"{kind}: {detail}"


# -- comment ------------------------------------------------------------------------------------------

BETWEEN = "\n· "
"""Between sentences: where an inspector shows a line break as a space, the mark still parts them."""

VERDICT_OF_COMMENT = 18
"""Characters in which a comment has said the verdict, how many attempts it took, and the tokens."""


_KEY_REFUSED = " auth)"
"""How the outcome of an attempt ends whose key the provider refused."""

_OWN = "client"
"""How records name the key that a call came with."""


def comment(record: Mapping[str, Any]) -> str:
    """The verdict, then a sentence for each thing."""
    return BETWEEN.join([_verdict(record), *_sentences(record)])


def _verdict(record: Mapping[str, Any]) -> str:
    attempts = len(record["attempts"])
    verdict = f"{record['verdict']} x{attempts}" if attempts > 1 else str(record["verdict"])
    used = tokens(record)
    said = f"{verdict} {used}".rstrip()
    return said if len(said) <= VERDICT_OF_COMMENT else f"{verdict} >{used.partition('>')[2]}"


def _sentences(record: Mapping[str, Any]) -> Iterator[str]:
    for label, why in record.get("skipped", {}).items():
        yield f"{label} cannot be asked: {why}"
    yield from record.get("hooks_failed", ())
    for one in record["attempts"]:
        where = f" at {one['target']}" if "target" in one else ""
        asked = f"attempt {one['attempt']}{where} with {one['credential']}"
        yield f"{asked}: {one['outcome']} after {one['ended']:.2f} s"
        if one["outcome"].endswith(_KEY_REFUSED):
            key = "the tool's own key" if one["credential"] == _OWN else one["credential"]
            yield f"the provider refuses {key}: check it"
        if reason := one.get("reason"):
            yield reason
    if record["detail"]:
        yield f"{record['end']}: {record['detail']}"
    elif record["end"] != "completed":
        yield record["end"]
    yield from _counted(record)
    yield from _lost(record)


def _counted(record: Mapping[str, Any]) -> Iterator[str]:
    if record["first_token"] is not None:
        yield f"first token after {record['first_token']:.2f} s"
    if (cost := record.get("cost")) is not None:
        yield f"{dollars(cost)}, by {_SOURCES.get(record['cost_source'], record['cost_source'])}"
    if record["usage_estimated"]:
        yield "the counts of tokens are estimates, since the provider gave none"


_SOURCES = {"provider": "the provider", "prices": "list prices", "own": "your prices"}
"""By `CallEntry.cost_source`."""


def _lost(record: Mapping[str, Any]) -> Iterator[str]:
    losses, dropped = record.get("losses", ()), record.get("headers_dropped", ())
    if losses or dropped:
        label = record.get("target", "").partition(" ")[0] or f"{record['provider']}/{record['model']}"
        yield from (f"not sent to {label}: {loss}" for loss in losses)
        if dropped:
            yield f"headers not sent to {label}: {', '.join(dropped)}"
