"""The status of a proxy for a reader: its credentials, and the calls that are not over."""

import re
from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rotator.quantities import Data, duration, quota, scope_name

_READY = "ready"
_COLOURS = {_READY: "green", "limited": "yellow", "busy": "cyan", "refused": "red", "retired": "bright_black"}
_STATES = {"cooling": "limited", "full": "busy"}
"""What a reader understands without our documents."""
_NOT_USED = frozenset({"limited", "refused", "retired"})
_RESUME = (
    "to use a key again at once: rotator.resume PROVIDER NAME in mitmproxy or mitmweb, "
    "or http://rotator.local/ through the proxy"
)
_REFUSED = "was refused"
_SAID_BY_STATE = frozenset({"", "is rate-limited", "is retired"})
_AGAIN = re.compile(r"( and)? is tried again in \d+ s|^is tried again in \d+ s")
"""What the countdown says too."""

_CALL_COLOURS = {"waits": "yellow", "streams": "green", "asks": "cyan"}


def rendered(status: Data, where: str) -> Iterator[RenderableType]:
    """The whole page. `where`: the proxy's address."""
    yield Text.assemble(("rotator", "bold"), f" {status.get('version', '')} at {where}: {_counts(status)}")
    if store := status.get("store"):
        yield _store(store)
    providers = status.get("providers") or {}
    if providers:
        yield Text()
        yield from _credentials(providers)
        if any(
            _state(one) in _NOT_USED for each in providers.values() for one in each.get("credentials", ())
        ):
            yield Text(_RESUME, style="bright_black")
    else:
        yield Text("no keys of its own: the keys of your tools are used")
    if users := status.get("users"):
        yield Text()
        yield from map(_user, users)
    if calls := status.get("calls"):
        yield Text()
        yield _calls(calls)


def _counts(status: Data) -> str:
    calls, waiting = len(status.get("calls") or ()), status.get("waiting", 0)
    sessions = status.get("sessions", 0)
    in_line = f", {waiting} in line for a key" if waiting else ""
    return f"{_many(calls, 'call')} under way{in_line}, {_many(sessions, 'conversation')} in the last hour"


def _many(count: int, what: str, several: str = "") -> str:
    return f"{count} {what}" if count == 1 else f"{count} {several or f'{what}s'}"


def _store(store: Data) -> Text:
    """Whether other proxies know what this one does."""
    server = store.get("server", "")
    if store.get("is_up"):
        return Text(f"shared through {server} by {_many(store.get('proxies', 1), 'proxy', 'proxies')}")
    reason = f": {store['reason']}" if store.get("reason") else ""
    return Text(f"alone for {duration(store.get('alone', 0))}: {server}{reason}", style="yellow")


# -- credentials -------------------------------------------------------------------------------------------


def _credentials(providers: Mapping[str, Data]) -> Iterator[Text]:
    """The providers, each with its keys, whose states and calls stand below each other."""
    every = [one for provider in providers.values() for one in provider.get("credentials", ())]
    names, states, calls = (
        max([0, *(len(part(one)) for one in every)]) for part in (_name, _state_for, _in_flight)
    )
    for name, provider in providers.items():
        yield _provider(name, provider)
        for one in provider.get("credentials", ()):
            line = Text.assemble("  ", _name(one).ljust(names), "  ")
            line.append(_state_for(one).ljust(states), style=_COLOURS.get(_state(one), ""))
            line.append(f"  {_in_flight(one).ljust(calls)}  " if calls else "  ")
            yield line.append_text(_last(one))
            yield from (Text(" " * (names + 4)).append_text(note) for note in _notes(one))


def _provider(name: str, provider: Data) -> Text:
    """A line of its own, with its pauses."""
    text = Text.assemble((name, "bold"), (f"  {provider.get('rotation', '')}", "bright_black"))
    for scope, seconds in (provider.get("paused") or {}).items():
        text.append(f"  paused for {scope_name(scope)}: {duration(seconds)}", style="red")
    return text


def _name(one: Data) -> str:
    return str(one.get("name", ""))


def _state_for(one: Data) -> str:
    """With how long it lasts."""
    state, seconds = _state(one), one.get("seconds")
    return f"{state} for {duration(seconds)}" if seconds and state != _READY else state


def _state(one: Data) -> str:
    state, reason = str(one.get("state", "")), str(one.get("reason", ""))
    return "refused" if reason.startswith(_REFUSED) else _STATES.get(state, state)


def _in_flight(one: Data) -> str:
    count = one.get("in_flight")
    return _many(count, "call") if count else ""


def _last(one: Data) -> Text:
    last = one.get("last")
    text = f"last {last['outcome']} {duration(last['ago'])} ago" if last else "not used yet"
    return Text(text, style="bright_black")


def _notes(one: Data) -> Iterator[Text]:
    """Lines of their own: why it does not serve, for which models alone, and what is left of its limits."""
    reason = _AGAIN.sub("", one.get("reason", "")).strip(" :;,")
    if reason not in _SAID_BY_STATE:
        yield Text(reason)
    for scope, seconds in (one.get("scopes") or {}).items():
        yield Text(f"not for {scope_name(scope)}: {duration(seconds)}", style="yellow")
    yield from (Text(quota(each)) for each in one.get("windows", ()))


# -- users -------------------------------------------------------------------------------------------------


def _user(one: Data) -> Text:
    used, limits = one.get("used") or {}, one.get("limits") or {}
    said = [_used(unit, used.get(unit, 0), most) for unit, most in limits.items()]
    style = "yellow" if one.get("reached") else ""
    text = Text.assemble((f"user {one.get('name', '')}", "bold"), "  ", (", ".join(said), style))
    return text.append(f"  begins again in {duration(one.get('seconds', 0))}", style="bright_black")


def _used(unit: str, amount: float, most: float) -> str:
    if unit == "cost":
        return f"${amount:,.2f} of ${most:,.2f}"
    return f"{amount:,.0f} of {most:,.0f} {unit}"


# -- calls -------------------------------------------------------------------------------------------------


def _calls(calls: Sequence[Data]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("call", "model", "key", "since"):
        table.add_column(name, no_wrap=True)
    table.add_column("does", overflow="fold")
    for one in calls:
        table.add_row(*_call(one))
    return table


def _call(one: Data) -> Iterator[Text]:
    model = one.get("model")
    yield Text(str(one.get("id", "")))
    yield Text(f"{one['provider']}/{model}" if model else one["provider"])
    yield Text(one.get("credential") or "")
    yield Text(duration(one.get("since", 0.0)))
    yield _doing(one)


def _doing(one: Data) -> Text:
    state = one.get("state", "")
    text = Text(state, style=_CALL_COLOURS.get(state, ""))
    if state == "asks" and one.get("attempts", 1) > 1:
        text.append(f" again, attempt {one['attempts']}")
    if one.get("seconds") is not None:
        text.append(f" {duration(one['seconds'])}")
    return text.append(f": {one['why']}") if one.get("why") else text
