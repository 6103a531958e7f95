"""What is said of providers outside the config: files of a folder, entry points of distributions."""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.config.provider_files import GROUP, own_facts
from addons.config.providers import Configured
from addons.config.settings import ConfigError, Settings, load, load_again, watched
from addons.config.tables import ProviderTable
from rewrite.catalog.hosts import serves
from rewrite.catalog.model_facts import facts_of

ACME = """
base_url = "https://api.acme.example"
hosts = ["api.acme.example"]
protocols = ["chat"]
adapters = ["merge_system"]
models = [{ match = "a*", max_output = 7, protocol = "openai" }]
field_cache = [{ name = "state", source = "response", path = "state", inject = { path = "state" } }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "providers").mkdir(mode=0o700)
    return tmp_path / "providers"


def write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o600)


def loaded(folder: Path, config: str = "", **environ: str) -> Settings:
    write(folder.parent / "rotator.toml", config)
    return load("rotator.toml", environ, folder.parent, "providers")


def named(settings: Settings, name: str) -> Configured:
    return next(one for one in settings.providers if one.provider.name == name)


def lines_of(folder: Path, config: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as found:
        loaded(folder, config, **environ)
    return [each.replace(f"{folder.parent}/", "") for each in found.value.lines]


# -- a folder ----------------------------------------------------------------------------------------------


def test_the_files_of_the_project_are_of_the_form_that_is_checked() -> None:
    for name, facts in own_facts().items():
        assert not facts.keys() - ProviderTable.model_fields.keys(), name
        ProviderTable.model_validate(facts, strict=True)


def test_a_file_is_a_provider(folder: Path) -> None:
    write(folder / "acme.toml", ACME)
    write(folder / ".#acme.toml", "an editor's")
    write(folder / "notes.txt", "no provider")
    one = named(loaded(folder), "acme").provider
    assert (one.base_url, one.protocols) == ("https://api.acme.example", ("openai_chat",))
    assert [adapter.name for adapter in one.adapters] == ["merge_system"]
    assert (facts_of(one, "a1").max_output, facts_of(one, "a1").protocol) == (7, "openai_chat")
    assert [rule.name for rule in one.field_cache] == ["state"]
    assert one.errors.codes, "what holds for any"


def test_the_config_says_more_of_it_or_says_it_otherwise(folder: Path) -> None:
    write(folder / "acme.toml", ACME)
    config = """
        [providers.acme]
        adapters = []
        credentials = [{ name = "a", key = "env:K" }]
        [[providers.acme.models]]
        match = "a1"
        default_output = 3
        """
    one = named(loaded(folder, config, K="sk-a-key-of-the-pool-0123"), "acme")
    assert (one.provider.adapters, len(one.credentials)) == ((), 1)
    facts = facts_of(one.provider, "a1")
    assert (facts.max_output, facts.default_output) == (7, 3)


def test_a_file_of_a_built_in_provider_is_laid_over_what_is_known(folder: Path) -> None:
    write(folder / "openai.toml", 'models = [{ match = "gpt-5*", default_output = 9 }]\n')
    settings = loaded(folder)
    facts = facts_of(named(settings, "openai").provider, "gpt-5")
    assert (facts.default_output, facts.reasoning) == (9, True)
    assert serves(named(settings, "openai").provider, "api.openai.com", 443)


def test_files_and_the_config_extend_each_other(folder: Path) -> None:
    write(folder / "acme.toml", ACME + 'environment = "ACME_KEY"\n')
    write(folder / "second.toml", 'extends = "acme"\n')
    settings = loaded(folder, '[providers.third]\nextends = "second"\n', ACME_KEY_1="sk-" + "1" * 20)
    assert named(settings, "third").provider.base_url == "https://api.acme.example"
    assert named(settings, "third").provider.field_cache == named(settings, "acme").provider.field_cache
    assert [len(named(settings, name).credentials) for name in ("acme", "second", "third")] == [1, 0, 0]
    first = next(one for one in settings.providers if serves(one.provider, "api.acme.example", 443))
    assert first.provider.name == "acme"


CODE = """
from rewrite.hooks.base import Hooks

class Acme(Hooks):
    def check_key(self, key):
        pass
"""


def test_code_that_a_file_names_lies_beside_it(folder: Path) -> None:
    write(folder / "acme.toml", ACME + 'code = "quirks.py:Acme"\n')
    write(folder / "quirks.py", CODE)
    settings = loaded(folder)
    assert named(settings, "acme").hooks
    assert folder / "quirks.py" in watched(settings)


def test_code_that_is_missing_is_reported_where_it_is_named(folder: Path) -> None:
    write(folder / "acme.toml", ACME + 'code = "quirks.py:Acme"\n')
    (line,) = lines_of(folder)
    assert line.startswith("providers/acme.toml: code: providers/quirks.py: cannot be read")
    (line,) = lines_of(folder, '[providers.acme]\ncode = "other.py:Acme"\n')
    assert line.startswith("rotator.toml: providers.acme.code: other.py: cannot be read")


def test_what_stands_in_a_file_that_cannot_be_read_is_not_missed(folder: Path) -> None:
    write(folder / "acme.toml", "hosts = [")
    config = '[providers.acme]\ncredentials = [{ name = "a", key = "env:K" }]\n'
    (line,) = lines_of(folder, config, K="k")
    assert line.startswith("providers/acme.toml: is not valid TOML")
    folder.chmod(0o777)
    (line,) = lines_of(folder, config, K="k")
    assert "can be written by other users" in line


def test_all_of_it_is_watched_and_read_again(folder: Path) -> None:
    write(folder / "acme.toml", ACME)
    settings = loaded(folder, "[retry]\n")
    assert {folder, folder / "acme.toml"} <= set(watched(settings))
    write(folder / "other.toml", ACME.replace("acme", "other"))
    again = load_again(settings, {}, folder.parent)
    assert {one.provider.name for one in again.providers} >= {"acme", "other"}
    assert folder / "other.toml" in watched(again)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base_url =", "providers/acme.toml: is not valid TOML: "),
        (
            "",
            "providers/acme.toml: is not built in and must state base_url, hosts and",
        ),
        (ACME + "base_ulr = 1\n", "providers/acme.toml: base_ulr: unknown name: did you mean base_url?"),
        (
            ACME + "credentials = []\n",
            "providers/acme.toml: credentials: is for the config alone: write it there",
        ),
        (ACME + "check = true\n", "providers/acme.toml: check: is for the config alone"),
        (ACME.replace('"chat"', '"telex"'), "providers/acme.toml: protocols[0]: no protocol of that name"),
        (ACME.replace("merge_system", "merge"), "providers/acme.toml: adapters[0]: unknown adapter '...'"),
        (ACME.replace("= 7", "= 0"), "providers/acme.toml: models[0].max_output: must be at least 1"),
        (
            ACME.replace('"openai"', '"ollama"'),
            "providers/acme.toml: models[0].protocol: acme does not speak",
        ),
        (
            ACME.replace('source = "response"', 'sauce = ""'),
            "providers/acme.toml: field_cache[0].sauce: unknown",
        ),
        (ACME + 'extends = "opena"\n', "providers/acme.toml: extends: no provider of that name"),
        (
            ACME + 'environment = "OPENAI_API_KEY"\n',
            "providers/acme.toml: environment: is the variable of openai",
        ),
    ],
)
def test_a_broken_file_is_one_line(folder: Path, text: str, expected: str) -> None:
    write(folder / "acme.toml", text)
    (line,) = lines_of(folder)
    assert line.startswith(expected)


def test_a_name_that_is_no_provider_s_is_refused(folder: Path) -> None:
    write(folder / "_Acme.toml", ACME)
    (line,) = lines_of(folder)
    assert "a provider's name is of small letters" in line


def test_a_folder_that_is_not_there_or_is_none(folder: Path) -> None:
    folder.rmdir()
    (line,) = lines_of(folder)
    assert line.startswith("--set rotator_providers=providers: cannot be read (No such file or directory): ")
    folder.write_text("")
    (line,) = lines_of(folder)
    assert line.startswith("--set rotator_providers=providers: is not a folder: name one in the place of")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have no owner and no mode there")
def test_what_others_may_write_is_refused(folder: Path) -> None:
    write(folder / "acme.toml", ACME)
    (folder / "acme.toml").chmod(0o620)
    (line,) = lines_of(folder)
    assert line.startswith("providers/acme.toml: can be written by other users (mode 620): chmod go-w ")
    (folder / "acme.toml").chmod(0o600)
    folder.chmod(0o777)
    (line,) = lines_of(folder)
    assert line.startswith(
        "--set rotator_providers=providers: can be written by other users (mode 777): chmod "
    )


# -- distributions -----------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules and distributions are found in; what is imported from it is forgotten again."""
    known, site = set(sys.modules), tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    for name in set(sys.modules) - known:
        if str(site) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def install(site: Path, code: str, *entries: str, name: str = "rotator_acme") -> None:
    """What an installer leaves of a distribution: its package, its metadata, its entry points."""
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(code)
    (site / name / "acme.toml").write_text(ACME)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *entries]))


RESOURCE = 'from importlib.resources import files\nPROVIDER = files(__package__).joinpath("acme.toml")\n'
MAPPING = (
    'PROVIDER = {"base_url": "https://a.example", "hosts": ["a.example"], "protocols": ["openai_chat"]}\n'
)
PLACE = "entry point 'acme' (rotator_acme:PROVIDER) of the distribution 'rotator_acme'"


@pytest.mark.parametrize(
    ("code", "url"), [(RESOURCE, "https://api.acme.example"), (MAPPING, "https://a.example")]
)
def test_a_distribution_brings_a_provider(site: Path, tmp_path: Path, code: str, url: str) -> None:
    install(site, code, "acme = rotator_acme:PROVIDER")
    settings = load("", {}, tmp_path)
    assert named(settings, "acme").provider.base_url == url
    assert settings.providers[0].provider.name == "acme"


def test_a_folder_and_the_config_are_laid_over_it(site: Path, folder: Path) -> None:
    install(site, RESOURCE, "acme = rotator_acme:PROVIDER")
    write(folder / "acme.toml", 'base_url = "https://mirror.example"\n')
    one = named(loaded(folder, "[providers.acme]\nqueue_limit = 3\n"), "acme").provider
    assert (one.base_url, one.queue_limit, one.hosts) == ("https://mirror.example", 3, ("api.acme.example",))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("PROVIDER = 3", f"{PLACE}: gives no provider: TypeError: a int is neither a mapping nor a resource"),
        ("1 / 0", f"{PLACE}: gives no provider: ZeroDivisionError: division by zero: mend it"),
        (
            "PROVIDER = {'hosts': ['a']}",
            f"{PLACE}: is not built in and must state base_url, hosts and protocols",
        ),
        ("raise SystemExit(3)", f"{PLACE}: gives no provider: SystemExit: 3: mend it"),
        ("PROVIDER = {'hots': ['a']}", f"{PLACE}: hots: unknown name: did you mean hosts?"),
        ("PROVIDER = {'code': 'a.py:A'}", f"{PLACE}: code: names a file: register its class"),
        ("PROVIDER = {'credentials': []}", f"{PLACE}: credentials: is for the config alone"),
    ],
)
def test_one_that_is_broken_is_named_with_its_distribution(
    site: Path, tmp_path: Path, code: str, expected: str
) -> None:
    install(site, code, "acme = rotator_acme:PROVIDER")
    with pytest.raises(ConfigError) as found:
        load("", {}, tmp_path)
    assert found.value.lines[0].startswith(expected)


def test_a_name_is_of_one_distribution(site: Path, tmp_path: Path) -> None:
    install(site, MAPPING, "openai = rotator_acme:PROVIDER", "acme = rotator_acme:PROVIDER")
    install(site, MAPPING, "acme = rotator_beta:PROVIDER", name="rotator_beta")
    with pytest.raises(ConfigError) as found:
        load("", {}, tmp_path)
    ours, theirs = (each.removesuffix(": take one of the two out") for each in found.value.lines)
    assert ours.startswith("entry point 'openai' (rotator_acme:PROVIDER) of the distribution 'rotator_acme'")
    assert ours.endswith(": the name is taken by a built-in provider")
    assert theirs.startswith("entry point 'acme' (rotator_beta:PROVIDER) of the distribution 'rotator_beta'")
    assert theirs.endswith(f": the name is taken by {PLACE}")
