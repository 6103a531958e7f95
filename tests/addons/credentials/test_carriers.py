"""Credentials taken out of heads, put back, and replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from addons.credentials.carriers import HEADERS, put_back, take_out, write
from protocols.model.http import Headers
from rewrite.catalog.providers import Carrier

POOL = SecretStr("sk-pool")
PLAIN: Headers = (("Host", "x"), ("Accept", "*/*"))


@pytest.mark.parametrize(
    "name",
    ["Authorization", "AUTHORIZATION", "x-api-key", "Api-Key", "x-goog-api-key", "x-api-key ", "\tapi-key"],
)
def test_every_header_is_a_carrier_in_any_case(name: str) -> None:
    headers, target, own = take_out((PLAIN[0], (name, "sk-own"), PLAIN[1]), "/v1?a=b")
    assert (headers, target) == (PLAIN, "/v1?a=b")
    assert own is not None
    assert own.secret.get_secret_value() == "sk-own"


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("/v1?key=k", "/v1"),
        ("/v1?key=k&a=1", "/v1?a=1"),
        ("/v1?a=1&key=k&b", "/v1?a=1&b"),
        ("/v1?a=1&key=", "/v1?a=1"),
        ("/v1?access_token=k&a=1", "/v1?a=1"),
        ("/v1?KEY=k&API-key=k&api_key=k&a=1", "/v1?a=1"),
        ("/v1?%6bey=k&ap%69%2Dkey=k&$key=k&a=1", "/v1?a=1"),
        ("/v1?x-goog-api-key=k&Access-Token=k", "/v1"),
        ("/v1?api-version=1&key_id=2&pageToken=3", "/v1?api-version=1&key_id=2&pageToken=3"),
        ("/v1?keyed=k", "/v1?keyed=k"),
        ("/v1?a=key=k", "/v1?a=key=k"),
        ("/v1?", "/v1?"),
        ("/v1", "/v1"),
    ],
)
def test_the_querys_key_goes_and_the_rest_stays(target: str, left: str) -> None:
    assert take_out((), target)[1] == left


def test_without_a_credential_there_is_none() -> None:
    assert take_out((*PLAIN, ("Authorization", "")), "/v1?key=") == (PLAIN, "/v1", None)


carried = st.sampled_from([*HEADERS, "Authorization", "X-Api-Key"])
ordinary = st.sampled_from(["Host", "accept", "X-B", "cookie"])
values = st.text("abcdefgh-_. ", min_size=1).map(str.strip).filter(bool)
heads = st.lists(st.tuples(carried | ordinary, values)).map(tuple)
pairs = st.sampled_from(["a=1", "key=k", "access_token=t", "b", "%6bey=l", "API-Key=m", "c=%20"])
queries = st.lists(pairs, max_size=4).map("&".join)


@given(heads, queries)
def test_what_is_put_back_is_where_it_was(headers: Headers, query: str) -> None:
    target = "/v1" + (f"?{query}" if query else "")
    rest, stripped, own = take_out(headers, target)
    assert not [name for name, _ in rest if name.lower() in HEADERS]
    if own is None:
        assert (rest, stripped) == (headers, target)
    else:
        assert put_back(rest, stripped, own) == (headers, target)


@pytest.mark.parametrize(
    ("value", "is_key"),
    [
        ("Bearer sk-own", True),
        ("bearer sk-own", True),
        ("sk-own", True),
        ("Bearer sk-ant-oat01-x", False),
        ("Bearer eyJx.y.z", False),
        ("Bearer  eyJx.y.z", False),
        ("Bearer\teyJx.y.z", False),
        ("Basic eDp5", False),
        ("AWS4-HMAC-SHA256 Credential=x", False),
    ],
)
def test_only_an_api_key_may_be_replaced(value: str, *, is_key: bool) -> None:
    _, _, own = take_out((("Authorization", value),), "/")
    assert own is not None
    assert own.is_api_key(["sk-ant-oat", "eyJ"]) is is_key


@pytest.mark.parametrize(
    ("value", "query"), [("bearer  ek_1", ""), ("\tek_1 ", ""), ("", "?key=%65k_1"), ("", "?api-key=ek%5F1")]
)
def test_the_kind_of_a_key_is_known_however_it_is_written(value: str, query: str) -> None:
    own = take_out((("Authorization", value),), f"/{query}")[2]
    assert own is not None
    assert own.begins_with(["ek_"])


def test_a_token_in_a_query_is_a_login_s_however_it_is_written() -> None:
    own = take_out((), "/v1?Access%5fToken=x")[2]
    assert own is not None
    assert not own.is_api_key([])


def test_a_fingerprint_tells_keys_apart_and_nothing_more() -> None:
    prints = [take_out((("x-api-key", key),), "/")[2] for key in ("one", "two", "one")]
    one, two, again = (own.fingerprint for own in prints if own)
    assert one == again != two
    bearer = take_out((("Authorization", "Bearer one"),), "/")[2]
    assert bearer is not None
    assert bearer.fingerprint == one
    assert len(one) == 12
    assert "one" not in repr(prints)


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (("x-api-key", "own"), ("x-api-key", "sk-pool")),
        (("X-API-Key", "own"), ("X-API-Key", "sk-pool")),
        (("authorization", "Bearer own"), ("authorization", "Bearer sk-pool")),
        (("api-key", "own"), ("x-api-key", "sk-pool")),
        (("x-goog-api-key", "own"), ("x-api-key", "sk-pool")),
    ],
)
def test_a_pool_key_stands_where_the_clients_stood(sent: tuple[str, str], written: tuple[str, str]) -> None:
    headers, target, own = take_out((PLAIN[0], sent, PLAIN[1]), "/v1")
    accepts = [Carrier.X_API_KEY, Carrier.BEARER]
    done = write(headers, target, POOL, auth=Carrier.X_API_KEY, accepts=accepts, like=own)
    assert done == ((PLAIN[0], written, PLAIN[1]), "/v1")


def test_a_key_from_the_query_becomes_a_header() -> None:
    headers, target, own = take_out(PLAIN, "/v1?key=own&a=1")
    done = write(headers, target, POOL, auth=Carrier.BEARER, accepts=[Carrier.BEARER], like=own)
    assert done == ((*PLAIN, ("Authorization", "Bearer sk-pool")), "/v1?a=1")


def test_a_provider_without_keys_gets_none() -> None:
    assert write(PLAIN, "/", POOL, auth=Carrier.NONE, accepts=(), like=None) == (PLAIN, "/")


def test_a_token_beside_a_placeholder_counts() -> None:
    _, _, own = take_out((("x-api-key", "dummy"), ("Authorization", "Bearer oauth-1")), "/")
    _, _, other = take_out((("x-api-key", "dummy"), ("Authorization", "Bearer oauth-2")), "/")
    assert own is not None
    assert other is not None
    assert not own.is_api_key(["oauth-"])
    assert [secret.get_secret_value() for secret in own.secrets] == ["dummy", "oauth-1"]
    assert own.fingerprint != other.fingerprint


def test_a_token_in_the_query_is_no_api_key() -> None:
    _, _, own = take_out((), "/v1?access_token=ya29.x")
    assert own
    assert not own.is_api_key(())


OFFER = "realtime, openai-insecure-api-key.sk-own, openai-beta.realtime-v1"
HANDSHAKE: Headers = (("Host", "x"), ("Sec-WebSocket-Key", "k"))


@pytest.mark.parametrize(
    ("offer", "left", "key"),
    [
        (OFFER, "realtime, openai-beta.realtime-v1", "sk-own"),
        ("openai-insecure-api-key.sk-own", None, "sk-own"),
        ("realtime,OpenAI-Insecure-API-Key.sk-own", "realtime", "sk-own"),
        ("realtime,other", "realtime,other", None),
        ("realtime, openai-insecure-api-key.", "realtime", None),
    ],
)
def test_a_key_among_the_subprotocols_is_taken_out(offer: str, left: str | None, key: str | None) -> None:
    headers, _, own = take_out((*HANDSHAKE, ("Sec-WebSocket-Protocol", offer)), "/v1/realtime")
    assert headers == (*HANDSHAKE, *([("Sec-WebSocket-Protocol", left)] if left else []))
    assert (own.secret.get_secret_value() if own else None) == key


@pytest.mark.parametrize("offer", [OFFER, "openai-insecure-api-key.sk-own"])
def test_a_key_among_the_subprotocols_is_put_back(offer: str) -> None:
    sent = (*HANDSHAKE, ("Sec-WebSocket-Protocol", offer), ("Accept", "*/*"))
    headers, target, own = take_out(sent, "/v1/realtime")
    assert own is not None
    assert put_back(headers, target, own) == (sent, target)


@pytest.mark.parametrize(
    ("offer", "headers", "pool", "expected"),
    [
        (OFFER, HANDSHAKE, "sk-pool", ("Sec-WebSocket-Protocol", OFFER.replace("own", "pool"))),
        (OFFER, HANDSHAKE, "not a token", ("Authorization", "Bearer not a token")),
        (OFFER, (("Host", "x"),), "sk-pool", ("Authorization", "Bearer sk-pool")),
        (
            "realtime, openai-insecure-api-key.sk-own, openai-project.p",
            HANDSHAKE,
            "sk-pool",
            ("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.sk-pool"),
        ),
    ],
)
def test_the_pools_key_takes_its_place_where_it_can(
    offer: str, headers: Headers, pool: str, expected: tuple[str, str]
) -> None:
    stripped, target, own = take_out((*headers, ("Sec-WebSocket-Protocol", offer)), "/v1/realtime")
    accepts = (Carrier.BEARER, Carrier.SUBPROTOCOL)
    written, _ = write(stripped, target, SecretStr(pool), auth=Carrier.BEARER, accepts=accepts, like=own)
    assert expected in written
    assert not [value for _, value in written if "sk-own" in value or "openai-project" in value]


def test_the_clients_own_key_leaves_as_a_bearers_where_no_websocket_is_opened() -> None:
    _, _, own = take_out((*HANDSHAKE, ("Sec-WebSocket-Protocol", OFFER)), "/")
    assert own is not None
    assert put_back(PLAIN, "/", own) == ((*PLAIN, ("Authorization", "Bearer sk-own")), "/")
