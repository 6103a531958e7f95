"""What befalls an answer and its continuations, in no protocol's words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.vendor import Tool
from tests.vendor.speech import Said

WORDS = ("alpha ", "bravo ", "charlie ", "delta ", "echo ", "fóxtrot ")
TEXT, CUT_AFTER = "".join(WORDS), "charlie "
CUT_TEXT = "alpha bravo charlie "
THOUGHTS = ("Let me ", "think. ")
PROMPT = "Tell me something."
WEATHER = Tool("get_weather", ('{"ci', 'ty": "Pa', 'ris"', "}"), "call_one")
WHOLE_CALLS = frozenset({"gemini_generate", "ollama_chat"})
"""Protocols in which a call comes whole, so that none can be cut."""


@dataclass(frozen=True, slots=True)
class Given:
    """One answer of the provider's: all of `said`, or as far as `upto`, where it `ends`: "cut", "reset",
    "hung", "error", "refused" (before anything of it, with 429) or "silent"."""

    said: Said
    ends: str = ""
    upto: str = ""

    @property
    def shown(self) -> str:
        """What the client sees of it where it is cut, thoughts included; of a call nothing."""
        visible = "".join((*self.said.reasoning, *self.said.texts))
        before, found, _ = visible.partition(self.upto)
        return before + found


@dataclass(frozen=True, slots=True)
class Scenario:
    """`gives`: the provider's answers in order; `keys`: those that it is asked with. `text`, `finish` and
    `calls` are what the client reads, `end` and `words` what the record says. `says`: what each further
    request holds. `group`: the second is asked of another provider, in another protocol."""

    name: str
    gives: tuple[Given, ...]
    keys: str = "one two"
    text: str = TEXT
    finish: str = "stop"
    calls: tuple[str, ...] = ()
    end: str = "completed"
    words: str = "continued 1 time"
    says: tuple[str, ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)
    group: bool = False
    but: frozenset[str] = frozenset()

    def counted(self, beginnings: tuple[int, int]) -> list[int]:
        """The tokens of all answers; `beginnings`: those that a protocol reports of one that is cut."""
        spent, out, characters = 0, 0, 0
        for one in self.gives:
            if one.ends in ("refused", "silent"):
                continue
            counts = beginnings if one.ends else (12, 9)
            spent, out = spent + counts[0], out + counts[1]
            characters += len(one.shown) if one.ends else 0
            out = max(out, -(-characters // 4)) if one.ends else out
        return [spent, out]


def cut(*words: str) -> Given:
    """These words, and a cut; of more than one it comes after the last but one."""
    return Given(Said((*words, "nevermore")), "cut", words[-1])


FIRST = Given(Said(WORDS), "cut", CUT_AFTER)
REST = Given(Said(WORDS[3:]))
LATER = Given(Said(WORDS[4:]))
_TOOLS = {"tools": True}
_CALL = Given(Said(WORDS[3:], tools=(WEATHER,), finish="tools"))
_ELSE = Said(("No. ", "Something ", "else. "))
_LOST = Given(Said(("First. ",), tools=(WEATHER,), finish="tools"), "cut", "Pa")
_THOUGHT = Said(WORDS, THOUGHTS)

SCENARIOS = (
    Scenario("continues", (FIRST, REST)),
    Scenario("reset", (Given(Said(WORDS), "reset", CUT_AFTER), REST)),
    Scenario("hung", (Given(Said(WORDS), "hung", CUT_AFTER), REST)),
    Scenario("again", (FIRST, Given(Said(WORDS)))),
    Scenario("last_words", (FIRST, Given(Said(WORDS[1:])))),
    Scenario("contradicts", (FIRST, Given(_ELSE)), text=CUT_TEXT + _ELSE.text),
    Scenario("cut_again", (FIRST, cut("delta "), LATER), "one two three", words="continued 2 times"),
    Scenario(
        "cut_twice_more",
        (FIRST, cut("delta "), cut("echo "), Given(Said(WORDS[5:]))),
        "one two three four",
        words="continued 3 times",
    ),
    Scenario(
        "cut_always",
        (FIRST, cut("delta "), cut("echo "), cut("fóxtrot ")),
        "one two three four",
        finish="length",
        end="truncated",
        words="continued 3 times",
    ),
    Scenario(
        "loops",
        (FIRST, Given(Said(WORDS), "cut", CUT_AFTER)),
        text=CUT_TEXT,
        finish="length",
        end="truncated",
    ),
    Scenario("refused", (FIRST, Given(Said(), "refused"), REST), "one two three", words="continued 2 times"),
    Scenario("silent", (FIRST, Given(Said(), "silent"), REST), "one two three", words="continued 2 times"),
    Scenario(
        "fails",
        (FIRST, Given(Said(WORDS[3:]), "error", WORDS[3]), LATER),
        "one two three",
        words="continued 2",
    ),
    Scenario("calls", (FIRST, _CALL), finish="tools", calls=(WEATHER.name,), job=_TOOLS),
    Scenario(
        "loses_a_call",
        (_LOST, Given(Said((), tools=(WEATHER,), finish="tools"))),
        text="First. ",
        finish="tools",
        calls=(WEATHER.name,),
        says=(WEATHER.name, "smaller pieces"),
        job=_TOOLS,
        but=WHOLE_CALLS,
    ),
    Scenario("long", (FIRST, Given(Said(WORDS[3:], finish="length"))), finish="length"),
    Scenario("another", (FIRST, REST), group=True),
    Scenario("thought", (Given(_THOUGHT, "cut", THOUGHTS[1]), Given(_THOUGHT)), job={"reasoning": True}),
)
