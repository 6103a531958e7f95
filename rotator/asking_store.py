"""Asks the server that state is shared through whether it can be used. Nothing is written there."""

from importlib import import_module

from addons.config.shared_state import SharedState
from addons.store.line import Answer, Refused, StoreError, Wire
from addons.store.meta import check_server, checked, facts_of
from rotator.asking import Asked

_NAME = "rotator-check"


async def ask_store(shared: SharedState) -> Asked:
    """What becomes of it."""
    wires = import_module("addons.store.wire")  # which takes a package that is an extra
    try:
        wire: Wire = await wires.opened(shared, _NAME)
        try:
            return Asked(good=True, line=f"{shared}: works, {await _facts(wire, shared.prefix)}")
        finally:
            await wire.close()
    except StoreError as error:
        return Asked(good=False, line=f"{shared}: cannot be used: {error}")


async def _facts(wire: Wire, prefix: str) -> str:
    """Of a server that can be used. Raises StoreError."""
    hello = await _answer(wire, "HELLO")
    check_server(hello)
    facts = facts_of(hello)
    key = f"{prefix}meta"
    try:
        meta = await _answer(wire, "GET", key)
    except Refused:
        meta = 0  # which is no text
    if meta is not None:
        checked(key, meta)
    used = "used by rotator before" if meta is not None else "not used by rotator yet"
    return f"{facts.get('server', '')} {facts.get('version', '')}, {used}"


async def _answer(wire: Wire, *words: str) -> Answer:
    await wire.send([words])
    return await wire.answer()
