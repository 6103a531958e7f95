"""What hooks give, looked at before it is used: code of others may give anything. All raise HookError."""

from collections.abc import Mapping
from math import isfinite
from types import UnionType

from msgspec import structs

from protocols.model.call import Rendered
from protocols.model.http import Headers, WireResponse, header, is_field_name, is_field_value, is_origin_form
from protocols.model.parts import OtherUsage, Usage
from protocols.model.wirejson import dump
from rewrite.hooks.base import HookError

_ERRORS = range(400, 600)


def check_form(found: object, form: type | UnionType) -> None:
    """Raises what writing an object as JSON does, too."""
    if not isinstance(found, form):
        raise HookError(f"it gave {type(found).__name__}")
    if isinstance(found, Mapping | list):
        dump(found)


def check_request(found: object) -> None:
    """A request that is prepared."""
    check_form(found, Rendered)
    assert isinstance(found, Rendered)
    path: object = found.path
    if not (isinstance(path, str) and is_origin_form(path.encode())):
        raise HookError("it gave a path that does not begin with / or is not percent-encoded")
    check_form(found.body, Mapping)
    if header(checked_headers(found.headers), "host") is not None:
        raise HookError("it gave a Host header, which base_url says")


def checked_headers(found: object) -> Headers:
    """Those that `found` is: pairs of texts that can be sent."""
    if not isinstance(found, list | tuple) or not all(_is_pair(pair) for pair in found):
        raise HookError("it gave headers that are no tuple of pairs of texts")
    headers = tuple([(name, value) for name, value in found])
    for name, value in headers:
        if not is_field_name(name) or not is_field_value(_bytes_of(value)):
            raise HookError("it gave a header that cannot be sent: a name is a token, a value one line")
    return headers


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)


def _bytes_of(value: str) -> bytes:
    """As it is sent; what is no UTF-8 came in so."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise HookError("it gave a header that is no text") from None


def checked_signed(found: object, given: Headers) -> Headers:
    """All headers of a request that had `given`: it goes to the same host."""
    headers = checked_headers(found)
    if header(headers, "host") not in (None, header(given, "host")):
        raise HookError("it gave another Host header, which base_url says")
    return headers


def check_answer(found: object, given: WireResponse) -> None:
    """An error answer, read of `given`: one still."""
    check_form(found, WireResponse)
    assert isinstance(found, WireResponse)
    checked_headers(found.headers)
    if found.status != given.status and not (type(found.status) is int and found.status in _ERRORS):
        raise HookError("it gave a status that is no error's")
    check_form(found.body, bytes)
    check_form(found.reason, str)
    if not is_field_value(_bytes_of(found.reason)):
        raise HookError("it gave a reason of more than one line")


def check_usage(found: object) -> None:
    """None, or amounts that can be added up."""
    check_form(found, Usage | None)
    if isinstance(found, Usage) and not _is_sound(found):
        raise HookError("it gave usage that is no number of tokens")


def _is_sound(usage: Usage) -> bool:
    counts = structs.asdict(usage)
    cost, tier, besides = (counts.pop(name) for name in ("cost", "tier", "besides"))
    if not isinstance(besides, tuple) or not all(isinstance(one, OtherUsage) for one in besides):
        return False
    others = [one.usage for one in besides]
    if not all(isinstance(each, Usage) and _is_sound(each) for each in others):
        return False
    whole = all(type(count) is int for count in counts.values() if count is not None)
    amounts = [amount for amount in (*counts.values(), cost) if amount is not None]
    return whole and all(map(_is_amount, amounts)) and isinstance(tier, str | None)


def _is_amount(amount: object) -> bool:
    return type(amount) in (int, float) and isfinite(amount) and amount >= 0  # type: ignore[arg-type, operator]  # just looked at
