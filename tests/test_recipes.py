"""CONTRIBUTING's recipes, each followed to the letter in a copy of this checkout: its tests pass there, and
fail where it says so."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.sdk import python

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("addons", "protocols", "rewrite", "rotator", "scripts", "tests", "docs")
CONTRACT = "tests/protocols/test_contract.py"
ADAPTERS = "tests/rewrite/adapters"
PROVIDERS = "tests/rewrite/catalog/test_provider_data.py"
CLIENTS = "tests/rewrite/catalog/test_clients.py"
EXAMPLE = "tests/addons/config/test_settings.py::test_the_example_names_every_adapter_and_every_protocol"
README = "tests/test_protocols_doc.py"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of this one."""

    root: Path

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def insert(self, file: str, before: str, text: str) -> None:
        """Put `text` before the first place where `before` stands."""
        old = (self.root / file).read_text(encoding="utf-8")
        assert before in old
        self.write(file, old.replace(before, text + before, 1))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.root, text=True, capture_output=True, check=False
        )

    def make(self, script: str, file: str = "") -> None:
        """What a script of ours prints, in a file; or nothing but what it does."""
        done = self.run(script)
        assert done.returncode == 0, done.stderr
        if file:
            self.write(file, done.stdout)

    def test(self, *arguments: str) -> list[str]:
        """The tests that fail; at least one is played."""
        done = self.run("pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        assert re.search(r"\d (passed|failed)", done.stdout)
        return re.findall(r"^FAILED \S+?::(\S+)", done.stdout, re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """With what is compiled, but for files that are being written."""
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc.*"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, tmp_path)
    return Checkout(tmp_path)


def recipe(title: str) -> str:
    """The text of one recipe."""
    start = CONTRIBUTING.index(f"**{title}.**")
    return re.split(r"\n(?=\*\*|## )", CONTRIBUTING[start:])[0]


def code(title: str) -> str:
    """The file that a recipe shows."""
    (found,) = re.findall(r"```python\n(.*?)```", recipe(title), re.DOTALL)
    return str(found)


# -- a protocol -------------------------------------------------------------------------------------------

DOCUMENTED = [
    "test_the_file_is_what_the_code_writes",
    "test_the_documents_say_which_calls_of_each_protocol_are_answered",
]


def document(checkout: Checkout, name: str) -> None:
    checkout.make("scripts.protocols_doc", "docs/protocols.md")
    checkout.insert("docs/calls.md", "| `ollama_chat` |", f"| `{name}` | `/x` |\n")
    checkout.insert("rotator.example.toml", "ollama_chat", f"{name}, ")


PIGEONS = {
    "text.ndjson": '{"text":"Hel"}\n{"text":"lo"}\n{"end":"stop"}\n',
    "tools.ndjson": '{"text":"It has none."}\n{"end":"stop"}\n',
    "error.ndjson": '{"text":"Hel"}\n{"error":"the loft is full"}\n',
    "text.json": '{"end":"stop"}\n',
}


def test_a_protocol(checkout: Checkout) -> None:
    checkout.write("protocols/pigeon.py", (ROOT / "tests/pigeon.py").read_text(encoding="utf-8"))
    assert checkout.test(CONTRACT, "-k", "pigeon") == ["test_has_its_fixtures[pigeon]"]
    for file, text in PIGEONS.items():
        checkout.write(f"tests/fixtures/pigeon/{file}", text)
    assert checkout.test(CONTRACT, "-k", "pigeon") == []
    assert checkout.test(README, EXAMPLE) == [
        *DOCUMENTED,
        "test_the_example_names_every_adapter_and_every_protocol[pigeon]",
    ]
    document(checkout, "pigeon")
    assert checkout.test(README, EXAMPLE) == []


def test_a_protocol_that_differs_from_another_in_one_detail(checkout: Checkout) -> None:
    checkout.write("protocols/telegraph.py", code("A protocol that differs from another in one detail"))
    assert checkout.test(CONTRACT, "-k", "telegraph") == []
    assert checkout.test(README) == DOCUMENTED
    document(checkout, "telegraph")
    assert checkout.test(README, EXAMPLE) == []


# -- a provider -------------------------------------------------------------------------------------------

ACME = """
base_url = "https://api.acme.example"
hosts = ["api.acme.example"]
protocols = ["openai_chat"]
auth = "bearer"
accepts = ["bearer"]
environment = "ACME_API_KEY"
paths = { openai_chat = "/v1/chat/completions" }
"""
ACME_ROW = """    "acme": Row(
        "https://api.acme.example",
        ("api.acme.example",),
        ("acme.example",),
        {"openai_chat": CHAT},
        (401, '{"error": {"message": "no", "code": "invalid_api_key"}}', Kind.AUTH),
        environment="ACME_API_KEY",
    ),
"""


def test_a_provider(checkout: Checkout) -> None:
    checkout.write("rewrite/catalog/provider_data/acme.toml", ACME)
    assert "test_each_built_in_provider_has_a_row" in checkout.test(PROVIDERS)
    checkout.insert(PROVIDERS, '    "openai": Row(', ACME_ROW)
    assert checkout.test(PROVIDERS) == []
    assert checkout.test("tests/test_providers_doc.py") == ["test_the_files_name_every_built_in_provider"]
    checkout.make("scripts.providers_doc")
    assert checkout.test("tests/test_providers_doc.py", "tests/addons/config/test_settings.py") == []


# -- a provider's own code --------------------------------------------------------------------------------

QUIRKS_TEST = '''"""What Acme's own code makes of a request and of an answer."""

import hashlib
import hmac
from pathlib import Path

from addons.config.settings import load
from protocols.model.call import Operation
from protocols.model.parts import Usage
from rewrite.hooks.base import About, Unsigned

CONFIG = """
[providers.acme]
base_url = "https://api.acme.example"
hosts = ["api.acme.example"]
protocols = ["openai_chat"]
code = "quirks.py:Acme"
"""
ABOUT = About("acme", "openai_chat", "m", Operation.GENERATE, True)


def test_acme(tmp_path: Path) -> None:
    (tmp_path / "quirks.py").write_text(Path("quirks.py").read_text())
    (tmp_path / "rotator.toml").write_text(CONFIG)
    acme = load("", {}, tmp_path).providers[0].hooks
    signed = acme.hooks.sign_request(Unsigned("POST", "https://x/", (), b"{}"), "id:secret", ABOUT)
    assert dict(signed)["x-acme-signature"] == hmac.new(b"secret", b"{}", hashlib.sha256).hexdigest()
    assert acme.hooks.read_usage({"spent": {"in": 1, "out": 2}}, ABOUT) == Usage(1, 2)
    assert acme.points == {"sign_request", "read_usage"}
'''


def test_a_provider_s_own_code(checkout: Checkout) -> None:
    checkout.write("quirks.py", code("A provider's own code"))
    checkout.write("tests/test_quirks.py", QUIRKS_TEST)
    assert checkout.test("tests/test_quirks.py") == []


# -- an adapter -------------------------------------------------------------------------------------------


def test_an_adapter(checkout: Checkout) -> None:
    checkout.write("rewrite/adapters/shout.py", code("An adapter"))
    found = checkout.test(f"{ADAPTERS}/test_registry.py", f"{ADAPTERS}/test_chain.py", EXAMPLE)
    assert found == [
        "test_every_adapter_is_among_them",
        "test_the_example_names_every_adapter_and_every_protocol[shout]",
    ]
    (spec,) = re.findall(r'`(\{"name": "shout".*?\})`', recipe("An adapter"))
    checkout.insert(f"{ADAPTERS}/test_chain.py", '    "merge_system",\n', f"    {spec},\n")
    checkout.insert("rotator.example.toml", '  "merge_system", ', '  { name = "shout", words = "hey" },\n')
    assert checkout.test(f"{ADAPTERS}/test_registry.py", f"{ADAPTERS}/test_chain.py", EXAMPLE) == []


# -- a fault ----------------------------------------------------------------------------------------------

FAULTS = """
    Row("S3", "new and right", [error_in_band], ROTATED),
    Row("S3", "new and wrong", [error_in_band], CUT),
"""
SUITE = "tests/e2e/suite"


def test_a_fault(checkout: Checkout) -> None:
    """What comes of it is what the row says, or its test fails."""
    python("openai-current")
    checkout.insert(f"{SUITE}/rows.py", '\n    Row("S4", "429 with Retry-After"', FAULTS.rstrip())
    found = checkout.test(
        f"{SUITE}/test_suite.py", "-k", "S3-new and openai_chat_openai-current and not async"
    )
    assert found == ["test_what_the_client_sees[S3-new_and_wrong-openai_chat_openai-current-raw]"]


# -- a client's facts, a policy ---------------------------------------------------------------------------


def test_a_client_s_facts(checkout: Checkout) -> None:
    file = checkout.root / "rewrite/catalog/clients.toml"
    file.write_text(file.read_text() + '\n[[clients]]\nname = "tool"\nmatch = "tool/*"\ncut_text = "error"\n')
    assert checkout.test(CLIENTS) == ["test_each_known_client_has_a_row"]
    checkout.insert(CLIENTS, '    ("OpenAI/JS', '    ("tool/1.0", "tool", "", "error", "error"),\n')
    assert checkout.test(CLIENTS) == []


POLICY = '''"""Whether a call may still be asked."""


def in_time(deadline: float, now: float) -> bool:
    return now < deadline
'''
POLICY_TEST = '''"""A call is asked up to its deadline."""

import pytest

from rewrite.policies.in_time import in_time


@pytest.mark.parametrize(("now", "may"), [(0.0, True), (5.0, False)])
def test_a_call_is_asked_up_to_its_deadline(now: float, *, may: bool) -> None:
    assert in_time(5.0, now) is may
'''


def test_a_policy(checkout: Checkout) -> None:
    """Beside one without a test that reads a clock."""
    checkout.write("rewrite/policies/in_time.py", POLICY)
    checkout.write("tests/rewrite/policies/test_in_time.py", POLICY_TEST)
    checkout.write("rewrite/policies/late.py", "import time\n\nSTART = time.time()\n")
    assert checkout.test("tests/rewrite/policies/test_in_time.py", "tests/test_imports.py") == [
        "test_protocols_and_rewrite_use_pure_modules_only",
        "test_every_policy_has_its_test",
    ]


# -- the text ---------------------------------------------------------------------------------------------


def test_every_recipe_is_followed() -> None:
    section = CONTRIBUTING.split("## Recipes\n")[1].split("\n## ")[0]
    titles = re.findall(r"^\*\*(.*?)\.\*\*", section, re.MULTILINE)
    followed = {name.removeprefix("test_") for name in globals() if name.startswith("test_a")}
    assert {re.sub(r"\W", "_", title).lower() for title in titles} == followed


def test_every_file_that_is_named_is_there() -> None:
    """A path from here or from a layer, without the parts that stand for others (NAME)."""
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", CONTRIBUTING)
    ends = (".py", ".md", ".toml", "/")
    paths = [path for path in named if path.endswith(ends) and "NAME" not in path]
    assert paths
    bases = (ROOT, *(ROOT / name for name in COPIED))
    assert [path for path in paths if not any((base / path).exists() for base in bases)] == []
