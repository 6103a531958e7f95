"""A program that uses the anthropic SDK as it comes: one call, described by a JSON job, answered as JSON.

A job with `calls` asks so often, and only the last call is reported. A job with `jobs` holds several, which
run at once; the answer has `results` in their order.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic


def main() -> None:
    job = json.loads(sys.argv[1])
    if "jobs" not in job:
        print(json.dumps(perform(job)))
        return
    with ThreadPoolExecutor(8) as threads:
        print(json.dumps({"results": list(threads.map(perform, job["jobs"]))}))


def perform(job: dict[str, Any]) -> dict[str, Any]:
    return [ask(job) for _ in range(job.get("calls", 1))][-1]


def ask(job: dict[str, Any]) -> dict[str, Any]:
    key = {"api_key": job.get("key", "sk-ant-client-own-key")}
    client = anthropic.Anthropic(**{**key, **job.get("client", {})})
    request = {
        "model": "claude-3-5-sonnet-latest",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        **job.get("request", {}),
    }
    result: dict[str, Any] = {"text": "", "finish": None, "tools": {}, "error": None, "events": []}
    result["ids"] = []
    try:
        if request.pop("stream", False):
            stream(client, request, result)
        else:
            whole(client, request, result)
    except anthropic.APIStatusError as error:
        result["error"] = {"type": type(error).__name__, "status": error.status_code, "text": str(error)}
        result["headers"] = dict(error.response.headers)
        if error.status_code >= 400:
            result["body"] = error.response.text
    except Exception as error:
        result["error"] = {"type": type(error).__name__, "text": str(error)}
    return result


def stream(client: anthropic.Anthropic, request: dict[str, Any], result: dict[str, Any]) -> None:
    for event in client.messages.create(stream=True, **request):
        result["events"].append(event.type)
        match event.type:
            case "message_start":
                result["id"] = event.message.id
                result["ids"].append(event.message.id)
            case "content_block_start" if event.content_block.type == "tool_use":
                result["tools"][str(event.index)] = {"name": event.content_block.name, "arguments": ""}
            case "content_block_delta" if event.delta.type == "text_delta":
                result["text"] += event.delta.text
            case "content_block_delta" if event.delta.type == "input_json_delta":
                result["tools"][str(event.index)]["arguments"] += event.delta.partial_json
            case "message_delta":
                result["finish"] = event.delta.stop_reason
                result["usage"] = event.usage.model_dump()


def whole(client: anthropic.Anthropic, request: dict[str, Any], result: dict[str, Any]) -> None:
    answer = client.messages.create(**request)
    result["id"] = answer.id
    result["finish"] = answer.stop_reason
    result["text"] = "".join(block.text for block in answer.content if block.type == "text")


main()
