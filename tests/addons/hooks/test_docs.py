"""docs/hooks.md says what there is: each hook, and configs that load."""

import re
from pathlib import Path

import pytest

from addons.config.settings import load
from rewrite.hooks.base import POINTS

TEXT = (Path(__file__).parents[3] / "docs/hooks.md").read_text(encoding="utf-8")
CONFIGS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
KEYS = {
    "BEDROCK_API_KEY": "bedrock-api-key-of-somebody",
    "BEDROCK_ACCESS_KEY": "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
ACME = (
    "from rewrite.hooks.base import Hooks\n\nclass Acme(Hooks):\n    def read_part(self, part, about): ...\n"
)


def test_each_hook_has_its_line() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == POINTS


@pytest.mark.parametrize("text", CONFIGS)
def test_its_configs_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "quirks.py").write_text(ACME)
    (tmp_path / "rotator.toml").write_text(text)
    settings = load("", KEYS, tmp_path)
    assert not settings.warnings
    assert any(one.hooks for one in settings.providers)
