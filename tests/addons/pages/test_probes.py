"""Hosts by which a program finds out whether its calls come to the proxy."""

import re

from addons.pages.probes import HOSTS, MOST, Probes

ID = "0123456789abcdef"
HOST = f"{ID}.rotator.local"


def test_a_probe_is_known_by_its_connect_and_by_its_request() -> None:
    probes = Probes()
    assert probes.seen(ID) == {"reached": False, "answered": False}
    probes.connected(HOST)
    assert probes.seen(ID) == {"reached": True, "answered": False}
    reply = probes.answer("GET", HOST)
    assert (reply.status, reply.body) == (200, f"rotator probe {ID}\n".encode())
    assert probes.seen(ID) == {"reached": True, "answered": True}


def test_a_call_is_refused_in_a_way_that_is_not_tried_again() -> None:
    reply = Probes().answer("POST", HOST)
    assert reply.status == 400
    assert reply.headers["x-should-retry"] == "false"
    assert b"invalid_request_error" in reply.body


def test_other_hosts_are_none() -> None:
    probes = Probes()
    for host in ("rotator.local", "x.rotator.local", f"{HOST}.test", "api.openai.com", f"a.{HOST}"):
        probes.connected(host)
        assert not probes.has(host)
    assert re.search(HOSTS, f"{HOST}:443")
    assert re.search(HOSTS, "rotator.local:443")
    assert not re.search(HOSTS, f"{HOST}:8443")


def test_what_is_remembered_has_a_bound() -> None:
    probes = Probes()
    for number in range(MOST + 1):
        probes.connected(f"{number:016x}.rotator.local")
    assert not probes.seen(f"{0:016x}")["reached"]
    assert probes.seen(f"{MOST:016x}")["reached"]
