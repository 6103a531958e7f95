"""Protocols by name: found in the package, known by aliases, never two of one name."""

import sys
from pathlib import Path

import pytest

from protocols.anthropic_messages import AnthropicMessages
from protocols.openai_chat import PROTOCOL, OpenAIChat
from protocols.registry import Registry, discover


class Renamed(OpenAIChat):
    name = "renamed"
    aliases = ("again",)


class Taken(OpenAIChat):
    name = "taken"
    aliases = ("chat",)


def test_every_protocol_of_the_package_is_found() -> None:
    registry = discover()
    assert {"openai_chat", "anthropic_messages"} <= {protocol.name for protocol in registry}
    assert registry["openai_chat"] is PROTOCOL


def test_an_alias_names_the_same_protocol() -> None:
    registry = discover()
    assert registry["anthropic"] is registry["anthropic_messages"]
    assert registry["openai"] is registry["chat"] is registry["openai_chat"]


def test_a_protocol_counts_once_whatever_its_aliases() -> None:
    assert [protocol.name for protocol in Registry([OpenAIChat(), AnthropicMessages()])] == [
        "openai_chat",
        "anthropic_messages",
    ]


def test_unknown_names_are_refused() -> None:
    registry = Registry([Renamed()])
    assert "renamed" in registry
    assert "again" in registry
    assert "openai_chat" not in registry
    with pytest.raises(KeyError):
        registry["openai_chat"]


@pytest.mark.parametrize("second", [OpenAIChat(), Taken()], ids=["name", "alias"])
def test_a_name_that_is_taken_is_refused(second: OpenAIChat) -> None:
    with pytest.raises(ValueError, match="is taken"):
        Registry([OpenAIChat(), second])


def test_a_file_in_a_package_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "more_protocols"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("NOTHING = 1\n")
    (package / "telegraph.py").write_text(
        "from protocols.openai_chat import OpenAIChat\n\n"
        "class Telegraph(OpenAIChat):\n    name = 'telegraph'\n    aliases = ()\n\n"
        "PROTOCOL = Telegraph()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [protocol.name for protocol in discover("more_protocols")] == ["telegraph"]
    for module in ("more_protocols", "more_protocols.helper", "more_protocols.telegraph"):
        monkeypatch.delitem(sys.modules, module)
