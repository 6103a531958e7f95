"""The script of the bare mitmdump: calls go to the fake provider, answers are streamed, nothing else."""

import os
from typing import Any

PORT = "FAULTS_PROVIDER_PORT"
"""The environment variable that says where the fake provider listens on loopback."""


def requestheaders(flow: Any) -> None:
    flow.request.scheme, flow.request.host = "https", "127.0.0.1"
    flow.request.port = int(os.environ[PORT])


def responseheaders(flow: Any) -> None:
    flow.response.stream = True
