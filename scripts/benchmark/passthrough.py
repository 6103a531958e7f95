"""The script of the bare mitmdump: bodies are streamed, nothing else."""

from typing import Any


def responseheaders(flow: Any) -> None:
    flow.response.stream = True
