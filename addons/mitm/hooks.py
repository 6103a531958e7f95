"""Hooks: only who listens is called, and a layer continues at once where nobody has to be awaited.

For each hook mitmproxy makes a coroutine for each of its forty add-ons, and for each hook of a layer a task
and a turn of the event loop besides. Most add-ons listen to few hooks, and few listeners wait. Add-ons, and
what is nested in them, are asked in their order and at the moment at which mitmproxy asks them, so that one
may come, go or begin to listen at any time. Only what mitmproxy's own do not listen to is known (`Chain`).

Internals of mitmproxy 12 that this file leans on, looked at by `differs`:
`AddonManager`: trigger_event and trigger call the members of `chain` one by one, apart from what they raise;
invoke_addon calls what `_iter_hooks` finds in a member and in its `addons`;
`ProxyConnectionHandler.handle_hook`: handle_lifecycle, then the flow's wait_for_resume;
`ConnectionHandler`: hook_task, whose end is a HookCompleted for `layer`, the outermost one. It is an eager
task: listeners run while `layer` handles an event, in its middle;
`ASGIApp.request`: awaits nothing unless should_serve; `Onboarding.request`: calls that.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextvars import copy_context
from inspect import isawaitable
from itertools import chain, islice
from types import MethodType, ModuleType
from typing import Any

from mitmproxy import hooks
from mitmproxy.addonmanager import AddonManager, safecall
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.onboarding import Onboarding
from mitmproxy.connection import Client
from mitmproxy.exceptions import AddonHalt, AddonManagerError, OptionsError
from mitmproxy.flow import Flow
from mitmproxy.http import HTTPFlow
from mitmproxy.master import Master
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils import asyncio_utils

from addons.mitm.direct import Resumed, ShortWay
from addons.mitm.sink import Push, addon, handler_of

log = logging.getLogger("rotator")

type Remainder = Coroutine[None, None, None]
"""What is left of a hook when a listener has to be awaited."""

type _Listeners = Iterator[Callable[..., object]]
type _Handle = Callable[[events.Event], layer.CommandGenerator[None]]

_KNOWN = (
    (AddonManager, "trigger_event", "chain safecall invoke_addon exceptions AddonHalt"),
    (AddonManager, "trigger", "chain safecall invoke_addon_sync exceptions AddonHalt"),
    (AddonManager, "invoke_addon", "_iter_hooks args inspect isawaitable"),
    (
        AddonManager,
        "_iter_hooks",
        "isinstance hooks Hook traverse getattr name callable types ModuleType exceptions AddonManagerError",
    ),
    (AddonManager, "handle_lifecycle", "args trigger_event isinstance flow Flow hooks UpdateHook"),
    (
        ProxyConnectionHandler,
        "handle_hook",
        "timeout_watchdog disarm args master addons handle_lifecycle isinstance flow Flow wait_for_resume",
    ),
    (ConnectionHandler, "hook_task", "handle_hook blocking server_event events HookCompleted"),
    (ASGIApp, "request", "should_serve serve asgi_app"),
    (Onboarding, "request", "ctx options onboarding super request"),
)
"""Functions in whose place ours stand, and the names that their code uses. They are the same from mitmproxy
12.1.0 to 12.2.3, in each Python."""


_UPDATE = hooks.UpdateHook.name

_SERVING = frozenset({ASGIApp.request, Onboarding.request})
"""Listeners to requests that await nothing where their app does not serve one."""


def differs(manager: AddonManager) -> str:
    """What is other than we know it, be it that an add-on replaced it; "" if all is as known."""
    if type(manager) is not AddonManager:
        return type(manager).__name__
    changed = (f"{owner.__name__}.{name}" for owner, name, names in _KNOWN if _names(owner, name) != names)
    replaced = (name for name in vars(manager) if hasattr(AddonManager, name))
    return next(changed, "") or next(replaced, "")


def _names(owner: type, name: str) -> str:
    code = getattr(getattr(owner, name, None), "__code__", None)
    return " ".join(code.co_names) if code else ""


class Chain:
    """The add-ons of a manager, and which of them have to be asked whether they listen.

    mitmproxy has forty of its own, and most listen to few hooks. To which, their classes say, and it is
    remembered as long as the chain has the same members. Those of others, and those that hold others, may
    begin to listen at any time: they are asked at each hook.
    """

    def __init__(self, manager: AddonManager) -> None:
        self._manager = manager
        self._members: list[object] = []
        self._asked: dict[str, list[object]] = {}

    def asked(self, name: str) -> Iterator[object]:
        """Members that may listen to the hook of this name, or hold others that may, in their order.

        They are found one by one, while they are called. One that is added meanwhile comes last.
        """
        members: list[object] = self._manager.chain
        return chain(self._asked_of(members, name), islice(members, len(self._members), None))

    def _asked_of(self, members: list[object], name: str) -> list[object]:
        if members != self._members:
            self._members = members.copy()
            self._asked.clear()
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = [member for member in members if not _is_silent(member, name)]
        return asked


def _is_silent(member: object, name: str) -> bool:
    """For as long as it is in the chain."""
    is_own = type(member).__module__.startswith("mitmproxy.")
    return is_own and not hasattr(member, name) and not hasattr(member, "addons")


class Hooks:
    """Those that a manager triggers, and those of its connections."""

    _manager: AddonManager
    _chain: Chain

    def __init__(self) -> None:
        self.installed = False

    def install(self, manager: AddonManager) -> None:
        """Or leave all to mitmproxy, and say so, where it is not as we know it."""
        if other := differs(manager):
            log.info("mitmproxy calls hooks in its own way, which costs more: its %s is changed", other)
            return
        self._manager, self._chain, self.installed = manager, Chain(manager), True
        manager.trigger_event = self.trigger_event  # type: ignore[method-assign]  # of this one manager
        manager.trigger = self.trigger  # type: ignore[method-assign]  # the same
        for handler in list(addon("proxyserver").connections.values()):
            self._attend(handler)

    def uninstall(self) -> None:
        """What another add-on has put in our place meanwhile stays."""
        if not self.installed:
            return
        self.installed = False
        ours = {"trigger_event": self.trigger_event, "trigger": self.trigger}
        for name, function in ours.items():
            if vars(self._manager).get(name) == function:
                delattr(self._manager, name)

    # -- as AddonManager does it ----------------------------------------------------------------------

    async def trigger_event(self, event: hooks.Hook) -> None:
        if remainder := self._begin(event.name, event.args()):
            await remainder

    def trigger(self, event: hooks.Hook) -> None:
        try:
            for member in self._chain.asked(event.name):
                if getattr(member, event.name, None) or hasattr(member, "addons"):
                    with safecall():
                        self._manager.invoke_addon_sync(member, event)
        except AddonHalt:
            pass

    def _begin(self, name: str, args: Sequence[object]) -> Remainder | None:
        """Call all who listen, up to the first who has to be awaited."""
        return self._call(self._chain.asked(name), name, args)

    def _call(self, members: Iterator[object], name: str, args: Sequence[object]) -> Remainder | None:
        for member in members:
            try:
                if awaited := invoke_addon_sync(member, name, args):
                    return self._remainder(awaited, members, name, args)
            except AddonHalt:
                break
            except OptionsError as error:
                return _raising(error)
            except Exception:
                with safecall():  # to enter it costs as much as to call a listener
                    raise
        return None

    async def _remainder(
        self, awaited: Remainder, members: Iterator[object], name: str, args: Sequence[object]
    ) -> None:
        try:
            with safecall():
                await awaited
        except AddonHalt:
            return
        if remainder := self._call(members, name, args):
            await remainder

    def _begin_lifecycle(self, event: hooks.Hook) -> Remainder | None:
        """As handle_lifecycle, and the wait for the flow to be resumed."""
        args = event.args()
        (data,) = args
        remainder = self._begin(event.name, args)
        if not isinstance(data, Flow):
            return remainder
        if remainder:
            return self._until_resumed(data, remainder, updates=True)
        remainder = self._begin(_UPDATE, [[data]])
        return self._until_resumed(data, remainder) if remainder or data.intercepted else None

    async def _until_resumed(self, flow: Flow, remainder: Remainder | None, *, updates: bool = False) -> None:
        if remainder:
            await remainder
        if updates:
            await self.trigger_event(hooks.UpdateHook([flow]))
        await flow.wait_for_resume()  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    # -- as ConnectionHandler does it -----------------------------------------------------------------

    def attend(self, client: Client) -> None:
        """To the connection of a client, which has just begun."""
        if self.installed:
            self._attend(handler_of(client))

    def _attend(self, handler: ConnectionHandler) -> None:
        if type(handler) is ProxyConnectionHandler and not _replaced(handler):
            outermost = handler.layer
            attended = Attended(self, handler, outermost.handle_event)
            outermost.handle_event = attended.handle_event  # type: ignore[method-assign]  # of this one connection

    def is_over(self, handler: ConnectionHandler, hook: commands.StartHook) -> bool:
        """Begin a hook; whether all of it is done. Otherwise the layers are told when it is.

        Its context is a copy, as where each hook has a task: what they set in it is seen by them alone.
        """
        return copy_context().run(self._is_over, handler, hook)

    def _is_over(self, handler: ConnectionHandler, hook: commands.StartHook) -> bool:
        remainder = self._begin_lifecycle(hook)
        if remainder is None:
            return True
        task = _task(handler, hook, _disarmed(handler, remainder))
        if _is_done(task):
            return True
        _task(handler, hook, _completed(handler, hook, task))
        return False


class Attended:
    """A connection of a client, in the place of its outermost layer's `handle_event`."""

    def __init__(self, hooks: Hooks, handler: ConnectionHandler, handle: _Handle) -> None:
        self._hooks, self._handler, self._handle = hooks, handler, handle
        self._short: ShortWay | None = None
        self._awaited: dict[commands.Command, ShortWay] = {}  # hooks that only the layer of a short way began

    def shorten(self, short: ShortWay) -> None:
        """From now on the layers around that of `short` are passed by, where they only hand on."""
        self._short = short

    def handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        """What the layers give out, without the hooks that are over at once."""
        short = self._short
        if short is None:
            return self._through_layers(event)
        if type(event) is Push and short.layer in event.hops:
            return self._past_layers(short, event)
        if type(event) is events.DataReceived and event.connection is short.client:
            return self._read(short, event.data)
        if isinstance(event, events.HookCompleted) and event.command in self._awaited:
            return self._past_layers(self._awaited.pop(event.command), event)
        return self._through_layers(event)

    def _read(self, short: ShortWay, data: bytes) -> layer.CommandGenerator[None]:
        plaintext, ended = short.read(data)
        if plaintext:
            yield from self._past_layers(short, events.DataReceived(short.client, plaintext))
        if ended is not None:  # the layer of TLS gets the same reason once more
            yield from self._through_layers(events.DataReceived(short.client, b""))

    def _through_layers(self, event: events.Event) -> layer.CommandGenerator[None]:
        if self._short is not None:
            self._short.outlet.flush()
        waiting = deque([event])
        while waiting:
            for command in self._handle(waiting.popleft()):
                if not (isinstance(command, commands.StartHook) and self._hooks.installed):
                    yield command
                elif self._hooks.is_over(self._handler, command) and command.blocking:
                    waiting.append(events.HookCompleted(command))

    def _past_layers(self, short: ShortWay, event: events.Event) -> layer.CommandGenerator[None]:
        """What the innermost HTTP layer sends goes to its client; the layers around it see all else."""
        waiting = deque([event])
        while waiting:
            given = short.layer.handle_event(waiting.popleft())
            for command in given:
                if type(command) is commands.SendData and command.connection is short.client:
                    short.outlet.write(command.data)
                elif not (isinstance(command, commands.StartHook) and self._hooks.installed):
                    yield from self._through_layers(Resumed(short.layer, short.hops, command, given))
                elif self._hooks.is_over(self._handler, command):
                    waiting.extend([events.HookCompleted(command)] if command.blocking else ())
                else:
                    self._awaited[command] = short


class WhileHeard(logging.Filter):
    """Lets records through to the `add_log` of add-ons as long as any has one and the event loop runs.

    mitmproxy formats each record for them a second time, wakes the loop, and asks every add-on there: 67 of
    the 83 us that a line takes. Of its own add-ons none listens any more.
    """

    def __init__(self, running: Master) -> None:
        super().__init__()
        self._running, self._chain = running, Chain(running.addons)

    def filter(self, record: logging.LogRecord) -> bool:
        return _listens(self._chain.asked("add_log")) and not self._running.event_loop.is_closed()


def _listens(addons: Iterable[object]) -> bool:
    """Whether one of them, or of what is nested in them, has an `add_log`."""
    for each in addons:
        if hasattr(each, "add_log") or (hasattr(each, "addons") and _listens(each.addons)):
            return True
    return False


def _nested(member: object, name: str) -> _Listeners:
    """Of a member, and of what is nested in it however deep, those that listen: each before its own."""
    levels: list[Iterator[object]] = [iter((member,))]
    while levels:
        for each in levels[-1]:
            listener = getattr(each, name, None)
            if callable(listener):
                yield listener
            elif listener and not isinstance(
                listener, ModuleType
            ):  # an add-on may import a module of that name
                raise AddonManagerError(f"Addon handler {name} ({each}) not callable")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            if nested := getattr(each, "addons", ()):
                levels.append(iter(nested))
                break
        else:
            levels.pop()


def _replaced(handler: ConnectionHandler) -> bool:
    return "handle_hook" in vars(handler) or "hook_task" in vars(handler)


# safecall leaves out of a traceback what is above functions of these names.


def invoke_addon_sync(member: object, name: str, args: Sequence[object]) -> Remainder | None:
    own: Any = getattr(member, name, None)
    is_alone = type(own) is MethodType and not hasattr(member, "addons")
    listeners: _Listeners = iter((own,)) if is_alone else _nested(member, name)
    for listener in listeners:
        if type(listener) is MethodType and listener.__func__ in _SERVING and _is_for_others(listener, args):
            continue
        result = listener(*args)
        if result is not None and isawaitable(result):
            return invoke_addon(result, listeners, args)
    return None


def _is_for_others(listener: MethodType, args: Sequence[object]) -> bool:
    """Whether an app of mitmproxy's own finds that a request is not for it, as its coroutine would."""
    (flow,) = args
    app = listener.__self__
    return isinstance(app, ASGIApp) and isinstance(flow, HTTPFlow) and not app.should_serve(flow)


async def invoke_addon(awaited: Awaitable[object], listeners: _Listeners, args: Sequence[object]) -> None:
    await awaited
    for listener in listeners:
        result = listener(*args)
        if result is not None and isawaitable(result):
            await result


async def _raising(error: OptionsError) -> None:
    raise error


async def _disarmed(handler: ConnectionHandler, remainder: Remainder) -> None:
    """A connection whose hook is waited for is not idle."""
    with handler.timeout_watchdog.disarm():
        await remainder


async def _completed(handler: ConnectionHandler, hook: commands.StartHook, task: asyncio.Task[None]) -> None:
    await task
    if hook.blocking:
        await handler.server_event(events.HookCompleted(hook))


def _is_done(task: asyncio.Task[None]) -> bool:
    """Whether it has ended well, which an eager one may have without waiting."""
    return task.done() and not task.cancelled() and task.exception() is None


def _task(handler: ConnectionHandler, hook: commands.StartHook, work: Remainder) -> asyncio.Task[None]:
    name = f"handle_hook({hook.name})"
    return asyncio_utils.create_task(work, name=name, keep_ref=True, client=handler.client.peername)
