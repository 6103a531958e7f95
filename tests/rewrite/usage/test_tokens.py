"""Classes of tokens: each token once."""

from hypothesis import given
from hypothesis import strategies as st

from protocols.model.parts import OtherUsage, Usage
from rewrite.usage.entry import Tokens
from rewrite.usage.tokens import tokens_of

COUNTS = st.none() | st.integers(-5, 1 << 40)
USAGES = st.builds(
    Usage,
    input=COUNTS,
    output=COUNTS,
    cache_read=COUNTS,
    cache_write=COUNTS,
    cache_write_1h=COUNTS,
    reasoning=COUNTS,
    input_audio=COUNTS,
    output_audio=COUNTS,
    output_image=COUNTS,
    searches=COUNTS,
)


@given(USAGES)
def test_no_class_is_below_zero_and_the_classes_are_the_whole(usage: Usage) -> None:
    tokens = tokens_of(usage)
    assert all(getattr(tokens, each) >= 0 for each in Tokens.__struct_fields__)
    prompt = tokens.input + tokens.cache_read + tokens.cache_write + tokens.cache_write_1h
    assert prompt == max(usage.input or 0, 0)
    assert tokens.output == max(usage.output or 0, 0)
    assert tokens.reasoning + tokens.output_audio + tokens.output_image <= tokens.output
    assert tokens.input_audio <= tokens.input


def test_a_cache_is_taken_out_of_the_prompt_once() -> None:
    usage = Usage(input=1000, cache_read=600, cache_write=300, cache_write_1h=100, output=50, reasoning=20)
    assert tokens_of(usage) == Tokens(
        input=100, cache_read=600, cache_write=200, cache_write_1h=100, output=50, reasoning=20
    )


def test_other_passes_of_the_provider_are_counted_too() -> None:
    compaction = OtherUsage("", Usage(input=900, cache_write=800, output=30))
    advice = OtherUsage("claude-opus-5", Usage(input=70, output=6))
    usage = Usage(input=100, output=5, besides=(compaction, advice))
    assert tokens_of(usage) == Tokens(input=270, cache_write=800, output=41)


def test_nothing_is_known_of_an_empty_report() -> None:
    assert tokens_of(Usage()) == Tokens()
