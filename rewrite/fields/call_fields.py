"""The field cache of one call at one target: what is extracted from it, and what is injected into it.

What an attempt gave is held here, and stored when it served the client (`keep`); an attempt that is thrown
away stores nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import cast

from protocols.model.http import Headers
from protocols.model.parts import StreamPart
from protocols.model.progress import Progress
from protocols.model.prompt import Prompt, Thought
from protocols.model.wirejson import JsonObject
from rewrite.fields.answers import as_said, plain, put_together
from rewrite.fields.event_filter import EventFilter, event_filter
from rewrite.fields.injecting import Values, is_missing, is_said, started_at, with_values
from rewrite.fields.paths import Items, Steps, at_step, found_at
from rewrite.fields.rule import Into, Mode, Place, Rule, Scope, Source
from rewrite.fields.store import Key, Store, key_of
from rewrite.fields.tool_calls import UNIFIED, FoundCall, is_call, keyed, tool_calls
from rewrite.fields.turns import begins_turn

_STREAMED = frozenset({Source.STREAM_EVENT, Source.UNIFIED_STREAM_EVENT})
_REQUESTS = frozenset({Source.REQUEST, Source.UNIFIED_REQUEST})
_GROWING = frozenset({Mode.ALL, Mode.LAST_USER_TURN})


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a call decides which rules and which values are its."""

    provider: str
    """The name of the one that is asked."""
    protocol: str
    """The one that is spoken with it."""
    model: str
    """The one that it is asked for."""
    session: str | None = None
    """Identifies the conversation among all of all clients. None: the call does not say which it is."""
    credential: str | None = None
    """Identifies the credential, the client's own too. None: it is not chosen yet, or there is none."""
    tools: bool = True
    """Whether the model may call tools."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A rule as it holds for one call."""

    rule: Rule
    identity: Key
    """Whose values the call may have."""
    before: Values
    """Those that were there when the call began, where its own ones are added to them."""


_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?")
type Found = dict[Key, list[object]]
"""What one rule found, by tool call; without calls by `b""`."""
_NO_CALL = b""


def fitting(rules: Iterable[Rule], protocol: str, model: str) -> tuple[Rule, ...]:
    """The rules for calls of a model in a protocol."""
    return tuple(rule for rule in rules if rule.fits(protocol, model.lower()))


def call_fields(rules: Sequence[Rule], store: Store, asked: Asked, now: float) -> "CallFields | None":
    """The field cache of one call at one target, which begins at `now`; None where no rule is for it."""
    found = fitting(rules, asked.protocol, asked.model)
    mine = [rule for rule in found if asked.session is not None or Scope.SESSION not in rule.scope]
    return CallFields(mine, store, asked, now) if mine else None


class CallFields:
    """`prompt`, `request` and `headers` give the same object back where nothing is injected."""

    def __init__(
        self, rules: Sequence[Rule], store: Store, asked: Asked, now: float, known: Sequence[Bound] = ()
    ) -> None:
        """`known`: what there was of values when the call began."""
        self._rules, self._store, self._asked, self._now = rules, store, asked, now
        before = {each.rule.digest: each for each in known}
        self._bound = tuple(self._bind(rule, before) for rule in rules if not self._waits(rule))
        sources: dict[Source, list[Bound]] = {}
        for each in self._bound:
            sources.setdefault(each.rule.source, []).append(each)
        self._readers: Mapping[Source, Sequence[Bound]] = sources
        self._found: dict[bytes, Found] = {}
        self._new_turn = False
        self.needs_credential = len(self._bound) < len(rules)
        """Whether there are rules that wait for the credential of an attempt."""
        self.reads_prompt = self._any(Source.UNIFIED_REQUEST, Into.UNIFIED_REQUEST)
        """Whether `prompt` has anything to do."""
        self.reads_answer = any(self._reads(each.rule) for each in self._bound)
        """Whether `answer` has."""
        self.reads_calls_alone = all(_joins(each.rule) for each in self._bound if _of_answers(each.rule))
        """Whether `answer` and `answered` have nothing to do where no tool was called."""
        self.reads_events = Source.STREAM_EVENT in sources
        """Whether `event` has."""
        self.reads_parts = Source.UNIFIED_STREAM_EVENT in sources
        """Whether `parts` has."""

    def attempt(self, credential: str | None = None) -> "CallFields":
        """That of one attempt with this credential (None: there is none). It knows what was found in the
        request. Where rules waited for the credential, the request is to be read by it again."""
        asked = replace(self._asked, credential=credential)
        new = CallFields(self._rules, self._store, asked, self._now, self._bound)
        new._found = {digest: found for digest, found in self._found.items() if digest in self._of_requests()}
        new._new_turn = self._new_turn
        return new

    def _of_requests(self) -> set[bytes]:
        return {each.rule.digest for each in self._bound if each.rule.source in _REQUESTS}

    def _waits(self, rule: Rule) -> bool:
        return Scope.CREDENTIAL in rule.scope and self._asked.credential is None

    def _bind(self, rule: Rule, known: Mapping[bytes, Bound]) -> Bound:
        was, asked = known.get(rule.digest), self._asked
        if was and Scope.CREDENTIAL not in rule.scope:
            return was
        said = {
            Scope.PROVIDER: asked.provider,
            Scope.MODEL: asked.model,
            Scope.CREDENTIAL: asked.credential or "",
            Scope.SESSION: asked.session or "",
        }
        identity = key_of(rule.digest, *(part for each in sorted(rule.scope) for part in (each, said[each])))
        if rule.mode not in _GROWING:
            return Bound(rule, identity, ())
        if was and was.identity == identity:
            return was
        return Bound(rule, identity, self._store.get(rule, identity, self._now))

    def _reads(self, rule: Rule) -> bool:
        """Whether an answer may have anything for a rule: one to a request without tools calls none."""
        return rule.source is Source.RESPONSE and (self._asked.tools or rule.mode is not Mode.PER_TOOL_CALL)

    @property
    def event_filter(self) -> EventFilter | None:
        """Finds the events of a stream that `answer` needs. None: it needs all."""
        return event_filter((each.rule for each in self._bound), self._asked.protocol)

    def _any(self, source: Source, into: Into) -> bool:
        return any(each.rule.source is source or each.rule.inject.into is into for each in self._bound)

    # -- requests -------------------------------------------------------------------------------------

    def prompt(self, prompt: Prompt) -> Prompt:
        """Extract from the unified request, then inject into it."""
        return cast(Prompt, self._request(prompt, Source.UNIFIED_REQUEST, Into.UNIFIED_REQUEST, UNIFIED))

    def request(self, body: JsonObject) -> JsonObject:
        """Extract from the body for the provider, then inject into it."""
        new = self._request(body, Source.REQUEST, Into.REQUEST, self._asked.protocol)
        return cast(JsonObject, new)

    def _request(self, body: object, source: Source, into: Into, protocol: str) -> object:
        if any(each.rule.mode is Mode.LAST_USER_TURN for each in self._bound):
            self._new_turn = begins_turn(body, protocol)
        self._extract(source, body, protocol)
        calls: Sequence[FoundCall] | None = None
        for each in self._bound:
            if each.rule.inject.into is into and self._has_any(each.rule):
                if calls is None and each.rule.mode is Mode.PER_TOOL_CALL:
                    calls = tool_calls(body, protocol)
                found = list(self._values_for(each, body, calls or (), protocol))
                new = with_values(body, each.rule.inject, found)
                body, calls = new, calls if new is body else None
        return body

    def _has_any(self, rule: Rule) -> bool:
        """Whether there may be values for a request: no call need be looked for without."""
        return rule.source in _REQUESTS or self._store.holds(rule)

    def _values_for(
        self, bound: Bound, body: object, calls: Sequence[FoundCall], protocol: str
    ) -> Iterator[tuple[Steps, Values]]:
        """Values with what they are for: the places of `calls` that lack one, or all of the body."""
        rule = bound.rule
        places: Iterable[tuple[Key, Steps]] = ((_NO_CALL, ()),)
        if rule.mode is Mode.PER_TOOL_CALL:
            lacking = (each for each in calls if not _is_kept(rule, body, each.place, protocol))
            places = keyed(lacking, alone=rule.joins_alone)
        for call, place in places:
            if values := self._values(bound, call):
                yield place, tuple(map(as_said, values)) if _goes_among_contents(rule) else values

    def headers(self, headers: Headers) -> Headers:
        """Inject into the headers of the request."""
        for each in self._bound:
            name = each.rule.inject.header
            if name and (values := self._values(each)):
                headers = _with_header(headers, name, values[-1], each.rule.inject.when_missing_only)
        return headers

    # -- answers --------------------------------------------------------------------------------------

    def answer(self, body: JsonObject) -> None:
        """Extract from a whole answer, or from what a streamed one came to."""
        self._extract(Source.RESPONSE, body, self._asked.protocol)

    def event(self, event: JsonObject) -> None:
        """Extract from an event of a stream."""
        self._extract(Source.STREAM_EVENT, event, self._asked.protocol)

    def parts(self, parts: Iterable[StreamPart]) -> None:
        """Extract from the next parts of an answer."""
        for part in parts:
            self._extract(Source.UNIFIED_STREAM_EVENT, part, UNIFIED)

    def answered(self, progress: Progress) -> None:
        """Extract from what the parts of an answer came to, which has ended properly."""
        if any(each.rule.source is Source.UNIFIED_RESPONSE for each in self._bound):
            self._extract(Source.UNIFIED_RESPONSE, put_together(progress), UNIFIED)

    def keep(self, now: float) -> None:
        """Store what was found: the attempt served the client."""
        for each in self._bound:
            for call in self._found.get(each.rule.digest, ()):
                values = self._own(each, call, self._stored(each, now))
                self._store.put(each.rule, each.identity + call, values, now)

    # -- what was found -------------------------------------------------------------------------------

    @property
    def found(self) -> Mapping[str, Sequence[object]]:
        """What this call gave so far, by the names of rules, for records."""
        return {
            each.rule.name: [value for values in found.values() for value in values]
            for each in self._bound
            if (found := self._found.get(each.rule.digest))
        }

    def _extract(self, source: Source, value: object, protocol: str) -> None:
        for each in self._readers.get(source, ()):
            self._take(each, dict(_found(each.rule, value, protocol)))

    def _take(self, bound: Bound, found: Found) -> None:
        """What is read once takes the place of what was found before; events add to it."""
        rule = bound.rule
        if rule.source not in _STREAMED:
            self._found[rule.digest] = _latest(found, rule.max_values)
            return
        if not found:  # as with most events
            return
        known = self._found.setdefault(rule.digest, {})
        for call, values in found.items():
            before = known.get(call, []) if rule.mode is not Mode.LAST else []
            known[call] = [*before, *values][-rule.max_values :]
        _latest(known, rule.max_values)

    def _values(self, bound: Bound, call: Key = _NO_CALL) -> Values:
        """Those for the call: what its own request says holds, then what is stored."""
        before = () if self._begins(bound) else bound.before
        if bound.rule.source in _REQUESTS and (own := self._own(bound, call, before)):
            return own
        key = bound.identity + call
        return self._store.get(bound.rule, key, self._now)

    def _stored(self, bound: Bound, now: float) -> Values:
        """What the values of this call are added to: those of calls at the same time too, which came since it
        began."""
        if bound.rule.mode not in _GROWING:
            return ()
        there = self._store.get(bound.rule, bound.identity, now)
        former = {id(value) for value in bound.before} if self._begins(bound) else frozenset[int]()
        return tuple(value for value in there if id(value) not in former)

    def _begins(self, bound: Bound) -> bool:
        """Whether the values that were there are of a turn that is over."""
        return bound.rule.mode is Mode.LAST_USER_TURN and self._new_turn

    def _own(self, bound: Bound, call: Key, before: Values) -> Values:
        """What this call gave, added to what there was `before`."""
        found = tuple(self._found.get(bound.rule.digest, {}).get(call, ()))
        if bound.rule.mode is Mode.LAST:
            return found[-1:]
        if not found or not before:
            return found
        if bound.rule.source in _REQUESTS:  # which repeat what earlier ones said
            found = tuple(value for value in found if value not in before)
        return (*before, *found)


# -- what a rule finds -------------------------------------------------------------------------------------


def _found(rule: Rule, value: object, protocol: str) -> Iterator[tuple[Key, list[object]]]:
    """By tool call, where values are joined to calls."""
    if rule.mode is Mode.PER_TOOL_CALL:
        for key, call in keyed(tool_calls(value, protocol), alone=rule.joins_alone):
            if values := _fitting(rule, _related(value, call, rule.place, protocol)):
                yield key, values
    elif values := _fitting(rule, found_at(value, rule.place.steps)):
        yield _NO_CALL, values


def _latest(found: Found, most: int) -> Found:
    """`found` without the calls that are over: what is not stored need not be held."""
    for call in list(islice(found, max(0, len(found) - most))):
        del found[call]
    return found


def _goes_among_contents(rule: Rule) -> bool:
    return rule.inject.into is Into.UNIFIED_REQUEST and rule.inject.insert is not None


def _is_kept(rule: Rule, body: object, call: Steps, protocol: str) -> bool:
    """Whether the client kept what the rule has for a tool call: a short way, since most clients do."""
    inject, place = rule.inject, rule.place
    if not inject.when_missing_only:
        return False
    if inject.insert is None:
        return is_said(body, call, inject)
    before = _before(body, call, protocol) if place.before and not place.steps else ()
    return any(isinstance(each, Thought) for each in before) or any(_fitting(rule, before))


def _fitting(rule: Rule, values: Iterable[object]) -> list[object]:
    """Those that say something, and what the rule's `where` asks for."""
    return [plain(value) for value in values if not is_missing(value) and _says(value, rule.where)]


def _says(value: object, where: JsonObject) -> bool:
    return all(_is_one_of(at_step(value, name), wanted) for name, wanted in where.items())


def _is_one_of(value: object, wanted: object) -> bool:
    if isinstance(wanted, list | tuple):
        return any(_is_one_of(value, each) for each in wanted)
    if isinstance(value, str) and isinstance(wanted, str):
        return fnmatchcase(value, wanted)
    return value == wanted


def _related(value: object, call: Steps, place: Place, protocol: str) -> Iterator[object]:
    """What a path leads to from a tool call."""
    if place.before:
        for item in _before(value, call, protocol):
            yield from found_at(item, place.steps)
    elif (start := started_at(value, call, place)) is not None:
        yield from found_at(value, (*start, *place.steps))


def _before(value: object, call: Steps, protocol: str) -> list[object]:
    """The items of a list that stand between a call in it and the one before."""
    items: Items = ()
    end, here = 0, value
    for step in call:
        if isinstance(step, int):
            assert isinstance(here, list | tuple)
            items, end = here, step
        here = at_step(here, step)
    start = next((number for number in range(end, 0, -1) if is_call(items[number - 1], protocol)), 0)
    return [*items[start:end]]


def _with_header(headers: Headers, name: str, value: object, missing_only: bool) -> Headers:
    """`headers` with one of this name, of a value that is a text or a number and fits in a line."""
    text = str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    there = any(known.lower() == name for known, _ in headers)
    if (there and missing_only) or not _HEADER_VALUE.fullmatch(text):
        return headers
    return (*(pair for pair in headers if pair[0].lower() != name), (name, text))


def _joins(rule: Rule) -> bool:
    return rule.mode is Mode.PER_TOOL_CALL


def _of_answers(rule: Rule) -> bool:
    return rule.source in (Source.RESPONSE, Source.UNIFIED_RESPONSE)
