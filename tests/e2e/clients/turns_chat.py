"""Conversations by the openai SDK's chat completions."""

import asyncio
import sys

import openai
from conversation import TOOLS, called, main, noted

CLIENT = openai.OpenAI(api_key="sk-client-own-key", max_retries=0)


class Chat:
    def __init__(self, job):
        self.mode = job["mode"]
        content = job["prompt"]
        if job.get("image"):
            url = {"url": f"data:image/png;base64,{job['image']}"}
            content = [{"type": "text", "text": content}, {"type": "image_url", "image_url": url}]
        self.messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ]
        self.request = {"model": job["model"]}
        if job.get("tools"):
            tools = [{"type": "function", "function": {**tool, "strict": True}} for tool in TOOLS]
            self.request["tools"] = tools
        if job.get("reasoning"):
            self.request["reasoning_effort"] = "high"
        if job.get("headers"):
            self.request["extra_headers"] = job["headers"]
        self.forgets = job.get("forgets")

    def ask(self, turn):
        getattr(self, self.mode)(turn)

    def raw(self, turn):
        calls = {}
        for chunk in CLIENT.chat.completions.create(**self.streamed()):
            self.fold(chunk, turn, calls)
        self.end(turn, calls)

    def async_raw(self, turn):
        asyncio.run(self.asynchronous(turn))

    async def asynchronous(self, turn):
        calls = {}
        async with openai.AsyncOpenAI(api_key="sk-client-own-key", max_retries=0) as client:
            async for chunk in await client.chat.completions.create(**self.streamed()):
                self.fold(chunk, turn, calls)
        self.end(turn, calls)

    def streamed(self):
        options = {"stream": True, "stream_options": {"include_usage": True}}
        return {**self.request, **options, "messages": self.messages}

    def fold(self, chunk, turn, calls):
        noted(turn, chunk.id)
        if chunk.usage:
            turn["usage"] = used(chunk.usage)
        for choice in chunk.choices:
            turn["text"] += choice.delta.content or ""
            turn["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            for call in choice.delta.tool_calls or []:
                known = calls.setdefault(call.index, {"id": "", "name": "", "arguments": ""})
                known["id"] += call.id or ""
                known["name"] += call.function.name or ""
                known["arguments"] += call.function.arguments or ""
                turn["tools"] = [called(**each) for each in calls.values()]
            turn["finish"] = choice.finish_reason or turn["finish"]

    def end(self, turn, calls):
        tool_calls = [
            {
                "id": each["id"],
                "type": "function",
                "function": {"name": each["name"], "arguments": each["arguments"]},
            }
            for each in calls.values()
        ]
        message = {"role": "assistant", "content": turn["text"] or None}
        self.messages.append({**message, **({"tool_calls": tool_calls} if calls else {})})

    def helper(self, turn):
        request = {**self.request, "stream_options": {"include_usage": True}, "messages": self.messages}
        with CLIENT.chat.completions.stream(**request) as stream:
            for event in stream:
                if event.type == "content.delta":
                    turn["text"] += event.delta
                if event.type == "chunk":
                    turn["finish"] = next((c.finish_reason for c in event.chunk.choices), turn["finish"])
            self.whole_answer(stream.get_final_completion(), turn)

    def whole(self, turn):
        self.whole_answer(CLIENT.chat.completions.create(**self.request, messages=self.messages), turn)

    def whole_answer(self, answer, turn):
        noted(turn, answer.id)
        [choice] = answer.choices
        message = choice.message
        turn["text"] = message.content or ""
        turn["reasoning"] = getattr(message, "reasoning_content", None) or ""
        turn["finish"] = choice.finish_reason
        turn["usage"] = answer.usage and used(answer.usage)
        turn["tools"] = [
            called(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or []
        ]
        self.messages.append(spoken(message) if self.forgets else message)

    def give(self, results):
        for call, text in results:
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})


def spoken(message):
    calls = [call.to_dict() for call in message.tool_calls or []]
    said = {"role": "assistant", "content": message.content}
    kept = [{name: call[name] for name in ("id", "type", "function")} for call in calls]
    return {**said, "tool_calls": kept} if calls else said


def used(usage):
    return [usage.prompt_tokens, usage.completion_tokens]


if __name__ == "__main__":
    sys.exit(main(Chat))
