"""Hooks are called as mitmproxy calls them, whoever listens; and at once where nobody has to be awaited."""

import asyncio
import gc
import logging
import re
import socket
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import ctx, hooks, http
from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.asgiapp import ASGIApp
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client
from mitmproxy.exceptions import AddonHalt, OptionsError
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._hooks import HttpRequestHook
from mitmproxy.proxy.mode_servers import ProxyConnectionHandler
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ClientConnectedHook
from mitmproxy.test import taddons, tflow
from mitmproxy.utils import asyncio_utils
from mitmproxy.utils.asyncio_utils import set_eager_task_factory
from OpenSSL import SSL

from addons.mitm.direct import Hops, Outlet, Resumed, ShortWay
from addons.mitm.hooks import Attended, Chain, Hooks, differs
from addons.mitm.sink import Push

type Does = Callable[[], object]


class Named:
    """An add-on that says its name when it is called, and then does what it is given."""

    def __init__(self, name: str, said: list[str], does: Does | None) -> None:
        self.name, self.addons = name, list[object]()
        self._said, self._does = said, does

    def request(self, flow: http.HTTPFlow) -> object:
        self._said.append(self.name)
        return self._does() if self._does else None

    def update(self, flows: list[http.HTTPFlow]) -> None:
        self._said.append(f"{self.name}: updated")


class Stage:
    """What the add-ons of a case are made with."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.deaf, self.late, self.last = SimpleNamespace(name="deaf"), self.named("late"), self.named("last")

    def named(self, name: str, does: Does | None = None) -> Named:
        return Named(name, self.said, does)

    def holding(self, name: str, *inner: object) -> SimpleNamespace:
        """An add-on that listens to nothing, and has others in it."""
        return SimpleNamespace(name=name, addons=list(inner))

    def waits(self, error: type[Exception] | None = None) -> Callable[[], Coroutine[None, None, None]]:
        async def wait() -> None:
            await asyncio.sleep(0)
            self.said.append("waited")
            if error:
                raise error(error.__name__)

        return wait

    def with_inner(self) -> Named:
        outer = self.named("outer")
        outer.addons = [self.named("inner"), self.holding("deep", self.named("deepest"))]
        return outer


def raises(error: type[Exception]) -> Does:
    def do() -> object:
        raise error(error.__name__)

    return do


def sets(addon: object, **attributes: object) -> Does:
    return lambda: vars(addon).update(attributes)


def manager() -> AddonManager:
    found: AddonManager = ctx.master.addons
    return found


def add(*addons: object) -> None:
    manager().add(*addons)  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def remove(addon: object) -> None:
    manager().remove(addon)  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def module_named_as_the_hook() -> types.ModuleType:
    script = types.ModuleType("script")
    vars(script).update(name="script", request=types.ModuleType("request"))
    return script


def nesting_in_itself(on: Stage) -> Named:
    first = on.named("first")
    first._does = sets(first, addons=[on.late])
    return first


CASES: dict[str, Callable[[Stage], list[Any]]] = {
    "nested": lambda on: [on.named("first"), on.holding("a", on.deaf, on.named("b")), on.with_inner()],
    "raises": lambda on: [on.holding("a", on.named("bad", raises(ValueError)), on.named("never"))],
    "raises while awaited": lambda on: [
        on.holding("a", on.named("bad", on.waits(ValueError)), on.named("never"))
    ],
    "raises after one that was awaited": lambda on: [
        on.holding("a", on.named("first", on.waits()), on.named("bad", raises(ValueError)))
    ],
    "halts": lambda on: [on.named("halting", raises(AddonHalt))],
    "halts while awaited": lambda on: [on.named("halting", on.waits(AddonHalt))],
    "halts later": lambda on: [on.named("first", on.waits()), on.named("halting", raises(AddonHalt))],
    "a bad option": lambda on: [on.named("bad", raises(OptionsError))],
    "a bad option while awaited": lambda on: [on.named("bad", on.waits(OptionsError))],
    "waits": lambda on: [on.holding("a", on.named("first", on.waits()), on.named("second", on.waits()))],
    "waits twice": lambda on: [on.named("first", on.waits()), on.deaf, on.named("second", on.waits())],
    "returns a task": lambda on: [on.named("first", lambda: asyncio.ensure_future(on.waits()()))],
    "adds": lambda on: [on.named("adding", lambda: add(on.late))],
    "adds later": lambda on: [
        on.named("first", on.waits()),
        on.named("adding", lambda: add(on.late)),
    ],
    "removes": lambda on: [on.named("removing", lambda: remove(on.last))],
    "nests": lambda on: [on.named("first", sets(on.deaf, addons=[on.late])), on.deaf],
    "nests in itself": lambda on: [nesting_in_itself(on)],
    "begins to listen": lambda on: [on.named("first", sets(on.deaf, request=on.late.request)), on.deaf],
    "ceases to listen": lambda on: [on.named("first", sets(on.last, request=None))],
    "listens by another function": lambda on: [on.named("first", sets(on.last, request=on.late.request))],
    "a module of that name": lambda on: [module_named_as_the_hook()],
    "no function": lambda on: [SimpleNamespace(name="odd", request="text")],
}
"""The add-ons of each case; `on.last` follows them."""


@contextmanager
def installed(wanted: bool = True) -> Iterator[Hooks]:
    calling = Hooks()
    if wanted:
        calling.install(manager())
    yield calling
    calling.uninstall()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Messages and tracebacks, but for where a listener that is no function is found."""
    found = re.compile(r'  File ".*", line \d+, in (_iter_hooks|_nested)\n(    .*\n)+')
    texts = [found.sub("", logging.Formatter().format(record)) for record in caplog.records]
    caplog.clear()
    return texts


async def played(case: str, trigger: str, caplog: pytest.LogCaptureFixture, *, ours: bool) -> list[str]:
    """What the add-ons of a case say, what is logged and what is raised."""
    on, flow = Stage(), tflow.tflow()
    with taddons.context(Proxyserver(), *CASES[case](on), on.last), installed(ours):  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        try:
            triggered = getattr(manager(), trigger)(HttpRequestHook(flow))
            if triggered is not None:
                await triggered
        except OptionsError as error:
            on.said.append(f"raised: {error!r}")
    return [*on.said, *logged(caplog)]


@pytest.mark.parametrize("trigger", ["trigger_event", "handle_lifecycle"])
@pytest.mark.parametrize("case", CASES)
async def test_they_are_called_as_mitmproxy_does(
    case: str, trigger: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In its order, with its log lines."""
    theirs = await played(case, trigger, caplog, ours=False)
    assert await played(case, trigger, caplog, ours=True) == theirs
    assert theirs


@pytest.mark.parametrize("case", [case for case in CASES if "wait" not in case and "later" not in case])
async def test_so_are_those_that_nobody_awaits(case: str, caplog: pytest.LogCaptureFixture) -> None:
    theirs = await played(case, "trigger", caplog, ours=False)
    assert await played(case, "trigger", caplog, ours=True) == theirs


async def test_an_event_that_nobody_hears_costs_no_call_of_mitmproxys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[object] = []

    def find(addon: object, event: hooks.Hook) -> list[object]:
        asked.append(addon)
        return []

    with taddons.context(Proxyserver(), Stage().deaf), installed():  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        monkeypatch.setattr(manager(), "_iter_hooks", find)
        await manager().trigger_event(hooks.UpdateHook([]))
        manager().trigger(hooks.UpdateHook([]))
    assert asked == []


async def test_those_after_one_that_was_awaited_cost_no_coroutine_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(addon: object, event: hooks.Hook) -> None:
        raise AssertionError

    on = Stage()
    with taddons.context(Proxyserver(), on.named("first", on.waits()), on.last), installed():  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        monkeypatch.setattr(manager(), "invoke_addon", never)
        await manager().trigger_event(HttpRequestHook(tflow.tflow()))
    assert on.said == ["first", "waited", "last"]


# -- where mitmproxy is another ---------------------------------------------------------------------------


class Other(AddonManager):
    pass


async def test_a_mitmproxy_that_is_another_calls_hooks_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hook_task(self: object, hook: object) -> None: ...

    caplog.set_level(logging.INFO)
    with taddons.context(Proxyserver()):  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        assert differs(manager()) == ""
        assert differs(Other(ctx.master)) == "Other"  # type: ignore[no-untyped-call]  # nor here
        monkeypatch.setattr(ProxyConnectionHandler.__mro__[2], "hook_task", hook_task)
        with installed():
            assert "trigger_event" not in vars(manager())
    assert "its ConnectionHandler.hook_task is changed" in caplog.text


async def test_what_another_add_on_put_there_stays(caplog: pytest.LogCaptureFixture) -> None:
    def trigger(event: hooks.Hook) -> None: ...

    with taddons.context(Proxyserver()):  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        with installed():
            manager().trigger = trigger  # type: ignore[method-assign]  # as a script may
        assert vars(manager())["trigger"] is trigger
        assert "trigger_event" not in vars(manager())
        assert differs(manager()) == "trigger"


# -- a connection -----------------------------------------------------------------------------------------


class Asking(layer.Layer):
    """A layer that has a hook called for whatever comes, and notes when it continues."""

    flow: http.HTTPFlow
    over = 0

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield HttpRequestHook(self.flow)
        self.over += 1


class Connection:
    """One to a client, whose outermost layer is an `Asking`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = ProxyMode.parse("regular")
        self.handler = ProxyConnectionHandler(ctx.master, reader, writer, ctx.options, mode)  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        self.asking = Asking(self.handler.layer.context)
        self.handler.layer = self.asking
        self.flow = self.asking.flow = tflow.tflow()
        self.flow.live = True

    async def begin(self) -> None:
        await self.handler.handle_hook(ClientConnectedHook(self.handler.client))

    async def receive(self) -> int:
        """How often the layer had continued right after bytes had come."""
        await self.handler.server_event(events.DataReceived(self.handler.client, b"bytes"))
        return self.asking.over


class Attending:
    """The add-on that hands connections to ours."""

    def __init__(self) -> None:
        self.hooks = Hooks()

    def client_connected(self, client: Client) -> None:
        self.hooks.attend(client)


@pytest.fixture
async def attending() -> AsyncIterator[Attending]:
    attending = Attending()
    with taddons.context(Proxyserver(), attending), set_eager_task_factory():  # type: ignore[no-untyped-call]  # mitmproxy has no types here
        yield attending


@pytest.fixture
async def connection(attending: Attending) -> AsyncIterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        with listener.accept()[0]:
            connection = Connection(reader, writer)
            server: Proxyserver = manager().get("proxyserver")  # type: ignore[no-untyped-call]  # mitmproxy has no types here
            with server.register_connection(connection.handler.client.id, connection.handler):
                yield connection
    writer.close()
    await writer.wait_closed()


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_layer_continues_at_once(attending: Attending, connection: Connection) -> None:
    attending.hooks.install(manager())
    await connection.begin()
    assert [await connection.receive() for _ in range(3)] == [1, 2, 3]


async def test_so_it_does_where_the_connection_was_there_before(
    attending: Attending, connection: Connection
) -> None:
    """A proxy listens before it runs."""
    await connection.begin()
    assert await connection.receive() == 0
    attending.hooks.install(manager())
    await turns()
    assert await connection.receive() == 2


async def test_it_is_mitmproxys_way_afterwards(attending: Attending, connection: Connection) -> None:
    attending.hooks.install(manager())
    await connection.begin()
    attending.hooks.uninstall()
    assert await connection.receive() == 0
    await turns()
    assert connection.asking.over == 1


@pytest.mark.parametrize("replaced", ["handle_hook", "hook_task"])
async def test_a_connection_that_another_add_on_changed_is_left_to_it(
    attending: Attending, connection: Connection, replaced: str
) -> None:
    vars(connection.handler)[replaced] = getattr(connection.handler, replaced)
    attending.hooks.install(manager())
    await connection.begin()
    assert await connection.receive() == 0


@pytest.mark.parametrize(
    ("case", "at_once", "in_the_end"),
    [
        ("nested", 1, 1),
        ("raises", 1, 1),
        ("halts", 1, 1),
        ("waits", 0, 1),
        ("raises while awaited", 0, 1),
        ("a bad option", 0, 0),
        ("a bad option while awaited", 0, 0),
    ],
)
async def test_when_a_layer_continues(
    attending: Attending, connection: Connection, case: str, at_once: int, in_the_end: int
) -> None:
    """A bad option keeps it waiting for ever, in mitmproxy too."""
    on = Stage()
    add(*CASES[case](on))
    attending.hooks.install(manager())
    await connection.begin()
    with unhandled() as errors:
        assert await connection.receive() == at_once
        await turns()
    assert connection.asking.over == in_the_end
    assert len(errors) == (1 - in_the_end)


@contextmanager
def unhandled() -> Iterator[list[object]]:
    """What the event loop is told of tasks that failed."""
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    gc.collect()  # asyncio says so when nobody can take the error any more
    loop.set_exception_handler(None)


async def test_an_async_listener_that_does_not_wait_keeps_nobody_waiting(
    attending: Attending, connection: Connection
) -> None:
    async def request(flow: http.HTTPFlow) -> None:
        names.append(asyncio.current_task().get_name())  # type: ignore[union-attr]  # it runs in one

    names: list[str] = []
    add(SimpleNamespace(name="async", request=request))
    attending.hooks.install(manager())
    await connection.begin()
    assert await connection.receive() == 1
    assert len(names) == 1


async def test_an_intercepted_flow_waits_until_it_is_resumed(
    attending: Attending, connection: Connection
) -> None:
    def request(flow: http.HTTPFlow) -> None:
        flow.intercept()  # type: ignore[no-untyped-call]  # mitmproxy has no types here

    on = Stage()
    add(SimpleNamespace(name="pausing", request=request), on.last)
    attending.hooks.install(manager())
    await connection.begin()
    assert await connection.receive() == 0
    await turns()
    assert (connection.asking.over, on.said) == (0, ["last", "last: updated"])
    assert not connection.handler.timeout_watchdog.can_timeout.is_set()
    connection.flow.resume()  # type: ignore[no-untyped-call]  # nor here
    await turns()
    assert connection.asking.over == 1
    assert connection.handler.timeout_watchdog.can_timeout.is_set()


async def test_what_comes_in_a_hook_waits_for_its_end(attending: Attending, connection: Connection) -> None:
    """Events that a listener causes find the layers busy."""
    order: list[str] = []

    def request(flow: http.HTTPFlow) -> None:
        order.append(f"called when {connection.asking.over} were over")
        if len(order) == 1:
            tasks.append(asyncio.ensure_future(connection.receive()))

    tasks: list[asyncio.Future[int]] = []
    add(SimpleNamespace(name="causing", request=request))
    attending.hooks.install(manager())
    await connection.begin()
    assert await connection.receive() == 1
    assert await tasks[0] == 2
    assert order == ["called when 0 were over", "called when 1 were over"]


@pytest.mark.parametrize("waits", [False, True])
async def test_a_hook_has_a_context_of_its_own(
    attending: Attending, connection: Connection, waits: bool
) -> None:
    """Which all who listen to it share."""
    known = ContextVar("known", default=0)
    seen: list[int] = []

    def sets(flow: http.HTTPFlow) -> None:
        seen.append(known.get())
        known.set(1)

    async def waited() -> None:
        await asyncio.sleep(0)
        seen.append(known.get())

    def reads(flow: http.HTTPFlow) -> object:
        seen.append(known.get())
        return waited() if waits else None

    add(SimpleNamespace(name="sets", request=sets), SimpleNamespace(name="reads", request=reads))
    attending.hooks.install(manager())
    await connection.begin()
    for _ in range(2):
        await connection.receive()
        await turns()
    assert seen == ([0, 1, 1] if waits else [0, 1]) * 2


# -- a short way ------------------------------------------------------------------------------------------


class Inner(HttpLayer):
    """An HTTP layer that gives out what a case says, and notes what comes."""

    given: Sequence[commands.Command] = ()

    def __init__(self, context: Context) -> None:
        super().__init__(context, HTTPMode.regular)
        self.heard: list[object] = []

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        yield from self.given
        self.heard.append(event.data if isinstance(event, events.DataReceived) else type(event).__name__)


class Around(layer.Layer):
    """A layer that hands on to an inner one, and notes what it sees."""

    inner: layer.Layer

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.heard: list[object] = []
        self.seen: list[str] = []

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        self.heard.append(event.data if isinstance(event, events.DataReceived) else type(event).__name__)
        handled = event.commands() if isinstance(event, Resumed) else self.inner.handle_event(event)
        for command in handled:
            self.seen.append(type(command).__name__)
            yield command


class Shortened:
    """A connection with a short way past its outermost layer."""

    def __init__(self, connection: Connection) -> None:
        self.handler, self.client = connection.handler, connection.handler.client
        self.flow, self.written = connection.flow, list[bytes]()
        self.around = Around(self.handler.layer.context)
        self.inner = self.around.inner = Inner(self.handler.layer.context)
        self.handler.layer = self.around
        self.hops: Hops = {self.inner: HttpStream(self.inner.context, 1)}
        self.error: SSL.Error | None = None
        self.outlet = Outlet(self._write)

    async def begin(self) -> None:
        await self.handler.handle_hook(ClientConnectedHook(self.client))
        attended = getattr(self.handler.layer.handle_event, "__self__", None)
        assert isinstance(attended, Attended)
        attended.shorten(ShortWay(self.inner, self.client, self.hops, self.outlet, self._read))

    def _write(self, data: bytes) -> bool:
        self.written.append(data)
        return True

    def _read(self, data: bytes) -> tuple[bytes, SSL.Error | None]:
        return data.upper(), self.error

    async def push(self, *given: commands.Command, hops: Hops | None = None) -> None:
        self.inner.given = given
        await self.handler.server_event(Push(self.flow, None, self.hops if hops is None else hops))

    def sends(self, data: bytes) -> commands.Command:
        return commands.SendData(self.client, data)


@pytest.fixture
async def shortened(attending: Attending, connection: Connection) -> Shortened:
    attending.hooks.install(manager())
    shortened = Shortened(connection)
    await shortened.begin()
    return shortened


async def test_what_is_sent_goes_past_the_layers_around(shortened: Shortened) -> None:
    hook = HttpRequestHook(shortened.flow)
    await shortened.push(shortened.sends(b"one"), hook, shortened.sends(b"two"))
    assert shortened.written == [b"one", b"two"]
    assert (shortened.inner.heard, shortened.around.heard) == (["Push"], [])


async def test_what_comes_goes_past_them_decrypted(shortened: Shortened) -> None:
    await shortened.handler.server_event(events.DataReceived(shortened.client, b"bytes"))
    assert (shortened.inner.heard, shortened.around.heard) == ([b"BYTES"], [])


async def test_that_nothing_more_will_come_is_for_all_layers(shortened: Shortened) -> None:
    shortened.error = SSL.ZeroReturnError()
    await shortened.handler.server_event(events.DataReceived(shortened.client, b"bytes"))
    assert (shortened.inner.heard, shortened.around.heard) == ([b"BYTES", b""], [b""])


async def test_the_layers_around_see_what_else_is_given_out_and_what_follows_it(shortened: Shortened) -> None:
    said = commands.Log("said")
    await shortened.push(shortened.sends(b"one"), said, shortened.sends(b"two"), hops=shortened.hops)
    assert shortened.written == [b"one"]
    assert shortened.around.heard == ["Resumed"]
    assert shortened.around.seen == ["Log", "SendData"]
    assert shortened.inner.heard == ["Push"]


async def test_what_is_kept_for_one_write_goes_out_before_what_the_layers_around_send(
    shortened: Shortened,
) -> None:
    def seen(data: bytes) -> bool:
        order.append(f"{data.decode()} after {len(shortened.around.heard)}")
        return True

    order: list[str] = []
    shortened.outlet._below = seen
    shortened.outlet.join()
    await shortened.push(shortened.sends(b"one"), shortened.sends(b"two"))
    assert order == []
    await shortened.push(hops={})
    assert order == ["onetwo after 0"]
    await shortened.push(shortened.sends(b"three"))
    await turns(1)
    assert order[1:] == ["three after 1"]


async def test_what_is_for_an_outer_layer_goes_through_all(shortened: Shortened) -> None:
    await shortened.push(hops={})
    assert shortened.around.heard == ["Push"]


async def test_a_hook_that_waits_is_completed_past_the_layers_around(shortened: Shortened) -> None:
    on = Stage()
    add(on.named("first", on.waits()))
    await shortened.push(HttpRequestHook(shortened.flow), shortened.sends(b"then"))
    assert (shortened.written, shortened.inner.heard) == ([], [])
    await turns()
    assert on.said == ["first", "waited", "first: updated"]
    assert (shortened.written, shortened.around.heard) == ([b"then"], [])


# -- mitmproxy's own app ----------------------------------------------------------------------------------


class Eager:
    """An app that says whom it serves."""

    def __init__(self) -> None:
        self.served: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: object, send: Callable[..., Any]) -> None:
        self.served.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


@pytest.mark.parametrize(("host", "tasks"), [("address", 0), ("other.test", 0), ("app.test", 1)])
async def test_an_app_of_mitmproxys_costs_a_task_where_it_serves_alone(
    attending: Attending, connection: Connection, host: str, tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = asyncio_utils.create_task

    def create_task(coro: Coroutine[None, None, None], **options: Any) -> asyncio.Task[None]:
        made.append(options["name"])
        return make(coro, **options)

    app = Eager()
    add(ASGIApp(app, "app.test", None))
    attending.hooks.install(manager())
    await connection.begin()
    connection.flow.request.host = host
    monkeypatch.setattr(asyncio_utils, "create_task", create_task)
    await connection.receive()
    await turns(20)
    assert connection.asking.over == 1
    assert [name for name in made if "request" in name][:1] == ["handle_hook(request)"] * tasks
    assert app.served == ["/path"] * tasks


# -- who is asked ------------------------------------------------------------------------------------------


class Own:
    """As if mitmproxy had it; it counts how often it is asked."""

    __module__ = "mitmproxy.addons.own"

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        self.asked += 1
        raise AttributeError(name)


class Listening(Own):
    __module__ = Own.__module__

    def request(self) -> None: ...


@pytest.fixture
def bare() -> AddonManager:
    """A manager with no add-ons."""
    return AddonManager(SimpleNamespace(options=Options()))  # type: ignore[no-untyped-call]  # mitmproxy has no types here


def test_one_of_mitmproxys_that_listens_to_no_such_hook_is_asked_once(bare: AddonManager) -> None:
    silent, listening = Own(), Listening()
    bare.chain += [silent, listening]
    chain = Chain(bare)
    assert list(chain.asked("request")) == [listening]
    asked = silent.asked
    assert list(chain.asked("request")) == [listening]
    assert silent.asked == asked > 0


def test_names_are_asked_for_one_by_one(bare: AddonManager) -> None:
    listening = Listening()
    bare.chain += [listening]
    chain = Chain(bare)
    assert not list(chain.asked("response"))
    assert list(chain.asked("request")) == [listening]


def test_those_that_come_and_go_are_seen(bare: AddonManager) -> None:
    first, second = Listening(), Listening()
    bare.chain += [first]
    chain = Chain(bare)
    assert list(chain.asked("request")) == [first]
    bare.chain = [second]
    assert list(chain.asked("request")) == [second]
    bare.chain.append(first)
    assert list(chain.asked("request")) == [second, first]


def test_one_that_comes_while_others_are_called_is_the_last(bare: AddonManager) -> None:
    first, second, third = Listening(), Listening(), Listening()
    bare.chain += [first, second]
    chain, seen = Chain(bare), []
    for member in chain.asked("request"):
        seen.append(member)
        if member is first:
            bare.chain.append(third)
            assert list(chain.asked("request")) == [first, second, third]
    assert seen == [first, second, third]


def test_those_of_others_are_asked_each_time_and_those_that_hold_others(bare: AddonManager) -> None:
    """They may begin to listen at any time."""
    other, holding = SimpleNamespace(name="other"), Own()
    holding.addons = []  # type: ignore[attr-defined]  # as ScriptLoader
    bare.chain += [other, holding]
    chain = Chain(bare)
    assert list(chain.asked("request")) == list(chain.asked("request")) == [other, holding]
