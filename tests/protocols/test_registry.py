"""Protocols by name: found in the package and in other distributions, known by aliases, never two of one
name."""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from protocols.anthropic_messages import AnthropicMessages
from protocols.model.call import Reply
from protocols.model.errors import Fault
from protocols.model.progress import Progress
from protocols.model.wirejson import load_object
from protocols.openai_chat import PROTOCOL, OpenAIChat
from protocols.registry import GROUP, Registry, discover
from tests.contract import call


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


class Heir(OpenAIChat):
    """Takes the aliases of what it is derived from along."""

    name = "heir"


class Twice(OpenAIChat):
    name = "twice"
    aliases = ("twice",)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (OpenAIChat(), "'openai_chat' of 'openai_chat' is taken by 'openai_chat'$"),
        (
            Taken(),
            "'chat' of 'taken' is taken by 'openai_chat', which it is derived from: .*aliases = \\(\\)",
        ),
        (
            Heir(),
            "'openai' of 'heir' is taken by 'openai_chat', which it is derived from: .*aliases = \\(\\)",
        ),
        (Twice(), "'twice' of 'twice' is taken by 'twice'$"),
    ],
    ids=["name", "alias", "inherited", "its own"],
)
def test_a_name_that_is_taken_is_refused_and_nothing_changes(second: OpenAIChat, message: str) -> None:
    registry = Registry([PROTOCOL])
    with pytest.raises(ValueError, match=message):
        registry.add(second)
    assert list(registry) == [PROTOCOL]
    assert (second.name in registry) == (second.name == PROTOCOL.name)


# -- replacing ------------------------------------------------------------------------------------------


class Better(OpenAIChat):
    aliases = ("chat", "better_chat")


class Greedy(OpenAIChat):
    aliases = ("claude_messages",)


def test_a_replaced_protocol_goes_with_all_its_names() -> None:
    registry = Registry([PROTOCOL, AnthropicMessages()])
    better = Better()
    registry.add(better, replace=True)
    assert registry["openai_chat"] is registry["chat"] is registry["better_chat"] is better
    assert "openai" not in registry
    assert PROTOCOL not in list(registry)
    assert registry["anthropic_messages"].name == "anthropic_messages"


def test_to_replace_one_is_not_to_take_the_names_of_another() -> None:
    class Messages(AnthropicMessages):
        aliases = ("claude_messages",)

    registry = Registry([PROTOCOL, Messages()])
    with pytest.raises(ValueError, match=r"'claude_messages' of 'openai_chat' is taken by"):
        registry.add(Greedy(), replace=True)
    assert registry["openai_chat"] is registry["openai"] is PROTOCOL


def test_there_must_be_something_to_replace() -> None:
    with pytest.raises(ValueError, match="no protocol 'renamed' to replace"):
        Registry([PROTOCOL]).add(Renamed(), replace=True)


# -- found in a package ---------------------------------------------------------------------------------

TELEGRAPH = """
from protocols.model.errors import Fault
from protocols.model.http import WireResponse
from protocols.model.wirejson import error_answer
from protocols.openai_chat import OpenAIChat


class Telegraph(OpenAIChat):
    name = "telegraph"
    aliases = ("morse",)

    def error(self, fault: Fault) -> WireResponse:
        return error_answer(fault, {"error": fault.message + " STOP"})


PROTOCOL = Telegraph()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules and distributions are found in; what is imported from it is forgotten again."""
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_a_file_or_a_package_in_the_package_is_enough(site: Path) -> None:
    package = site / "more_protocols"
    (package / "pigeon").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "helper.py").write_text("NOTHING = 1\n")
    (package / "telegraph.py").write_text(TELEGRAPH)
    (package / "pigeon" / "wings.py").write_text("NAME = 'pigeon'\n")
    (package / "pigeon" / "__init__.py").write_text(
        "from more_protocols.pigeon.wings import NAME\n"
        "from protocols.openai_chat import OpenAIChat\n\n"
        "class Pigeon(OpenAIChat):\n    name = NAME\n    aliases = ()\n\n"
        "PROTOCOL = Pigeon()\n"
    )
    assert [protocol.name for protocol in discover("more_protocols")] == ["pigeon", "telegraph"]


# -- found in other distributions -----------------------------------------------------------------------


def install(site: Path, entry: str, code: str = TELEGRAPH) -> None:
    """What an installer leaves of a distribution: its module, its metadata, its entry points."""
    (site / "wires.py").write_text(code)
    info = site / "rotator_telegraph-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rotator-telegraph\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry}\n")


def test_a_distribution_adds_a_provider_that_differs_in_one_detail(site: Path) -> None:
    """The recipe: a subclass with a name and aliases of its own overrides one method; nothing else moves."""
    install(site, "telegraph = wires:PROTOCOL")
    registry = discover()
    telegraph = registry["telegraph"]
    assert registry["morse"] is telegraph
    fault = Fault(400, "invalid_request", "no")
    assert load_object(telegraph.error(fault).body) == {"error": "no STOP"}
    assert telegraph.match("POST", "/v1/chat/completions") == PROTOCOL.match("POST", "/v1/chat/completions")
    assert registry["openai_chat"] is registry["openai"] is PROTOCOL
    assert telegraph in list(registry)


def test_a_distribution_adds_a_protocol_that_is_only_passed_on(site: Path) -> None:
    install(site, "pigeon = wires:PROTOCOL", "from tests.pigeon import PROTOCOL\n")
    pigeon = discover()["pigeon"]
    assert (pigeon.translator, pigeon.editor) == (None, None)


def test_a_facet_differs_in_one_function() -> None:
    """The recipe: the record of the facet is replaced by one with another function."""

    class Loud(OpenAIChat):
        name = "loud"
        aliases = ()
        translator = replace(OpenAIChat.translator, write_answer=lambda call, reply, progress: b"!")

    loud = Loud()
    assert loud.translator.write_answer(call(loud), Reply("", "", 0), Progress()) == b"!"
    assert loud.translator.read_request is PROTOCOL.translator.read_request


def test_without_the_distribution_there_is_no_such_name() -> None:
    assert "telegraph" not in discover()


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        ("telegraph = nowhere:PROTOCOL", TELEGRAPH, "ModuleNotFoundError: No module named 'nowhere'"),
        ("telegraph = wires:OTHER", TELEGRAPH, "AttributeError: .*OTHER"),
        ("telegraph = wires:Telegraph", TELEGRAPH, "the class Telegraph itself; name an instance"),
        ("telegraph = wires", TELEGRAPH, "a module without name, aliases, "),
        ("telegraph = wires:PROTOCOL", "PROTOCOL = 1 / 0", "ZeroDivisionError"),
        (
            "telegraph = wires:PROTOCOL",
            TELEGRAPH.replace('("morse",)', '("morse",)\n    translator = "all"'),
            "the translator of a Telegraph is neither None nor of Translator",
        ),
        (
            "telegraph = wires:PROTOCOL",
            TELEGRAPH.replace('("morse",)', '("morse",)\n    editor = OpenAIChat.translator'),
            "the editor of a Telegraph is neither None nor of Editor",
        ),
        (
            "telegraph = wires:PROTOCOL",
            TELEGRAPH.replace('("morse",)', '("morse",)\n    editor = Editor(pruner=None)').replace(
                "from protocols.model.errors",
                "from protocols.base import Editor\nfrom protocols.model.errors",
            ),
            "TypeError: .*missing 8 required positional arguments: 'fold', 'resume'",
        ),
        (
            "telegraph = wires:PROTOCOL",
            TELEGRAPH.replace('("morse",)', "OpenAIChat.aliases"),
            "'openai' of 'telegraph' is taken by 'openai_chat', which it is derived from",
        ),
    ],
    ids=[
        "module",
        "attribute",
        "class",
        "no protocol",
        "raises",
        "translator",
        "editor",
        "half an editor",
        "inherited aliases",
    ],
)
def test_a_broken_entry_point_is_named(site: Path, entry: str, code: str, message: str) -> None:
    install(site, entry, code)
    with pytest.raises(ValueError, match=message) as raised:
        discover()
    assert "entry point 'telegraph'" in str(raised.value)
    assert "distribution 'rotator-telegraph'" in str(raised.value)
