"""The config of all proxies of a cluster: a pool for each thing that they share."""

from collections.abc import Mapping

KEYS = {f"key-{number}": f"sk-cluster-key-number-{number:02}-of-ten" for number in range(10)}
"""The credentials of each pool, by name."""
NAMES = {secret: name for name, secret in KEYS.items()}

CONVERSING, BOUNDED, COUNTED, LOGIN = "openai", "bounded", "counted", "login"
"""The pools: conversations that are dealt out in turn, keys with few places, keys with a window, a login."""
HOSTS = {
    CONVERSING: "api.openai.com",
    BOUNDED: "bounded.test",
    COUNTED: "counted.test",
    LOGIN: "login.test",
}
PLACES = 4
"""How many calls a key of `BOUNDED` may have in flight."""
WINDOW = 20
"""How many calls a key of `COUNTED` may serve in a day."""

_CONFIG = """
[report]
headers = true
[providers.openai]
rotation = "round_robin"
credentials = [{plain}]
[providers.bounded]
hosts = ["bounded.test"]
protocols = ["openai_chat"]
auth = "bearer"
rotation = "round_robin"
queue_limit = 200
credentials = [{places}]
[providers.counted]
hosts = ["counted.test"]
protocols = ["openai_chat"]
auth = "bearer"
rotation = "round_robin"
credentials = [{windows}]
[providers.login]
hosts = ["login.test"]
protocols = ["openai_chat"]
auth = "bearer"
credentials = [
  {{ name = "login", oauth = "generic", file = "login.json", client_id = "c", token_url = "{url}/token" }},
]
"""


def config(url: str) -> str:
    """`url` is the provider's."""
    named = [f'name = "{name}", key = "env:{variable(name)}"' for name in KEYS]
    window = f'windows = [{{ unit = "requests", limit = {WINDOW}, per = 86400 }}]'
    return _CONFIG.format(
        url=url,
        plain=", ".join(f"{{ {one} }}" for one in named),
        places=", ".join(f"{{ {one}, max_concurrency = {PLACES} }}" for one in named),
        windows=", ".join(f"{{ {one}, {window} }}" for one in named),
    )


def variable(name: str) -> str:
    """The one that holds the key of this name."""
    return name.upper().replace("-", "_")


def environment(url: str, proxy: str) -> Mapping[str, str]:
    """Of one proxy: the keys, and addresses by which the provider knows which proxy and which pool asks."""
    keys = {variable(key): secret for key, secret in KEYS.items()}
    own = {f"ROTATOR__PROVIDERS__{pool.upper()}__BASE_URL": f"{url}/{proxy}/{pool}" for pool in HOSTS}
    return {**keys, **own}
