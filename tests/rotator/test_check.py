"""`rotator check`: what a config comes to, what is wrong with it, and whether its keys work."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import WITHOUT, RedisServer
from tests.rotator.command import rotator
from tests.vendor import VendorThread, chat_error, messages_error, whole

GOOD, BAD, SLOW = "sk-that-works-well-enough", "sk-that-is-refused-always", "sk-that-is-rate-limited"
KEYS = {"GOOD": GOOD, "BAD": BAD, "SLOW": SLOW}
MODELS = whole(json.dumps({"object": "list", "data": [{"id": "gpt-5"}, {"id": "gpt-4o"}]}).encode())


@pytest.fixture
def vendor() -> Iterator[VendorThread]:
    with VendorThread() as running:
        running.on(key=GOOD).always(MODELS)
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


def wrote(home: Path, text: str) -> Path:
    file = home / "rotator.toml"
    file.write_text(text)
    return file


ROUTES = """
[providers.openai]
credentials = [
  { name = "work", key = "env:GOOD", max_concurrency = 3, models = ["gpt-5*"] },
  { name="spare", key = "cmd:echo sk-printed-of-1", windows = [{ unit = "tokens", limit = 5, per = "day" }] },
]
[[routes]]
match = { model = "claude-*" }
to = ["anthropic", "openai/gpt-5", "groq/llama-4"]
[[routes]]
match = { model = "claude-sonnet*" }
to = ["openai/gpt-5"]
[[routes]]
match = { provider = "anthropic", protocol = "gemini_generate" }
to = ["openai/gpt-5"]
[[routes]]
match = { path = "/v1/responses", header = { x-team = "blue*" } }
to = ["openai/gpt-5"]
"""


def test_providers_of_a_folder_are_read_as_a_start_reads_them(home: Path) -> None:
    wrote(home, "[retry]\n")
    folder = home / "more"
    folder.mkdir(mode=0o700)
    (folder / "filed.toml").write_text(
        'base_url = "https://api.filed.test"\nhosts = ["api.filed.test"]\n'
        'protocols = ["openai_chat"]\nenvironment = "FILED_KEY"\n'
    )
    (folder / "filed.toml").chmod(0o600)
    done = rotator(home, "check", "--providers", "more", environment={"FILED_KEY_1": GOOD})
    assert (done.returncode, done.stderr) == (0, "")
    assert "filed: api.filed.test -> https://api.filed.test; sequential\n  FILED_KEY_1" in done.stdout
    assert "filed" not in rotator(home, "check", environment={"FILED_KEY_1": GOOD}).stdout
    gone = rotator(home, "check", "--providers", "gone")
    assert gone.returncode == 1
    assert f"rotator_providers={home / 'gone'}: cannot be read (No such file or directory)" in gone.stderr


def test_what_was_understood(home: Path) -> None:
    file = wrote(home, f"{ROUTES}[users.Alice]\nrequests = 5\ncost = 2.5\n[users.bob]\n")
    done = rotator(home, "check", environment=KEYS)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert f"config: {file}" in lines
    assert "openai: api.openai.com -> https://api.openai.com; sequential" in lines
    assert "work   env:GOOD  (at most 3 at once; models gpt-5*)" in lines
    assert "spare  cmd:echo ...  (5 tokens per day)" in lines
    assert "user alice: calls a day: 5, cost a day: $2.5" in lines
    assert "user bob: no limits" in lines
    assert not any(key in done.stdout for key in (GOOD, "sk-printed-of-1"))


def test_each_route_has_an_example_call_and_what_becomes_of_it(home: Path) -> None:
    wrote(home, ROUTES)
    said = rotator(home, "check", environment=KEYS).stdout
    first, second, third, fourth = (part.split("\n\n")[0] for part in said.split("\nroutes[")[1:])
    assert "such as POST https://api.anthropic.com/v1/messages, model claude-" in first
    assert "-example" not in first, "a model that there is"
    assert "-> openai/gpt-5, translated to openai_chat\n" in first
    assert "-> groq/llama-4, translated to openai_chat: skipped: it has no key: set GROQ_API_KEY_1" in first
    assert "never reached: routes[0] fits such calls first" in second
    assert "no call fits it" in third
    assert "such as POST https://api.openai.com/v1/responses" in fourth


def test_all_faults_are_shown_at_once_and_alone(home: Path) -> None:
    file = wrote(home, '[retry]\nmax_atempts = 3\n[providers.openai]\napi_key = "env:A"\n')
    done = rotator(home, "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{file}: retry.max_atempts: unknown name: did you mean max_attempts?" in done.stderr
    assert f"{file}: providers.openai.api_key: " in done.stderr
    assert done.stderr.splitlines()[-1].startswith("2 faults")


def test_a_config_elsewhere_is_named(home: Path) -> None:
    file = home / "other.toml"
    file.write_text("")
    assert f"config: {file}" in rotator(home, "check", "--config", str(file)).stdout
    done = rotator(home, "check", "--config", "gone.toml")
    assert done.returncode == 1
    assert "gone.toml: cannot be read" in done.stderr


def test_without_keys_the_way_to_some_is_named(home: Path) -> None:
    done = rotator(home, "check", environment={"OPENAI_API_KEY": GOOD})
    assert "config: no file" in done.stdout
    assert "rotator init" in done.stdout
    assert "OPENAI_API_KEY: left to your tools: a key for rotator to use is OPENAI_API_KEY_1" in done.stdout


# --- live

LIVE = """
[providers.openai]
base_url = "{url}"
credentials = [
  {{ name = "good", key = "env:GOOD" }},
  {{ name = "bad", key = "env:BAD" }},
  {{ name = "slow", key = "env:SLOW" }},
]
[providers.anthropic]
base_url = "{url}"
credentials = [{{ name = "good", key = "env:GOOD" }}]
"""


def test_each_key_is_asked_for_its_models(home: Path, vendor: VendorThread) -> None:
    vendor.on(key=BAD).always(chat_error(401, "invalid_api_key", f"Incorrect API key provided: {BAD}"))
    vendor.on(key=SLOW).always(chat_error(429, "rate_limit_exceeded", "slow down"))
    wrote(home, LIVE.format(url=vendor.base_url))
    done = rotator(home, "check", "--live", environment=KEYS)
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert "openai/good: works, 2 models" in lines
    assert "anthropic/good: works, 2 models" in lines
    (bad,) = (line for line in lines if line.startswith("openai/bad: "))
    assert bad.startswith("openai/bad: refused (401 invalid_api_key: Incorrect API key provided: ")
    assert bad.endswith("check the key (env:BAD)")
    (slow,) = (line for line in lines if line.startswith("openai/slow: "))
    assert "429" in slow
    assert "rate-limited for now" in slow
    assert lines[-1] == "1 of 4 cannot be used as they are"
    assert not any(key in done.stdout + done.stderr for key in KEYS.values())


def test_what_is_asked_is_the_list_of_models(home: Path, vendor: VendorThread) -> None:
    wrote(home, LIVE.format(url=vendor.base_url))
    done = rotator(home, "check", "--live", environment=dict.fromkeys(KEYS, GOOD))
    assert done.returncode == 0, done.stdout
    assert {(each.method, each.path) for each in vendor.requests} == {("GET", "/v1/models")}
    assert b"anthropic-version" in {name.lower() for each in vendor.requests for name, _ in each.headers}


def test_what_cannot_be_reached_is_named_with_its_cause(home: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        wrote(
            home,
            f'[providers.openai]\nbase_url = "{url}"\ncredentials = [{{ name = "a", key = "env:GOOD" }}]',
        )
        done = rotator(home, "check", "--live", environment=KEYS)
    assert done.returncode == 1
    assert "cannot be reached: cannot connect: Connection refused" in done.stdout


def test_a_page_in_the_place_of_a_list_is_named(home: Path, vendor: VendorThread) -> None:
    vendor.on(key=BAD).always(whole(b"<html>"))
    vendor.on(key=SLOW).always(messages_error(404, "not_found_error", "no such path"))
    wrote(home, LIVE.format(url=vendor.base_url))
    done = rotator(home, "check", "--live", environment=KEYS)
    assert "openai/bad: answers with something that is no list of models: check its base_url" in done.stdout
    assert "openai/slow: answers 404 not_found_error" in done.stdout


def test_a_login_whose_token_has_ended_is_not_refreshed(home: Path, vendor: VendorThread) -> None:
    tokens = {"accessToken": "at-of-claude-that-ended", "refreshToken": "rt-single-use", "expiresAt": 1000}
    (home / "login.json").write_text(json.dumps({"claudeAiOauth": {**tokens, "scopes": []}}))
    login = '{ name = "max", oauth = "claude", file = "login.json" }'
    wrote(home, f'[providers.anthropic]\nbase_url = "{vendor.base_url}"\ncredentials = [{login}]')
    done = rotator(home, "check", "--live")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "anthropic/max: not asked: its token has ended" in done.stdout
    assert vendor.requests == []


def test_a_server_for_shared_state_is_named_and_asked(home: Path, tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    wrote(home, f'[state]\nurl = "{server.url}"\nprefix = "team:"\n')
    done = rotator(home, "check")
    name = f"127.0.0.1:{server.port}/0"
    assert f"state is shared through {name}: all keys there begin with team:" in done.stdout
    done = rotator(home, "check", "--live")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"state: {name}: cannot be used: Connection refused" in done.stdout


@WITHOUT
def test_a_server_that_can_be_used_or_not(home: Path, tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        wrote(home, f'[state]\nurl = "{server.url}"\n')
        done = rotator(home, "check", "--live")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(rf"state: 127.0.0.1:{server.port}/0: works, \w+ [0-9.]+, not used by", done.stdout)
        assert server.client().keys() == []
        server.client().lpush("rotator:meta", "something else")
        done = rotator(home, "check", "--live")
        assert done.returncode == 1
        assert "cannot be used: its rotator:meta is not what rotator writes" in done.stdout
