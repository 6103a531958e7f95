"""The playbook itself: it fails where a conversation goes another way, and shows it."""

import pytest

from rewrite.values.events import Acquire, Acquired, OpenUpstream, Start
from tests.playbook import ANY, After, Playbook
from tests.rewrite.scenes import play


def test_a_conversation_as_written_is_true() -> None:
    assert play() >> Start() << Acquire(1) >> After(2.0) >> Acquired(1, "a") << OpenUpstream(1, ANY)


def test_another_command_fails_and_shows_the_conversation() -> None:
    with pytest.raises(AssertionError) as failure:
        play() >> Start() << Acquire(1) >> After(2.0) >> Acquired(1, "a") << OpenUpstream(1, fresh=True)
    gist = str(failure.value).splitlines()
    assert [line.split("(")[0].strip() for line in gist if line] == [
        "0.0 >> Start",
        "<< Acquire",
        "0.0 >> After",
        "2.0 >> Acquired",
        "expected << OpenUpstream",
        "came << OpenUpstream",
    ]


def test_a_command_that_does_not_come_fails() -> None:
    with pytest.raises(AssertionError, match="came nothing"):
        play() >> Start() << Acquire(1) << OpenUpstream(1)


@pytest.mark.parametrize("follow", [bool, lambda playbook: playbook >> Start()], ids=["end", "event"])
def test_a_command_skipped_fails(follow: type[bool]) -> None:
    conversation: Playbook = play() >> Start()
    with pytest.raises(AssertionError, match="expected nothing more"):
        follow(conversation)
