"""One target of a call: which headers it gets, how its answers come back."""

from dataclasses import replace

import pytest

from protocols.model.call import Rendered
from protocols.model.http import Headers
from rewrite.targets.target import Target
from tests.rewrite.scenes import ANTHROPIC, DONE, ROLE, SSE, TERMS, VENDOR, call, finishes, own, says

OPENAI = replace(VENDOR, account_headers=("openai-organization",))
RENDERED = Rendered("/v1/messages", {"model": "claude"}, (("anthropic-version", "2023-06-01"),))
SENT = (
    ("Host", "api.openai.com"),
    ("X-Odd", "1"),
    ("User-Agent", "tool/1"),
    ("Accept", "*/*"),
    ("Authorization", "Bearer sk"),
    ("OpenAI-Organization", "org-1"),
    ("Content-Type", "application/json; charset=utf-8"),
    ("Content-Length", "7"),
)
SAME = own(provider=OPENAI)
ADAPTED = own(provider=OPENAI, rendered=Rendered("/v1/chat/completions", {"model": "n"}))
ACROSS = own(call(), ANTHROPIC, original=False, rendered=RENDERED)
LIKE = own(original=False, rendered=Rendered("/v1/chat/completions", {"model": "n"}))


# -- its headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [SAME, ADAPTED], ids=["untouched", "adapted"])
def test_beside_a_key_of_the_pool_nothing_names_an_account_of_the_client(target: Target) -> None:
    assert target.keeps_headers
    assert target.dropped(SENT) == ["openai-organization"]
    assert replace(target, terms=replace(TERMS, pooled=False)).dropped(SENT) == []


@pytest.mark.parametrize(
    ("target", "its_own"),
    [(ACROSS, (("anthropic-version", "2023-06-01"),)), (LIKE, ())],
    ids=["protocol", "provider"],
)
def test_another_one_gets_an_allow_list_alone(target: Target, its_own: Headers) -> None:
    assert not target.keeps_headers
    assert target.headers(SENT) == (
        ("host", "vendor.example"),
        ("User-Agent", "tool/1"),
        ("Accept", "*/*"),
        *its_own,
        ("content-type", "application/json"),
    )
    assert target.dropped(SENT) == ["authorization", "openai-organization", "x-odd"]


# -- how its answers come back ----------------------------------------------------------------------------


def test_an_answer_of_the_client_s_own_protocol_passes_byte_for_byte() -> None:
    data = ROLE + says("Hi") + finishes("stop") + DONE
    reading = own().reading(SSE)
    assert (reading.encoder.encode(list(reading.feed(data))), reading.streamed) == (data, True)
    assert (reading.translation, reading.head) == (None, SSE)
