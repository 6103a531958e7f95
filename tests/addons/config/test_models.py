"""What the config says of models: what it becomes, and what is refused in one line."""

from pathlib import Path

import pytest

from addons.config.settings import ConfigError, load
from rewrite.catalog.model_facts import facts_of
from rewrite.catalog.providers import Provider, ThinkingStyle

ROW = '[[providers.openai.models]]\nmatch = "GPT-5*"\n'


def configured(folder: Path, text: str, name: str = "openai") -> Provider:
    (folder / "rotator.toml").write_text(text)
    settings = load("rotator.toml", {}, folder)
    return next(one.provider for one in settings.providers if one.provider.name == name)


def test_a_row_stands_before_those_that_are_built_in_which_say_the_rest(tmp_path: Path) -> None:
    text = (
        'max_output = 7\ndefault_output = 5\nprotocol = "responses"\n'
        'refuses = ["seed", "reasoning.summary"]\n'
        'adapters = ["merge_system"]\ntimeouts = { stall_timeout = 3 }\nthinking = "none"\n'
    )
    facts = facts_of(configured(tmp_path, ROW + text), "gpt-5-mini")
    assert (facts.max_output, facts.default_output, facts.thinking) == (7, 5, ThinkingStyle.NONE)
    assert facts.protocol == "openai_responses"
    assert [each.param for each in facts.refuses or ()] == ["seed", "reasoning.summary"]
    assert [each.name for each in facts.adapters or ()] == ["merge_system"]
    assert facts.timeouts == {"stall": 3.0}
    assert facts.reasoning is True, "built in"


RULE = '{ name = "state", source = "response", path = "state", inject = { path = "state" } }'


def test_rules_of_models_are_those_of_the_provider_for_these_models_alone(tmp_path: Path) -> None:
    """Of one name in two rows they are two rules; they stand after the provider's."""
    text = (
        f"[providers.groq]\nfield_cache = [{RULE}]\n"
        f'[[providers.groq.models]]\nmatch = "a*"\nfield_cache = [{RULE}]\n'
        f'[[providers.groq.models]]\nmatch = "b*"\nfield_cache = [{RULE}]\n'
    )
    rules = configured(tmp_path, text, "groq").field_cache
    assert [(rule.name, rule.model) for rule in rules[-3:]] == [
        ("state", "*"),
        ("state (a*)", "a*"),
        ("state (b*)", "b*"),
    ]


MODELS = "providers.openai.models[0]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROW, f"{MODELS}: says nothing of its models: add adapters, default_output, "),
        ("[[providers.openai.models]]\nreasoning = true", f"{MODELS}.match: is missing"),
        (ROW + "max_output = 0", f"{MODELS}.max_output: must be at least 1"),
        (ROW + 'default_output = "9"', f"{MODELS}.default_output: must be a whole number"),
        (ROW + 'thinking = "much"', f'{MODELS}.thinking: must be "budget", "effort", "suffix" or "none"'),
        (ROW + 'protocol = "telex"', f"{MODELS}.protocol: no protocol of that name"),
        (ROW + 'protocol = "ollama"', f"{MODELS}.protocol: openai does not speak ollama_chat: write one of"),
        (ROW + 'refuses = ["a."]', f"{MODELS}.refuses[0]: is no path of a parameter"),
        (ROW + 'adapters = ["merge"]', f"{MODELS}.adapters[0]: unknown adapter"),
        (
            ROW + "timeouts = { stall = 1 }",
            f"{MODELS}.timeouts.stall: unknown name: did you mean stall_timeout",
        ),
        (ROW + "timeouts = { hold_limit = -1 }", f"{MODELS}.timeouts.hold_limit: must be at least 0"),
        (ROW + 'effort = "x"', f"{MODELS}.effort: unknown name: "),
        (ROW + "field_cache = [{ path = 3 }]", f"{MODELS}.field_cache[0].name: "),
        (
            ROW + 'field_cache = [{ name = "a", source = "request", path = "x", inject = { path = "x" }, '
            'match = { model = "b" } }]',
            f"{MODELS}.field_cache[0].match.model: is that of the row around it",
        ),
        (ROW + "field_cache = 3", f"{MODELS}.field_cache: is a list of tables"),
        ("[providers.openai]\nmodels = 3", "providers.openai.models: must be a list of tables"),
    ],
)
def test_nonsense_gets_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as found:
        configured(tmp_path, text)
    (line,) = found.value.lines
    assert line.startswith(f"{tmp_path / 'rotator.toml'}: {expected}")
