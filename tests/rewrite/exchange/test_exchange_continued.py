"""Conversations: what can happen while the rest of an answer is asked for."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from protocols.model.http import Head
from protocols.model.parts import Usage
from rewrite.exchange.delivery import LINGER
from rewrite.targets.reading import NO_END
from rewrite.values.events import (
    Acquire,
    Acquired,
    CancelUpstream,
    ClientGone,
    EndResponse,
    Event,
    OpenUpstream,
    Release,
    Report,
    SendData,
    SendHeaders,
    SetTimer,
    Start,
    TimerFired,
    UpstreamClosed,
    UpstreamData,
    UpstreamSent,
    UpstreamStarted,
)
from rewrite.values.outcome import Abandoned, Completed, Stalled, Truncated
from rewrite.values.timeouts import OnTruncation
from rewrite.values.timer import Timer
from tests.playbook import ANY, After, Open, Playbook, body_with
from tests.rewrite.asks import REGISTRY, ask
from tests.rewrite.continued import CUT
from tests.rewrite.scenes import (
    DONE,
    ROLE,
    SSE,
    TERMS,
    error_body,
    event,
    finishes,
    opened,
    own,
    play,
    refused,
    says,
    timed,
)

CONTINUES = structs.replace(TERMS, on_truncation=OnTruncation.CONTINUE)
SAID = ROLE + says("Hello wor")
TOKEN = 60.0


def cut() -> Playbook:
    """The first answer was cut, and another key is wanted for the rest."""
    conversation = play(ask("openai_chat"), timed(CONTINUES, first_token=TOKEN))
    conversation = conversation >> Start() << Acquire(1) >> Acquired(1, "a") << OpenUpstream(1)
    conversation = conversation >> UpstreamSent(1) << SetTimer(1, Timer.FIRST_TOKEN, TOKEN)
    conversation = conversation >> UpstreamStarted(1, SSE) >> UpstreamData(1, SAID)
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, SAID) >> UpstreamClosed(1, CUT)
    return conversation << Release(1, Truncated(CUT)) << Acquire(2, avoid=frozenset("a"))


def asked_again() -> Playbook:
    """It was asked for."""
    conversation = cut() >> Acquired(2, "b") << OpenUpstream(2, True, ANY) >> UpstreamSent(2)
    return conversation << SetTimer(2, Timer.FIRST_TOKEN, TOKEN)


def test_a_rest_that_never_begins_is_given_up() -> None:
    conversation = asked_again() >> After(TOKEN) >> TimerFired(2, Timer.FIRST_TOKEN)
    conversation = conversation << CancelUpstream(2) << Release(2, Stalled(Timer.FIRST_TOKEN, TOKEN))
    assert conversation << Acquire(3, avoid=frozenset("ab"))


def test_a_refusal_of_the_rest_whose_body_never_ends_is_given_up() -> None:
    conversation = asked_again() >> UpstreamStarted(2, refused(503))
    conversation = conversation >> UpstreamData(2, error_body("busy")[:-1])
    conversation = conversation >> After(TOKEN) >> TimerFired(2, Timer.FIRST_TOKEN)
    conversation = conversation << CancelUpstream(2) << Release(2, ANY)
    assert conversation << Acquire(3, avoid=frozenset("ab"))


def left_with(head: Head) -> Any:
    """The summary of a call whose client left with this head."""
    return Open(f"left with {head}", lambda found: (found.end, found.head) == ("abandoned", head))


def test_a_client_that_leaves_before_the_rest_has_the_first_head() -> None:
    assert cut() >> ClientGone() << Report(left_with(SSE))


def test_a_client_that_leaves_in_the_rest_has_the_first_head() -> None:
    other = replace(SSE, headers=(*SSE.headers, ("x-request-id", "2")))
    conversation = asked_again() >> UpstreamStarted(2, other) >> ClientGone() << CancelUpstream(2)
    assert conversation << Release(2, Abandoned()) << Report(left_with(SSE))


# -- upstream begins again after its last frame ---------------------------------------------------------

CALL_ITEM = {"type": "function_call", "id": "f1", "call_id": "t1", "name": "f", "arguments": ""}
RESPONSE = {"id": "r1", "model": "model", "output": []}
CREATED = event("response.created", response=RESPONSE)
CALLED = event("response.output_item.added", output_index=0, item=CALL_ITEM)
WHOLE = event("response.output_item.done", output_index=0, item={**CALL_ITEM, "arguments": "{}"})
COMPLETED = event("response.completed", response={**RESPONSE, "status": "completed"})


def begun_again() -> Playbook:
    """The client has a whole answer, and upstream repeats it as far as a call that is held."""
    asked, responses = ask("openai_responses"), REGISTRY["openai_responses"]
    target = own(asked, responses, CONTINUES, hold_tool_calls=True)
    conversation = opened(play(asked, target, protocol=responses))
    conversation = conversation >> UpstreamData(1, CREATED + CALLED + WHOLE + COMPLETED)
    conversation = conversation << SendHeaders(1, SSE) << SendData(1, ANY) << SendData(1, ANY)
    conversation = conversation << SetTimer(1, Timer.LINGER, LINGER)
    return conversation >> UpstreamData(1, CREATED + CALLED) << SendData(1, CREATED)


@pytest.mark.parametrize("last", [ClientGone(), TimerFired(1, Timer.LINGER)], ids=["gone", "lingered"])
def test_no_continuation_is_asked_for_after_an_end(last: Event) -> None:
    """SDKs hang up on the last frame: an attempt for the rest would be for nobody, and leave no record."""
    conversation = begun_again() >> last << SendData(1, body_with("response.incomplete"))
    conversation = conversation << CancelUpstream(1) << Release(1, Truncated(NO_END))
    assert conversation << Report(ANY) << EndResponse(1)


# -- what each attempt used -----------------------------------------------------------------------------

USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":2,"cost":0.5}}\n\n'


def released(conversation: Playbook, *events: Event) -> Release:
    """The last one that comes of all `events`."""
    commands = [
        command for each in events for command in conversation.exchange.handle(each, conversation.now)
    ]
    return next(command for command in reversed(commands) if isinstance(command, Release))


def test_a_release_has_what_the_attempt_said() -> None:
    conversation = opened(play(ask("openai_chat"), timed(CONTINUES)))
    answer = SAID + finishes("stop") + USAGE + DONE
    found = released(conversation, UpstreamData(1, answer), UpstreamClosed(1))
    assert found == Release(1, Completed())
    assert found.progress is not None
    assert (found.progress.usage, found.before) == (Usage(20, 2, cost=0.5), None)


def test_a_release_after_a_continuation_has_what_was_used_before() -> None:
    rest = ROLE + says("ld") + finishes("stop") + USAGE + DONE
    events = (UpstreamStarted(2, SSE), UpstreamData(2, rest), UpstreamClosed(2))
    found = released(asked_again(), *events)
    assert found == Release(2, Completed())
    assert found.progress is not None
    assert (found.progress.usage, found.before) == (Usage(20, 5, cost=0.5), Usage(output=3))


def test_a_release_of_what_never_began_has_nothing() -> None:
    conversation = play(ask("openai_chat"), TERMS) >> Start() << Acquire(1) >> Acquired(1, "a")
    conversation = conversation << OpenUpstream(1)
    found = released(conversation, UpstreamClosed(1, "refused", connected=False))
    assert (found.progress, found.before) == (None, None)
