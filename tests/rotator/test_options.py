"""Where mitmproxy's options would have it listen."""

from pathlib import Path

import pytest

from rotator.options import Listening, confdir, listening, said


@pytest.mark.parametrize(
    ("options", "config", "host", "port"),
    [
        ("", "", "", 8080),
        ("-p 8097", "", "", 8097),
        ("-p8097", "", "", 8097),
        ("--listen-port=8097 -s x.py -n", "", "", 8097),
        ("-p 1 -p 2", "", "", 2),
        ("-p 0", "", "", 0),
        ("--set listen_port=1", "", "", 1),
        ("--set=listen_port=1", "", "", 1),
        ("--set listen_port=1", "listen_port: 2", "", 2),
        ("-p 3 --set listen_port=1", "listen_port: 2", "", 3),
        ("-p 3 --mode regular@127.0.0.1:4", "", "", 4),
        ("--mode regular@4 --mode regular@5", "", "", 4),
        ("--set mode=regular@4", "", "", 4),
        ("--mode socks5@4", "", "", 8080),
        ("--listen-host 0.0.0.0", "", "0.0.0.0", 8080),
        ("--listen-host=::1", "listen_host: 'x'", "::1", 8080),
        ("--set listen_host=::1", "listen_host: 'x'  # why", "x", 8080),
        ("--set", "", "", 8080),
        ("-p", "listen_port: 2\nlisten_port: 3", "", 3),
    ],
)
def test_where_it_listens(options: str, config: str, host: str, port: int) -> None:
    assert listening(said(options.split()), config) == Listening(host, port)


@pytest.mark.parametrize(
    ("host", "reach"), [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "::1")]
)
def test_how_this_machine_reaches_it(host: str, reach: str) -> None:
    assert Listening(host, 1).reach == reach


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ("", "/home/me/.mitmproxy"),
        ("~", "/home/me"),
        ("~/a b", "/home/me/a b"),
        ("/x", "/x"),
        ("./x", "/cwd/x"),
    ],
)
def test_the_folder(named: str, folder: str) -> None:
    found = {"set confdir": named} if named else {}
    assert confdir(found, Path("/home/me"), Path("/cwd")) == Path(folder)
