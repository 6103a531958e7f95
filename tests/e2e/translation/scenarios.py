"""What is asked and what the provider says to it, in no protocol's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.vendor import Tool
from tests.vendor.speech import Said

WORDS = tuple(f"{word} " for word in "alpha bravo charlie delta echo fóxtrot".split())
CUT_AFTER = "charlie"
CUT_TEXT = "alpha bravo charlie "
THOUGHTS = ("Let me ", "think. ")
PROMPT = "Tell me something."
SYSTEM = "Be brief."
COMPLAINT = "the provider is out of breath"
# One pixel.
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

WEATHER = Tool("get_weather", ('{"ci', 'ty": "Pa', 'ris"', "}"), "call_one")
TIME = Tool("get_time", ('{"city": ', '"Köln"}'), "call_two")
CITIES = {WEATHER.name: "Paris", TIME.name: "Köln"}

STREAMS = ("raw", "helper", "async_raw")
WHOLE = ("whole", "async_whole")
ALL = STREAMS + WHOLE


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider answers with an error status."""

    status: int


@dataclass(frozen=True, slots=True)
class Fails:
    """The provider sends an error in the middle of its answer."""

    after: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer just ends; with `reset` its connection is reset."""

    after: str
    reset: bool = False


type Fault = Refused | Fails | Cut


@dataclass(frozen=True, slots=True)
class Scenario:
    """`job` goes to the client; `says`: what the provider says, turn by turn; `fault` befalls the first.

    own: whether it is played without a route too.
    """

    name: str
    says: tuple[Said, ...]
    modes: tuple[str, ...] = ALL
    job: Mapping[str, Any] = field(default_factory=dict)
    fault: Fault | None = None
    own: bool = False


ANSWER = Said(WORDS)
_ONE = Said(tools=(WEATHER,), finish="tools")
_LATER = Said(("First. ",), tools=(WEATHER,), finish="tools")
_TWO = Said(("Both. ",), tools=(WEATHER, TIME), finish="tools")
_LOOP = {"tools": True, "turns": 3}
_THINKING = {"reasoning": True}
_THOUGHT = Said(WORDS, THOUGHTS)
_THOUGHT_CALL = Said((), THOUGHTS, (WEATHER,), "tools")

SCENARIOS = (
    Scenario("text", (ANSWER,), own=True),
    Scenario("loop", (_ONE, ANSWER), job=_LOOP, own=True),
    Scenario("parallel", (_TWO, ANSWER), ("raw", "helper", "whole"), _LOOP),
    Scenario("thought", (_THOUGHT,), ("raw", "helper", "whole"), _THINKING),
    Scenario("thoughtloop", (_THOUGHT_CALL, ANSWER), ("raw", "helper", "whole"), {**_LOOP, **_THINKING}),
    Scenario("image", (ANSWER,), ("raw", "whole"), {"image": IMAGE}),
    Scenario("long", (Said(WORDS, finish="length"),), ("raw", "helper", "whole")),
    Scenario("bad", (ANSWER,), ("raw", "whole"), fault=Refused(400)),
    Scenario("rate", (ANSWER,), ("raw", "whole"), fault=Refused(429)),
    Scenario("busy", (ANSWER,), ("raw", "async_raw", "whole"), fault=Refused(529)),
    Scenario("fails", (ANSWER,), STREAMS, fault=Fails(CUT_AFTER), own=True),
    Scenario("cut", (ANSWER,), STREAMS, fault=Cut(CUT_AFTER), own=True),
    Scenario("cutbody", (ANSWER,), WHOLE, fault=Cut("")),
    Scenario("reset", (ANSWER,), ("raw",), fault=Cut(CUT_AFTER, reset=True)),
    # What has `Pa` is half of the arguments; where calls come whole, it is all of them, and no end.
    Scenario("cutcall", (_ONE,), STREAMS, {"tools": True}, Cut("Pa")),
    Scenario("cutlater", (_LATER,), STREAMS, {"tools": True}, Cut("Pa", reset=True)),
)
