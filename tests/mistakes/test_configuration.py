"""1 to 20: mistakes in the config, as `rotator check`, a start and the log of a running proxy show them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.proxy import Proxy
from tests.rotator.command import rotator

KEY = "sk-a-key-that-nobody-may-see"
POOL = '[providers.openai]\ncredentials = [{{ name = "a", key = "{}" }}]\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def faults(home: Path, text: str, name: str = "rotator.toml", **environment: str) -> str:
    """What `rotator check` says of a config that cannot be used, all faults at once."""
    (home / name).write_text(text)
    return refused(home, "check", "--config", name, **environment)


def refused(home: Path, *arguments: str, **environment: str) -> str:
    done = rotator(home, *arguments, environment=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr
    return done.stderr.replace(f"{home}/", "")


def understood(home: Path, text: str, **environment: str) -> str:
    """What it says of one that can be used."""
    (home / "rotator.toml").write_text(text)
    done = rotator(home, "check", environment=environment)
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout
    return done.stdout.replace(f"{home}/", "")


def has_line(said: str, *parts: str) -> bool:
    """Whether one line has all of them, and no other line has the first."""
    lines = [line for line in said.splitlines() if parts[0] in line]
    return len(lines) == 1 and all(part in lines[0] for part in parts)


def test_01_a_misspelt_key_or_table(home: Path) -> None:
    said = faults(home, '[providers.openai]\nbaseurl = "x"\n[retry]\nmax_retries = 3\n[provider.x]\n')
    assert has_line(said, "rotator.toml: providers.openai.baseurl: unknown name: did you mean base_url?")
    assert has_line(said, "rotator.toml: retry.max_retries: unknown name: did you mean max_attempts?")
    assert has_line(said, "rotator.toml: provider: unknown name: did you mean providers?")


def test_02_the_table_stream(home: Path) -> None:
    assert has_line(
        faults(home, "[stream]\nstall_timeout = 3\n"), "stream: unknown name: did you mean streaming?"
    )


@pytest.mark.parametrize("key", [KEY, "$WORK_KEY", "${WORK_KEY}"])
def test_03_a_key_or_a_variable_of_a_shell_in_the_file(home: Path, key: str) -> None:
    said = faults(home, POOL.format(key))
    assert has_line(said, "rotator.toml: providers.openai.credentials[0].key: ", "write env:NAME")


def test_04_a_credential_that_is_no_table(home: Path) -> None:
    said = faults(home, '[providers.openai]\ncredentials = ["env:A"]\n')
    assert has_line(said, "providers.openai.credentials[0]: ", '{ name = "work", key = "env:WORK_KEY" }')


def test_05_an_api_key_in_the_place_of_credentials(home: Path) -> None:
    said = faults(home, '[providers.openai]\napi_key = "env:A"\n')
    wanted = 'credentials = [{ name = "work", key = "env:WORK_KEY" }]'
    assert has_line(said, "providers.openai.api_key: ", wanted)


@pytest.mark.parametrize(("environment", "what"), [({}, "is not set"), ({"WORK_KEY": ""}, "is empty")])
def test_06_a_variable_that_is_unset_or_empty(home: Path, environment: Mapping[str, str], what: str) -> None:
    said = faults(home, POOL.format("env:WORK_KEY"), **environment)
    assert has_line(said, "providers.openai.credentials[0].key: ", f"environment variable WORK_KEY {what}: ")


def test_07_a_command_that_fails_a_file_that_is_missing_and_no_name(home: Path) -> None:
    said = faults(
        home,
        "[providers.openai]\ncredentials = [\n"
        '  { name = "a", key = "cmd:false" }, { name = "b", key = "file:gone" },\n'
        '  { key = "env:WORK_KEY" }, { name = "d" },\n]\n',
        WORK_KEY=KEY,
    )
    assert has_line(said, "credentials[0].key: ", "exit status 1", "run it by hand")
    assert has_line(said, "credentials[1].key: ", "No such file", "starts at")
    assert has_line(said, "credentials[2].name: ", "is missing")
    assert has_line(said, "credentials[3].key: ", "is missing: write env:NAME")


def test_08_broken_toml(home: Path) -> None:
    assert has_line(
        faults(home, "[retry]\n[providers.openai\n"), "rotator.toml: ", "']'", "at line 2", "correct"
    )


def test_09_an_unknown_provider(home: Path) -> None:
    said = faults(home, "[providers.opnai]\nreplace_oauth = true\n")
    assert has_line(said, "providers.opnai: ", "did you mean openai?", "base_url, hosts, protocols")


def test_10_text_where_a_list_is_wanted_and_a_list_where_text_is(home: Path) -> None:
    said = faults(home, '[[routes]]\nmatch = { model = ["a"] }\nto = "x"\n')
    assert has_line(said, "routes[0].to: must be a list", '["anthropic", "openai/gpt-5"]')
    assert has_line(said, "routes[0].match.model: must be a text in quotes", '"claude-*"')


def test_11_text_for_a_number_and_no_attempts(home: Path) -> None:
    assert has_line(faults(home, '[retry]\nmax_attempts = "3"\n'), "retry.max_attempts: ", "a whole number")
    assert has_line(faults(home, "[retry]\nmax_attempts = 0\n"), "retry.max_attempts: ", "at least 1")


def test_12_a_file_that_is_not_there(home: Path) -> None:
    said = refused(home, "check", "--config", "gone.toml")
    assert has_line(said, "gone.toml: cannot be read (No such file or directory)", "create it or correct")


def test_13_a_mistyped_variable_of_the_config(home: Path) -> None:
    said = faults(home, "", ROTATOR__RETRY__MAX_ATEMPTS="3", ROTATOR__RETRY__DEADLINE="soon")
    assert has_line(said, "ROTATOR__RETRY__MAX_ATEMPTS: retry.max_atempts: ", "did you mean max_attempts?")
    assert has_line(said, "ROTATOR__RETRY__DEADLINE: retry.deadline: must be a number")


def test_14_two_credentials_of_one_name(home: Path) -> None:
    table = '{ name = "a", key = "env:WORK_KEY" }'
    said = faults(home, f"[providers.openai]\ncredentials = [{table}, {table}]\n", WORK_KEY=KEY)
    assert has_line(said, "providers.openai.credentials[1].name: is taken", "its own name")


def test_15_what_this_version_lacks(home: Path) -> None:
    said = faults(home, "[budgets]\nmonthly = 3\n")
    assert has_line(said, "rotator.toml: budgets: unknown name: ", "take out what this version lacks")


def test_16_a_config_in_yaml(home: Path) -> None:
    said = faults(home, "providers: {}\n", name="rotator.yaml")
    assert has_line(said, "rotator.yaml: YAML is not read: write it as rotator.toml or rotator.json")
    found = rotator(home, "check").stdout  # nobody named it, so that it is not used, and that is said
    assert has_line(found, "rotator.yaml: YAML is not read: write it as rotator.toml")


def test_17_an_option_that_there_is_not(home: Path) -> None:
    with Proxy(home, options=("--set", "rotator_confg=x")) as proxy:
        assert has_line(proxy.log, "--set rotator_confg: no such option", "did you mean rotator_config?")


def test_18_a_start_with_a_broken_config_shows_the_faults_alone(home: Path) -> None:
    (home / "rotator.toml").write_text("[retry]\nmax_atempts = 3\n")
    done = rotator(home, "start", "-p", "0")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert has_line(said.splitlines()[-1], "retry.max_atempts: unknown name: did you mean max_attempts?")
    assert not any(word in said for word in ("listening", "export", "Traceback"))


def test_19_a_config_that_breaks_while_the_proxy_runs(home: Path) -> None:
    with Proxy(home, "[retry]\nmax_attempts = 3\n") as proxy:
        proxy.config.write_text("[retry]\nmax_atempts = 3\n")
        log = proxy.wait_log("the settings before stay in force")
        assert has_line(
            log, "retry.max_atempts: ", "did you mean max_attempts?", "settings before stay in force"
        )


def test_20_a_config_that_is_deleted_while_the_proxy_runs(home: Path) -> None:
    with Proxy(home, "[retry]\nmax_attempts = 3\n") as proxy:
        proxy.config.unlink()
        log = proxy.wait_log("the settings before stay in force")
        assert has_line(log, f"{proxy.config}: is gone: put it back, or restart", "settings before stay")
