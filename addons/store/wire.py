"""One connection to a server of Redis or Valkey, by the package `redis`: commands out, answers in.

Loaded only where a config names such a server: the package is an extra. Its exceptions become ours here.
"""

import asyncio
import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from socket import gaierror
from typing import Any

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import AuthenticationError, InvalidResponse, NoScriptError, RedisError, ResponseError

from addons.config.shared_state import SharedState
from addons.store.line import Answer, NotLoaded, Refused, StoreLost, Words

OPENING = 2.0
"""Seconds in which a connection has to be ready."""

_RESP2 = 2
_HALVES = "surrogatepass"
"""How text is written: a client's name for a model may hold half a character."""

_READ, _LONGEST = 1000, 160
"""Characters of what a server says of an error that are looked at, and that are repeated."""


class Wire:
    """A connection that is open. Whoever sends commands reads as many answers, in their order."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection

    async def send(self, commands: Iterable[Words]) -> None:
        """Raises StoreLost."""
        data = b"".join([packed(each) for each in commands])
        try:
            await self._connection.send_packed_command(data, check_health=False)
        except (RedisError, OSError) as error:
            raise StoreLost(_reason(error)) from error

    async def answer(self) -> Answer:
        """The next one. Raises StoreLost, and Refused where the server answers with an error."""
        try:
            found: Answer = await self._connection.read_response()
        except NoScriptError as error:
            raise NotLoaded(_said(error)) from error
        except ResponseError as error:
            raise Refused(_said(error)) from error
        except (RedisError, OSError, ValueError, RecursionError) as error:
            raise StoreLost(_reason(error)) from error
        return found

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)


def packed(words: Words) -> bytes:
    """A command as RESP has it (https://redis.io/docs/latest/develop/reference/protocol-spec/), an array of
    bulk strings. The package does the same with several calls for each word, for which a call waits."""
    parts = [each if isinstance(each, bytes) else str(each).encode("utf-8", _HALVES) for each in words]
    return b"*%d\r\n%b" % (len(parts), b"".join([b"$%d\r\n%b\r\n" % (len(each), each) for each in parts]))


async def opened(server: SharedState, name: str) -> Wire:
    """A connection that the server lists by `name`. Raises StoreLost."""
    connection = _connection(server)
    async with AsyncExitStack() as unless_it_is_open:
        unless_it_is_open.push_async_callback(connection.disconnect, nowait=True)
        try:
            async with asyncio.timeout(OPENING):
                await connection.connect()  # type: ignore[no-untyped-call]  # redis has no types here
                await _called(Wire(connection), name)
        except TimeoutError:
            raise StoreLost(f"no answer within {OPENING:g} s") from None
        except (RedisError, OSError, ValueError, RecursionError) as error:
            raise StoreLost(_reason(error)) from error
        unless_it_is_open.pop_all()
    return Wire(connection)


async def _called(wire: Wire, name: str) -> None:
    """The server lists it by that name, if its user may say so."""
    await wire.send([("CLIENT", "SETNAME", name)])
    with suppress(Refused):
        await wire.answer()


def _connection(server: SharedState) -> AbstractConnection:
    address, password = server.address, server.password
    common: dict[str, Any] = {
        "db": server.database,
        "username": server.user or None,
        "password": password.get_secret_value() if password else None,
        "protocol": _RESP2,
        "socket_timeout": None,
        "socket_connect_timeout": OPENING,
    }
    if address.path:
        return UnixDomainSocketConnection(path=address.path, **common)
    kind = SSLConnection if address.is_secure else Connection
    return kind(host=address.host, port=address.port, **common)


def _said(error: BaseException) -> str:
    text = "".join(each if each.isprintable() else " " for each in str(error)[:_READ])
    return " ".join(text.split())[:_LONGEST].rstrip(".")


def _reason(error: BaseException) -> str:
    """Why there is no connection, in few words."""
    if isinstance(error, AuthenticationError | ResponseError):
        return _said(error)
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {cause.verify_message}"
            case ssl.SSLError():
                return "TLS failed: is it spoken there?"
            case gaierror():
                return "the host name cannot be resolved"
            case OSError(errno=int(number)):
                return os.strerror(number)
            case TimeoutError():
                return "no answer in time"
            case InvalidResponse() | ValueError() | RecursionError():
                return "it does not speak the protocol of Redis"
    return _said(error) or "the connection was closed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
