"""What a provider counted, as classes that are paid for."""

from collections.abc import Iterable
from dataclasses import astuple

from protocols.model.parts import Usage
from rewrite.usage.entry import Tokens


def tokens_of(usage: Usage) -> Tokens:
    """Each token once, those of the provider's own passes among them. No class is below 0: where a provider
    counts more in a part than in the whole, the part is cut to what is left of the whole."""
    own = answer_tokens(usage)
    return sum_of((own, *(tokens_of(one.usage) for one in usage.besides))) if usage.besides else own


def sum_of(several: Iterable[Tokens]) -> Tokens:
    """Class by class."""
    return Tokens(*map(sum, zip(*map(astuple, several), strict=True)))


def answer_tokens(usage: Usage) -> Tokens:
    """As `tokens_of`, without what is besides."""
    prompt, answer = max(usage.input or 0, 0), max(usage.output or 0, 0)
    read = _part(usage.cache_read, prompt)
    written = _part(usage.cache_write, prompt - read)
    for_an_hour = _part(usage.cache_write_1h, written)
    plain = prompt - read - written
    reasoning = _part(usage.reasoning, answer)
    audio = _part(usage.output_audio, answer - reasoning)
    return Tokens(
        input=plain,
        cache_read=read,
        cache_write=written - for_an_hour,
        cache_write_1h=for_an_hour,
        output=answer,
        reasoning=reasoning,
        input_audio=_part(usage.input_audio, plain),
        output_audio=audio,
        output_image=_part(usage.output_image, answer - reasoning - audio),
        searches=max(usage.searches or 0, 0),
    )


def _part(count: int | None, whole: int) -> int:
    return min(max(count or 0, 0), whole)
