"""Facts of known clients, by their User-Agent; the data is in `clients.toml`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Literal


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What is known of one client."""

    name: str
    """As messages call it."""
    match: str
    """A glob (fnmatchcase) over its User-Agent."""
    session_header: str = ""
    """The header that names its conversation. Empty: none does."""
    agent_header: str = ""
    """The header that names one agent in it. Empty: none does."""
    parent_header: str = ""
    """The header that names the conversation that a sub-agent's own one serves. Empty: none does."""
    patience: float | None = None
    """Seconds that it waits for a byte. None: not known."""
    cut_tool_call: Literal["error", "length"] = "error"
    """How an answer ends in which a tool call was cut that the client saw begin."""
    cut_text: Literal["error", "length", "continue"] = "length"
    """How an answer ends that was cut elsewhere, or whether it is continued."""


UNKNOWN = ClientFacts(name="unknown", match="*")
_KEYS = frozenset(field.name for field in fields(ClientFacts))


def client_facts(mapping: Mapping[str, object]) -> tuple[ClientFacts, ...]:
    """The clients listed under `clients`, in order; their keys are the fields of `ClientFacts`.

    Raises ValueError, naming the client, where a key is missing, unknown or of another type.
    """
    match mapping:
        case {"clients": [*listed]}:
            return tuple(_client(each) for each in listed)
        case _:
            raise ValueError("clients: expected a list of tables")


def facts_for(clients: Iterable[ClientFacts], user_agent: str | None) -> ClientFacts:
    """The first of `clients` that matches, else UNKNOWN."""
    return next((client for client in clients if fnmatchcase(user_agent or "", client.match)), UNKNOWN)


def _client(table: object) -> ClientFacts:
    match table:
        case {"name": str(name), "match": str(glob)} if isinstance(table, Mapping):
            if unknown := sorted(table.keys() - _KEYS):
                raise ValueError(f"client {name}: unknown keys {', '.join(unknown)}")
            return ClientFacts(
                name,
                glob,
                _header(table, "session_header"),
                _header(table, "agent_header"),
                _header(table, "parent_header"),
                _patience(table),
                _cut_tool_call(table),
                _cut_text(table),
            )
        case _:
            raise ValueError("client: expected a table with name and match")


def _header(table: Mapping[str, object], key: str) -> str:
    match table.get(key, ""):
        case str(header):
            return header
        case _:
            raise ValueError(f"client {table['name']}: {key}: expected a text")


def _patience(table: Mapping[str, object]) -> float | None:
    match table.get("patience"):
        case None:
            return None
        case int() | float() as seconds if seconds > 0 and not isinstance(seconds, bool):
            return float(seconds)
        case _:
            raise ValueError(f"client {table['name']}: patience: expected seconds above 0")


def _cut_tool_call(table: Mapping[str, object]) -> Literal["error", "length"]:
    match table.get("cut_tool_call", "error"):
        case "error":
            return "error"
        case "length":
            return "length"
        case _:
            raise ValueError(f'client {table["name"]}: cut_tool_call: expected "error" or "length"')


def _cut_text(table: Mapping[str, object]) -> Literal["error", "length", "continue"]:
    match table.get("cut_text", "length"):
        case "length":
            return "length"
        case "error":
            return "error"
        case "continue":
            return "continue"
        case _:
            raise ValueError(f'client {table["name"]}: cut_text: expected "length", "error" or "continue"')
