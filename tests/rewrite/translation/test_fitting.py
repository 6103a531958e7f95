"""A prompt made fit for another protocol: what is lost is reported, what would change is refused."""

from dataclasses import replace

import pytest

from protocols.base import Abilities
from protocols.model.errors import Untranslatable
from protocols.model.parts import Signature
from protocols.model.prompt import (
    Content,
    Media,
    MediaForm,
    MediaKind,
    Message,
    Prompt,
    Role,
    Text,
    Thought,
    ToolResult,
)
from protocols.shared.signatures import wrapped
from rewrite.translation.fitting import fitted

ABLE = Abilities(
    lacks={"seed": "it has no seed", "stop": "it stops for nobody"},
    media={MediaKind.IMAGE: frozenset({MediaForm.DATA})},
)
SEAL = Signature("signature", "sig")
PNG = Media(MediaKind.IMAGE, MediaForm.DATA, "AAAA", "image/png")
LINK = Media(MediaKind.IMAGE, MediaForm.URL, "https://a/b.png", at="input[2].content[0]")
UPLOAD = Media(MediaKind.FILE, MediaForm.FILE_ID, "file-1", at="input[2].content[0]")
SOUND = Media(MediaKind.AUDIO, MediaForm.DATA, "AAAA", at="input[2].content[0]")
HI = Message(Role.USER, (Text("Hi"),))


def said(*content: Content, role: Role = Role.ASSISTANT) -> Prompt:
    return Prompt("m", (HI, Message(role, content)))


def lost(prompt: Prompt) -> list[tuple[str, str]]:
    return [(loss.field, loss.why) for loss in fitted(prompt, ABLE, "anthropic")[1]]


def test_a_prompt_that_fits_is_the_same_and_loses_nothing() -> None:
    prompt = replace(said(Text("Hello")), temperature=0.5)
    assert fitted(prompt, ABLE, "anthropic") == (prompt, ())


def test_what_the_target_lacks_is_cleared_and_reported_once_where_it_was_said() -> None:
    prompt = replace(said(), seed=0, top_p=0.5)
    found, losses = fitted(prompt, ABLE, "anthropic")
    assert (found.seed, found.top_p) == (None, 0.5)
    assert [(loss.field, loss.why) for loss in losses] == [("seed", "it has no seed")]


def test_fields_that_only_the_client_s_protocol_knows_are_reported() -> None:
    prompt = replace(said(), extensions={"logit_bias": {"1": 2}})
    assert fitted(prompt, ABLE, "anthropic")[0].extensions == {}
    assert lost(prompt) == [("logit_bias", "has no such field there")]


@pytest.mark.parametrize(
    ("thought", "kept"),
    [
        (Thought("hm", wrapped(SEAL, "anthropic")), Thought("hm", SEAL)),
        (Thought("", wrapped(SEAL, "anthropic")), Thought("", SEAL)),
        (Thought("hm", wrapped(SEAL, "gemini")), None),
        (Thought("hm", SEAL), None),
        (Thought("hm"), None),
    ],
    ids=str,
)
def test_reasoning_goes_back_to_its_own_maker_alone(thought: Thought, kept: Thought | None) -> None:
    found, losses = fitted(said(thought, Text("Hello")), ABLE, "anthropic")
    assert found.messages[1].content == ((kept, Text("Hello")) if kept else (Text("Hello"),))
    assert [loss.field for loss in losses] == ([] if kept else ["reasoning"])


def test_a_message_of_nothing_else_is_none() -> None:
    assert fitted(said(Thought("hm")), ABLE, "anthropic")[0].messages == (HI,)
    assert fitted(said(), ABLE, "anthropic")[0].messages == (HI, Message(Role.ASSISTANT, ()))


def test_media_that_the_model_made_is_left_out_and_reported() -> None:
    found, losses = fitted(said(SOUND, Text("there")), ABLE, "anthropic")
    assert found.messages[1].content == (Text("there"),)
    assert [loss.field for loss in losses] == ["media"]


@pytest.mark.parametrize("media", [LINK, UPLOAD, SOUND], ids=str)
@pytest.mark.parametrize("inside", [False, True])
def test_media_that_would_be_missed_is_refused_where_the_client_has_it(media: Media, inside: bool) -> None:
    content: Content = ToolResult("t", (Text("see"), media)) if inside else media
    with pytest.raises(Untranslatable) as refused:
        fitted(said(content, role=Role.USER), ABLE, "anthropic")
    assert refused.value.field == media.at


def test_media_in_a_form_that_is_taken_stays() -> None:
    prompt = said(PNG, ToolResult("t", (PNG,)), role=Role.USER)
    assert fitted(prompt, ABLE, "anthropic") == (prompt, ())


@pytest.mark.parametrize(
    ("choices", "able", "refused"),
    [(None, False, False), (2, False, True), (2, True, False)],
)
def test_more_than_one_choice_is_refused_where_one_alone_is_given(
    choices: int | None, able: bool, refused: bool
) -> None:
    prompt, abilities = replace(said(), choices=choices), replace(ABLE, several_choices=able)
    if refused:
        with pytest.raises(Untranslatable, match="more than one"):
            fitted(prompt, abilities, "anthropic")
    else:
        assert fitted(prompt, abilities, "anthropic")[0].choices == choices


def test_one_choice_is_what_is_given_anyway() -> None:
    lacking = replace(ABLE, lacks={"choices": "there is one answer"})
    prompt, losses = fitted(replace(said(), choices=1), lacking, "anthropic")
    assert (prompt.choices, losses) == (None, ())
