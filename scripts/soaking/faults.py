"""What the fake provider does with a call, by the model that the call names."""

from collections import Counter

from tests.e2e.suite.voice import Act, Voice, changed, cut, error_after_text, error_in_band, healthy, refused
from tests.e2e.translation.bench import model_of
from tests.e2e.translation.scenarios import ANSWER, WEATHER
from tests.vendor import Answer, End, Hang, Pace, Received, Reset
from tests.vendor.defaults import not_found
from tests.vendor.speech import Said, speech_of

_CALL = Said(tools=(WEATHER,), finish="tools")
_LONG = Said(tuple(f"word{number} " for number in range(200)))
_HUGE = Said(("0123456789abcdef" * 4096,) * 24)
FAULTS: dict[str, tuple[Act, ...]] = {
    "good": (healthy(),),
    "long": (healthy(_LONG),),
    "huge": (healthy(_HUGE),),
    "slow-bytes": (changed(healthy(), pace=Pace(size=64, interval=0.02)),),
    "gzip": (changed(healthy(_LONG), encoding="gzip"),),
    "tool": (healthy(_CALL),),
    "half-a-tool": (cut(End(), said=_CALL, after="Pa"), healthy(_CALL)),
    "reset": (cut(Reset()), healthy()),
    "ended": (cut(End()), healthy()),
    "stalled": (cut(Hang()), healthy(), healthy()),
    "silent": (lambda _: Hang(), healthy(), healthy(), healthy()),
    "error-first": (error_in_band, healthy(), healthy()),
    "error-later": (error_after_text, healthy()),
    "rate": (refused(429, ("retry-after", "1")), healthy(), healthy()),
    "server": (refused(503), healthy(), healthy()),
}
"""By model: the answers that it gives, in turn, over and over."""

TEXTS = tuple(said.text for said in (ANSWER, _LONG, _HUGE))
"""What the provider says, in full: whatever a client gets begins one of these."""


class Provider:
    """The fake provider's part. Its thread alone calls it."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def __call__(self, received: Received) -> Answer:
        speech, model = speech_of(received.path), model_of(received)
        if speech is None or model not in FAULTS:
            return not_found()
        acts, number = FAULTS[model], self._asked[received.path + model]
        self._asked[received.path + model] += 1
        return acts[number % len(acts)](Voice(speech, model))
