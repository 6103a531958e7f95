"""Options of models and providers as data, through a real proxy: the config, a folder, a distribution."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import ADDON, Proxy
from tests.e2e.talk import PROBE, client, order
from tests.vendor import Answer, Hang, Received, Vendor, VendorThread
from tests.vendor.defaults import not_found
from tests.vendor.speech import Said, speech_of

CONFIG = """
[providers.acme]
base_url = "{url}/acme"
hosts = ["api.acme.test"]
protocols = ["openai_chat", "anthropic_messages"]
adapters = ["merge_system"]
credentials = [{{ name = "acme", key = "env:ACME" }}]
[[providers.acme.models]]
match = "picky*"
refuses = ["seed", "metadata.user"]
adapters = [{{ name = "drop_params", params = ["n"] }}]
[[providers.acme.models]]
match = "terse*"
default_output = 33
[[providers.acme.models]]
match = "claude*"
protocol = "anthropic_messages"
default_output = 44
[[providers.acme.models]]
match = "slow*"
timeouts = {{ first_event_timeout = 0.2, stall_timeout = 0.0 }}

[providers.second]
extends = "acme"
credentials = [{{ name = "second", key = "env:SECOND" }}]
[[providers.second.models]]
match = "picky*"
refuses = []

[[routes]]
match = {{ header.x-to = "second" }}
to = ["second"]
"""
KEYS = {"ACME": "sk-pool-of-acme-0123456789", "SECOND": "sk-pool-of-second-0123456789"}
CHAT = "https://api.acme.test/v1/chat/completions"
MESSAGES = [
    {"role": "system", "content": "a"},
    {"role": "system", "content": "b"},
    {"role": "user", "content": "hi"},
]
ANSWER = Said(("Hello.",))


def answer(received: Received) -> Answer:
    speech = speech_of(received.path)
    return speech.whole(ANSWER, model=str(received.json()["model"])) if speech else not_found()


@pytest.fixture(scope="module")
def vendor() -> Iterator[VendorThread]:
    with VendorThread(Vendor(default=answer)) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_left(vendor: VendorThread) -> None:
    vendor.requests.clear()


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder, config = tmp_path_factory.mktemp("data"), CONFIG.format(url=vendor.base_url)
    with Proxy(folder, config, keys=KEYS, scripts=(ADDON, PROBE)) as running:
        yield running


def post(proxy: Proxy, model: str, url: str = CHAT, to: str = "", **fields: Any) -> httpx.Response:
    headers = {"authorization": "Bearer sk-client-own-0123456789", "x-to": to}
    with client(proxy) as http:
        found = http.post(url, headers=headers, json={"model": model, "messages": MESSAGES, **fields})
    assert found.status_code == 200, found.text
    return found


def record_of(proxy: Proxy) -> dict[str, Any]:
    """That of the last call."""
    found: dict[str, Any] = order(proxy, "seen", path="/v1/chat/completions")[-1]["rotator"]
    return found


# -- what is said of models --------------------------------------------------------------------------------


def test_a_model_has_adapters_after_those_of_its_provider_and_what_it_refuses_is_left_out(
    proxy: Proxy, vendor: VendorThread
) -> None:
    post(proxy, "picky-1", n=1, seed=7, metadata={"user": "u", "kept": "k"})
    body = vendor.requests[-1].json()
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert not {"n", "seed"} & body.keys()
    assert body["metadata"] == {"kept": "k"}
    assert record_of(proxy)["losses"] == [
        "seed: is refused by acme/picky-1",
        "metadata.user: is refused by acme/picky-1",
    ]


def test_other_models_are_asked_for_all_of_it(proxy: Proxy, vendor: VendorThread) -> None:
    post(proxy, "other", n=1, seed=7)
    body = vendor.requests[-1].json()
    assert (body["n"], body["seed"]) == (1, 7)
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("model", "fields", "limit"), [("terse-1", {}, 33), ("terse-1", {"max_tokens": 5}, 5)]
)
def test_a_limit_is_asked_for_where_the_client_states_none(
    proxy: Proxy, vendor: VendorThread, model: str, fields: dict[str, Any], limit: int
) -> None:
    post(proxy, model, **fields)
    assert vendor.requests[-1].json()["max_tokens"] == limit


def test_a_model_is_asked_in_the_protocol_that_it_speaks(proxy: Proxy, vendor: VendorThread) -> None:
    found = post(proxy, "claude-x").json()
    assert found["choices"][0]["message"]["content"] == "Hello."
    assert vendor.requests[-1].path == "/acme/v1/messages"
    assert vendor.requests[-1].json()["max_tokens"] == 44


def test_a_model_has_timeouts_of_its_own(proxy: Proxy, vendor: VendorThread) -> None:
    vendor.reply(Hang())
    post(proxy, "slow-1", stream=True)
    assert "stalled(first_event 0.2s)" in proxy.wait_log("end=completed")
    assert len(vendor.requests) == 2


# -- who extends another -----------------------------------------------------------------------------------


def test_a_copy_is_asked_where_the_original_is_with_its_own_key_and_what_it_says_otherwise(
    proxy: Proxy, vendor: VendorThread
) -> None:
    post(proxy, "picky-1", to="second", n=1, seed=7)
    asked = vendor.requests[-1]
    assert (asked.path, asked.credential) == ("/acme/v1/chat/completions", KEYS["SECOND"])
    assert asked.json()["seed"] == 7
    assert "n" not in asked.json(), "the adapters of the original's models"
    assert [message["role"] for message in asked.json()["messages"]] == ["system", "user"]


def test_calls_to_the_address_that_was_copied_are_the_original_s(proxy: Proxy, vendor: VendorThread) -> None:
    post(proxy, "other")
    assert vendor.requests[-1].credential == KEYS["ACME"]


# -- files and distributions -------------------------------------------------------------------------------

FILE = """
base_url = "{url}/filed"
hosts = ["api.filed.test"]
protocols = ["openai_chat"]
environment = "FILED_KEY"
models = [{{ match = "*", default_output = {limit} }}]
"""
FILED = "https://api.filed.test/v1/chat/completions"


def write(file: Path, text: str) -> None:
    """At once, as editors do it."""
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").chmod(0o600)
    file.with_suffix(".new").replace(file)


def test_a_file_of_a_folder_is_a_provider_and_is_read_again_when_it_changes(
    vendor: VendorThread, tmp_path: Path
) -> None:
    (tmp_path / "providers").mkdir(mode=0o700)
    file = tmp_path / "providers" / "filed.toml"
    write(file, FILE.format(url=vendor.base_url, limit=5))
    options, keys = ("--set", "rotator_providers=providers"), {"FILED_KEY_1": "sk-filed-0123456789"}
    with Proxy(tmp_path, "[retry]\n", keys=keys, options=options) as proxy:
        post(proxy, "m", FILED)
        assert vendor.requests[-1].path == "/filed/v1/chat/completions"
        assert vendor.requests[-1].credential == "sk-filed-0123456789"
        assert vendor.requests[-1].json()["max_tokens"] == 5
        write(file, FILE.format(url=vendor.base_url, limit=6))
        proxy.wait_log("the changed config is in force")
        post(proxy, "m", FILED)
        assert vendor.requests[-1].json()["max_tokens"] == 6
        write(file, "base_url = ")
        log = proxy.wait_log("the settings before stay in force")
        assert "providers/filed.toml: is not valid TOML" in log
        write(
            file.with_name("other.toml"), FILE.format(url=vendor.base_url, limit=7).replace("filed", "other")
        )
        write(file, FILE.format(url=vendor.base_url, limit=8).replace("FILED_KEY", "MORE_KEY"))
        proxy.wait_log("the changed config is in force", count=2)
        post(proxy, "m", FILED)
        assert vendor.requests[-1].json()["max_tokens"] == 8
        assert "Traceback" not in proxy.log


def test_a_new_file_that_is_broken_is_read_again_when_it_is_mended_in_its_place(
    vendor: VendorThread, tmp_path: Path
) -> None:
    (tmp_path / "providers").mkdir(mode=0o700)
    file = tmp_path / "providers" / "filed.toml"
    with Proxy(tmp_path, "[retry]\n", options=("--set", "rotator_providers=providers")) as proxy:
        write(file, "hosts = []")
        proxy.wait_log("providers/filed.toml: is not built in and must state")
        file.write_text(FILE.format(url=vendor.base_url, limit=3))
        proxy.wait_log("the changed config is in force")
        post(proxy, "m", FILED)
        assert vendor.requests[-1].json()["max_tokens"] == 3


def test_a_folder_that_others_may_write_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "providers").mkdir()
    (tmp_path / "providers").chmod(0o777)
    proxy = Proxy(tmp_path, options=("--set", "rotator_providers=providers")).start(expect_exit=True)
    assert proxy.wait_exit() != 0
    assert "can be written by other users (mode 777): chmod go-w " in proxy.log
    assert "Traceback" not in proxy.log


def test_a_distribution_brings_a_provider(vendor: VendorThread, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "rotator_filed").mkdir(parents=True)
    (site / "rotator_filed" / "__init__.py").write_text(
        'from importlib.resources import files\n\nPROVIDER = files(__package__).joinpath("filed.toml")\n'
    )
    (site / "rotator_filed" / "filed.toml").write_text(FILE.format(url=vendor.base_url, limit=9))
    info = site / "rotator_filed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rotator-filed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rotator.providers]\nfiled = rotator_filed:PROVIDER\n")
    keys = {"FILED_KEY_1": "sk-filed-0123456789", "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    with Proxy(tmp_path, keys=keys, forked=False) as proxy:
        post(proxy, "m", FILED)
    assert vendor.requests[-1].json()["max_tokens"] == 9
