"""Responses that we keep in a provider's place: calls that continue one, and requests for one.

An id of ours is answered here and nowhere else, since no provider knows it: an unknown one in the words of
the provider (measured: 404 to a look-up, 400 to a call). Any other id is the provider's affair.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl

from msgspec import Struct
from pydantic import SecretStr

from addons.credentials.carriers import ClientCredential
from addons.responses.shared import SharedResponses
from addons.responses.storage import Storage, keeper_at
from addons.secrets.redaction import Blackout, key_shaped
from addons.store.connection import Connection
from addons.store.line import StoreError
from protocols.model.call import Call
from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from protocols.model.wirejson import (
    JsonObject,
    dump,
    error_answer,
    load_object,
    objects_at,
    text_at,
    text_size,
)
from rewrite.responses.store import (
    PROTOCOL,
    Bounds,
    Stored,
    as_shown,
    expanded,
    gap,
    input_items,
    is_kept,
    is_ours,
    lineage,
    listed,
    maker,
    resolved,
    sized,
)
from rewrite.translation.translate import Translation
from rewrite.values.events import Summary

LARGEST_PAGE, USUAL_PAGE = 100, 20
_PATH = re.compile(r"/responses/(resp_rot[0-9a-f]{24})(?:/(input_items|cancel))?/?$")
_NUMBER = re.compile(r"[0-9]{1,9}")
_PREVIOUS = "previous_response_id"
_AWAY = Fault(503, "server_error", "the store of kept responses cannot be reached now")
_WHOLE = frozenset({"completed", "incomplete"})


class Turn(Struct, frozen=True):
    """A call with what it continues."""

    call: Call
    """The call as it is planned, with the items of earlier responses."""
    scope: str
    """Who may use the ids in it, see `scope_of`."""
    body: JsonObject
    """What the client itself sent, with its references resolved."""
    changed: bool = False
    """Whether `call` says something else than the client's bytes."""
    previous: str | None = None
    """The id of the response that it continues, as the client named it. None: of none."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that continues what is not there."""

    answer: WireResponse
    """What its client gets."""
    fault: Fault
    """The same for the record."""
    sought: str = ""
    """The id of a response that is not here, and may be with another proxy. Empty: nothing would help."""


class Responses:
    """The kept responses, for those who answer calls. `clock` gives epoch seconds."""

    def __init__(self, storage: Storage, clock: Callable[[], float]) -> None:
        self.storage, self._clock = storage, clock
        self._option = ""
        self._shared: SharedResponses | None = None

    def share(self, store: Connection) -> None:
        """Other proxies are known through `store`."""
        self._shared = SharedResponses(store, lambda: self.storage, self._clock)

    @property
    def shared(self) -> SharedResponses | None:
        """Those of other proxies. None: they are not shared."""
        return self._shared if self._shared is not None and self._shared.is_on else None

    def configure(self, option: str, bounds: Bounds, *, shared: bool = False) -> None:
        """Keep within `bounds` from now on, in what `rotator_state` names, and in the store if they are
        `shared`. Raises StateError."""
        if self._shared is not None:
            self._shared.configure(bounds, is_on=shared)
        if option == self._option:
            self.storage.configure(bounds)
            return
        self.storage = Storage(keeper_at(option, Path.cwd()), self._clock, bounds)
        self._option = option

    async def close(self) -> None:
        """The proxy ends."""
        if self._shared is not None:
            await self._shared.close()

    # -- a call begins --------------------------------------------------------------------------------

    def turn(self, call: Call, scope: str) -> Turn | Missing:
        """`call` with all that it continues in the place of ids of ours. A response in the background
        is the provider's to keep."""
        if call.protocol != PROTOCOL or call.body.get("background") is True:
            return Turn(call, scope, call.body, previous=text_at(call.body, _PREVIOUS) or None)
        find = partial(self.storage.find, scope)
        body, unknown = resolved(call.body, find)
        if unknown is not None:
            return replace(_no_item(unknown), sought=maker({"id": unknown}) or "")
        previous = text_at(body, _PREVIOUS)
        found = lineage(previous, find) if is_ours(previous) else ()
        if found is None:
            return replace(_no_previous(previous), sought=gap(previous, find))
        if body is call.body and not found:
            return Turn(call, scope, body, previous=previous or None)
        continued = _continued(call, expanded(body, found), found)
        return Turn(continued, scope, body, changed=True, previous=previous or None)

    async def fetched(self, missing: Missing, call: Call, scope: str) -> Turn | Missing:
        """As `turn`, which gave `missing`, with what other proxies keep."""
        turn: Turn | Missing = missing
        tried = {""}
        while isinstance(turn, Missing) and turn.sought not in tried:
            tried.add(turn.sought)
            try:
                is_there = await self._fetch(scope, turn.sought)
            except StoreError:
                return Missing(_away(), _AWAY)
            if not is_there:
                break
            turn = self.turn(call, scope)
        return turn

    async def _fetch(self, scope: str, response_id: str) -> bool:
        """Whether another proxy keeps it. Raises StoreError."""
        return self.shared is not None and await self.shared.fetch(scope, response_id)

    # -- a call is over -------------------------------------------------------------------------------

    def keep(
        self, turn: Turn, translation: Translation | None, summary: Summary, secrets: Iterable[SecretStr]
    ) -> None:
        """Keep the response of a call that was answered by another protocol, if it is to be kept and came to
        an end; without `secrets`, which a provider may have echoed. Keeping it twice keeps one."""
        if translation is None or turn.call.protocol != PROTOCOL or not is_kept(turn.body, summary.end):
            return
        blackout = Blackout(secrets)
        response = _blacked_out(blackout, _response(translation, summary))
        if text_at(response, "status") not in _WHOLE:
            return
        name = translation.reply.id
        own = _blacked_out(blackout, {"input": input_items(turn.body, name)})
        stored = Stored(
            id=text_at(response, "id"),
            scope=turn.scope,
            previous=turn.previous if is_ours(turn.previous or "") else None,
            model=text_at(response, "model"),
            provider=translation.provider,
            input_items=tuple(objects_at(own, "input")),
            response={**response, _PREVIOUS: turn.previous, "store": True},
            created=self._clock(),
        )
        stored = sized(stored)
        self.storage.keep(stored)
        if self.shared is not None:
            self.shared.keep(stored)

    # -- a response is asked about --------------------------------------------------------------------

    def answer(self, method: str, target: str, scope: str) -> WireResponse | None:
        """The answer to a request about a response of ours; None: it is about something else. `target` is
        its path with the query."""
        path, _, query = target.partition("?")
        about = _about(method, path)
        if about is None:
            return None
        response_id, handler = about
        stored = self.storage.find(scope, response_id)
        return _no_response(response_id) if stored is None else handler(self, stored, dict(parse_qsl(query)))

    def lacks(self, method: str, target: str, scope: str) -> str:
        """The id of a response that may be with another proxy, and is to be fetched before `answer`. Empty:
        there is nothing to wait for."""
        about = _about(method, target.partition("?")[0]) if self.shared is not None else None
        if about is None:
            return ""
        response_id, handler = about
        if handler is Responses._items:
            return gap(response_id, partial(self.storage.find, scope))
        return "" if self.storage.find(scope, response_id) else response_id

    async def fetched_answer(self, method: str, target: str, scope: str) -> WireResponse | None:
        """As `answer`, with what other proxies keep."""
        tried = {""}
        try:
            while (sought := self.lacks(method, target, scope)) not in tried:
                tried.add(sought)
                await self._fetch(scope, sought)
        except StoreError:
            return _away()
        return self.answer(method, target, scope)

    def _get(self, stored: Stored, query: Mapping[str, str]) -> WireResponse:
        if query.get("stream") == "true":
            words = "This response cannot be streamed because it was not created with background=true."
            return _error(400, words, "stream")
        return _json(stored.response)

    def _delete(self, stored: Stored, query: Mapping[str, str]) -> WireResponse:
        self.storage.remove(stored.scope, stored.id)
        if self.shared is not None:
            self.shared.delete(stored.scope, stored.id)
        return _json({"id": stored.id, "object": "response", "deleted": True})

    def _cancel(self, stored: Stored, query: Mapping[str, str]) -> WireResponse:
        return _error(400, "Cannot cancel a synchronous response.")

    def _items(self, stored: Stored, query: Mapping[str, str]) -> WireResponse:
        """The items of earlier turns are listed as well, as far back as they are there."""
        found = lineage(stored.id, partial(self.storage.find, stored.scope)) or (stored,)
        return _page(listed(found), query)


type _Handler = Callable[[Responses, Stored, Mapping[str, str]], WireResponse]

_HANDLERS: Mapping[tuple[str, str], _Handler] = {
    ("GET", ""): Responses._get,
    ("GET", "input_items"): Responses._items,
    ("DELETE", ""): Responses._delete,
    ("POST", "cancel"): Responses._cancel,
}


def _about(method: str, path: str) -> tuple[str, _Handler] | None:
    """The id of a response of ours that a request is about, and what answers it. None: it is about something
    else."""
    found = _PATH.search(path)
    handler = _HANDLERS.get((method, found[2] or "")) if found else None
    return (found[1], handler) if found and handler else None


def unknown_elsewhere(call: Call, skipped: Mapping[str, str]) -> Missing | None:
    """What a client gets whose call continues a provider's response, where no target is a provider of
    its protocol; None if that is not why they cannot be asked. `skipped`: by target, why."""
    previous = text_at(call.body, _PREVIOUS)
    because = all(why.startswith(f"{_PREVIOUS}:") for why in skipped.values())
    return _no_previous(previous) if call.protocol == PROTOCOL and previous and because else None


def not_to_be_kept(pool: Iterable[SecretStr], own: ClientCredential | None) -> list[SecretStr]:
    """The keys that must not be written down: those of the pool, and what the client sent, unless it may be
    a word of its conversation."""
    return [*pool, *key_shaped(own.secrets if own else [])]


def _continued(call: Call, body: JsonObject, found: Sequence[Stored]) -> Call:
    """A conversation is known by its first response."""
    session = call.session or (found[0].id if found else None)
    return replace(call, body=body, session=session, text_bytes=text_size(dump(body)))


def _response(translation: Translation, summary: Summary) -> JsonObject:
    shown = as_shown(summary.progress, translation.provider, summary.end)
    reply = translation.called(shown.head.model if shown.head else "")
    return load_object(translation.translator.write_answer(translation.call, reply, shown)) or {}


def _blacked_out(blackout: Blackout, value: JsonObject) -> JsonObject:
    return load_object(blackout.whole(dump(value))) or {}


# -- input items, page by page ----------------------------------------------------------------------------


def _page(items: Sequence[JsonObject], query: Mapping[str, str]) -> WireResponse:
    """Documented: `limit` is 1 to 100, 20 by default; `order` is asc or desc, desc by default."""
    limit, order = query.get("limit", str(USUAL_PAGE)), query.get("order", "desc")
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= LARGEST_PAGE:
        return _error(400, f"Invalid 'limit': expected an integer from 1 to {LARGEST_PAGE}.", "limit")
    if order not in ("asc", "desc"):
        return _error(400, "Invalid 'order': expected 'asc' or 'desc'.", "order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    places = {text_at(item, "id"): place for place, item in enumerate(ordered)}
    for cursor in ("after", "before"):
        if query.get(cursor, "") not in {"", *places}:
            return _error(400, f"Invalid '{cursor}': no such item.", cursor)
    first = places.get(query.get("after", ""), -1) + 1
    left = ordered[first : places.get(query.get("before", ""), len(ordered))]
    return _json(_list(left[: int(limit)], has_more=len(left) > int(limit)))


def _list(data: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    first, last = (text_at(data[end], "id") if data else None for end in (0, -1))
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


# -- in the provider's words ------------------------------------------------------------------------------


def _json(value: JsonObject) -> WireResponse:
    return WireResponse(200, (("content-type", "application/json"),), dump(value))


def _error(status: int, message: str, param: str | None = None, code: str | None = None) -> WireResponse:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return error_answer(Fault(status, "invalid_request", message), {"error": error})


def _away() -> WireResponse:
    """It cannot be known whether another proxy keeps it: not now."""
    error = {"message": _AWAY.message, "type": "server_error", "param": None, "code": None}
    return error_answer(_AWAY, {"error": error})


def _no_response(response_id: str) -> WireResponse:
    return _error(404, f"Response with id '{response_id}' not found.")


def _no_previous(response_id: str) -> Missing:
    message = f"Previous response with id '{response_id}' not found."
    return _missing(_error(400, message, _PREVIOUS, "previous_response_not_found"), message)


def _no_item(item_id: str) -> Missing:
    message = (
        f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input."
    )
    return _missing(_error(404, message, "input"), message)


def _missing(answer: WireResponse, message: str) -> Missing:
    return Missing(answer, Fault(answer.status, "not_found", message, should_retry=False))
