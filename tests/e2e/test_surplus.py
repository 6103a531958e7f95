"""What a provider writes after the end of an answer reaches nobody, whatever client comes next."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.proxy import Proxy
from tests.e2e.talk import Http2, client, curl
from tests.vendor import Authority, End, Framing, Reply, Send, Stray, Vendor, VendorThread

CONFIG = """
[providers.openai]
base_url = "{url}"
credentials = [{{ name = "one", key = "env:ONE" }}]
"""
KEY = "sk-pool-one-0123456789"
MODELS = "/v1/models"
FILES = "/v1/files"


def listed(name: str) -> bytes:
    return b'{"object":"list","data":[{"id":"%b","object":"model"}]}' % name.encode()


def answer(name: str, *after: Stray) -> Reply:
    body = listed(name)
    headers = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Reply(200, headers, (Send(body), End(), *after), Framing.LENGTH)


HEAD = b"\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
SURPLUS = Stray(HEAD % len(listed("theirs")) + listed("theirs"))


@pytest.fixture(scope="module", params=["plain", "tls"])
def vendor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VendorThread]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with VendorThread(Vendor(tls=authority if request.param == "tls" else False)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(vendor: VendorThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    trust = ("--set", "ssl_insecure=true")
    folder = tmp_path_factory.mktemp("surplus")
    with Proxy(folder, CONFIG.format(url=vendor.base_url), keys={"ONE": KEY}, options=trust) as running:
        yield running


def by_curl(proxy: Proxy, path: str) -> bytes:
    return curl(proxy, f"https://api.openai.com{path}", "-H", "authorization: Bearer sk-own").stdout


def by_httpx(proxy: Proxy, path: str) -> bytes:
    with client(proxy) as http:
        return http.get(f"https://api.openai.com{path}", headers={"authorization": "Bearer sk-own"}).content


def by_h2(proxy: Proxy, path: str) -> bytes:
    with Http2(proxy, "api.openai.com") as h2:
        number = h2.post(path, b"", {"authorization": "Bearer sk-own", "content-length": "0"})
        return bytes(h2.finished(number).data)


@pytest.mark.parametrize("path", [MODELS, FILES], ids=["answered", "passed through"])
def test_every_client_gets_its_own_answer(proxy: Proxy, vendor: VendorThread, path: str) -> None:
    clients: list[tuple[str, Callable[[Proxy, str], bytes]]] = [
        ("one", by_curl),
        ("two", by_httpx),
        ("three", by_curl),
        ("four", by_h2),
        ("five", by_httpx),
    ]
    for name, ask in clients:
        vendor.reply(answer(name, SURPLUS))
        assert ask(proxy, path) == listed(name)


def test_one_connection_of_one_client_gets_its_own_answers(proxy: Proxy, vendor: VendorThread) -> None:
    with client(proxy) as http:
        for name, path in (("one", FILES), ("two", MODELS), ("three", FILES), ("four", FILES)):
            vendor.reply(answer(name, SURPLUS))
            got = http.get(f"https://api.openai.com{path}", headers={"authorization": "Bearer sk-own"})
            assert got.content == listed(name)
