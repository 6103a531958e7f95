"""What a provider counted: as classes that are paid for, what several reports of it come to, and what stands
in for one that did not come."""

from collections.abc import Iterable

from msgspec import structs

from protocols.model.parts import Usage
from protocols.model.progress import Progress, estimated_tokens
from rewrite.usage.entry import Tokens


def tokens_of(usage: Usage) -> Tokens:
    """Each token once, those of the provider's own passes among them. No class is below 0: where a provider
    counts more in a part than in the whole, the part is cut to what is left of the whole."""
    own = answer_tokens(usage)
    return sum_of((own, *(tokens_of(one.usage) for one in usage.besides))) if usage.besides else own


def sum_of(several: Iterable[Tokens]) -> Tokens:
    """Class by class."""
    return Tokens(*map(sum, zip(*map(structs.astuple, several), strict=True)))


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
    return min(max(count, 0), whole) if count else 0


def spent(progress: Progress) -> Usage:
    """What an answer that was cut has used: the output at least what its text comes to, since a count that
    comes before the end is that of its beginning (measured: Anthropic's says 1)."""
    counted = progress.usage or Usage()
    text = estimated_tokens(progress.characters)
    return structs.replace(counted, output=max(counted.output or 0, text))


def known(counted: Usage | None, characters: int, prompt: int, *, whole: bool) -> tuple[Usage | None, bool]:
    """What an answer has used, and whether some of that is estimated. It has so many `characters`, its
    `prompt` so many bytes; `whole`: it was not cut. None: nobody counted, and there is nothing to count."""
    reported = counted.output if counted else None
    if reported is not None and whole:
        return counted, False
    if counted is None and not characters:
        return None, False
    output = max(reported or 0, estimated_tokens(characters))
    usage = counted or Usage()
    sent = estimated_tokens(prompt) if usage.input is None else usage.input
    return structs.replace(usage, input=sent, output=output), (usage.input, reported) != (sent, output)


def added(one: Usage, two: Usage) -> Usage:
    """Both together; a count that one of them lacks is the other's."""
    return Usage(
        input=_sum(one.input, two.input),
        output=_sum(one.output, two.output),
        cache_read=_sum(one.cache_read, two.cache_read),
        cache_write=_sum(one.cache_write, two.cache_write),
        reasoning=_sum(one.reasoning, two.reasoning),
        cost=_sum(one.cost, two.cost),
        cache_write_1h=_sum(one.cache_write_1h, two.cache_write_1h),
        input_audio=_sum(one.input_audio, two.input_audio),
        output_audio=_sum(one.output_audio, two.output_audio),
        output_image=_sum(one.output_image, two.output_image),
        searches=_sum(one.searches, two.searches),
        besides=(*one.besides, *two.besides),
        tier=two.tier or one.tier,
    )


def _sum[T: (int, float)](one: T | None, two: T | None) -> T | None:
    counts = [count for count in (one, two) if count is not None]
    return sum(counts) if counts else None
