"""Fields of answers outlive the proxy where their rule says so, and no secret is written down with them."""

import json
from pathlib import Path
from typing import Any

from tests.e2e import sdk
from tests.e2e.proxy import Proxy
from tests.e2e.test_fields import CONFIG, KEYS, bodies, whole_with
from tests.vendor import VendorThread

SESSION = {"extra_headers": {"X-Session-Id": "session-that-goes-on"}}


def said(proxy: Proxy) -> dict[str, Any]:
    result = sdk.run("openai-current", "openai_chat", proxy.environment(), request=SESSION)
    assert result["error"] is None
    return result


def sent_after_a_restart(folder: Path, config: str, state: object) -> dict[str, Any]:
    """The request after a restart, where an answer before it had `state`."""
    options = ("--set", f"rotator_state={folder / 'state'}")
    with VendorThread() as vendor:
        for name in ("first", "second"):
            vendor.always(whole_with(x_state=state))
            (folder / name).mkdir()
            text = config.format(url=vendor.base_url)
            with Proxy(folder / name, text, keys=KEYS, options=options) as proxy:
                said(proxy)
            assert "Traceback" not in proxy.log
        return bodies(vendor, 2)[1]


def test_a_value_outlives_the_proxy_where_the_rule_says_so(tmp_path: Path) -> None:
    body = sent_after_a_restart(tmp_path, CONFIG + "persist = true\n", {"turn": 1})
    assert body["x_state"] == {"turn": 1}
    file = tmp_path / "state" / "fields.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "session-that-goes-on" not in file.read_text()


def test_without_it_nothing_is_written(tmp_path: Path) -> None:
    assert "x_state" not in sent_after_a_restart(tmp_path, CONFIG, {"turn": 1})
    assert not (tmp_path / "state" / "fields.json").exists()


def test_a_value_with_a_key_of_the_pool_goes_nowhere(tmp_path: Path) -> None:
    with VendorThread() as vendor, Proxy(tmp_path, CONFIG.format(url=vendor.base_url), keys=KEYS) as proxy:
        vendor.always(whole_with(x_state={"echo": [f"Bearer {KEYS['ONE']}"]}))
        said(proxy)
        said(proxy)
        assert "x_state" not in bodies(vendor, 2)[1]


def test_nor_is_it_written(tmp_path: Path) -> None:
    body = sent_after_a_restart(tmp_path, CONFIG + "persist = true\n", json.dumps({"key": KEYS["ONE"]}))
    assert "x_state" not in body
    assert not (tmp_path / "state" / "fields.json").exists()
