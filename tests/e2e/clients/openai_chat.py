"""A program that uses the openai SDK as it comes: one chat call, described by a JSON job, answered as JSON.

A job with `calls` asks so often, and only the last call is reported. A job with `jobs` holds several, which
run at once; the answer has `results` in their order.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai


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
    client = openai.OpenAI(api_key=job.get("key", "sk-client-own-key"), **job.get("client", {}))
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], **job.get("request", {})}
    result: dict[str, Any] = {"text": "", "finish": [], "tools": {}, "error": None, "chunks": 0, "ids": []}
    try:
        if request.get("stream"):
            stream(client, request, result)
        else:
            whole(client, request, result)
    except openai.APIStatusError as error:
        result["error"] = {"type": type(error).__name__, "status": error.status_code, "text": str(error)}
        result["headers"] = dict(error.response.headers)
        if error.status_code >= 400:
            result["body"] = error.response.text
    except Exception as error:
        result["error"] = {"type": type(error).__name__, "text": str(error)}
    return result


def stream(client: openai.OpenAI, request: dict[str, Any], result: dict[str, Any]) -> None:
    for chunk in client.chat.completions.create(**request):
        result["chunks"] += 1
        result["id"] = chunk.id
        if chunk.id not in result["ids"]:
            result["ids"].append(chunk.id)
        if chunk.usage:
            result["usage"] = chunk.usage.model_dump()
        for choice in chunk.choices:
            result["text"] += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                known = result["tools"].setdefault(str(call.index), {"name": "", "arguments": ""})
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
            if choice.finish_reason:
                result["finish"].append([choice.index, choice.finish_reason])


def whole(client: openai.OpenAI, request: dict[str, Any], result: dict[str, Any]) -> None:
    answer = client.chat.completions.create(**request)
    result["id"] = answer.id
    for choice in answer.choices:
        result["text"] += choice.message.content or ""
        result["finish"].append([choice.index, choice.finish_reason])


main()
