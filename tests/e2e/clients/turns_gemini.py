"""Conversations by google-genai."""

import asyncio
import base64
import sys

from conversation import TOOLS, called, main, noted
from google import genai
from google.genai import types

KEY = "AIza-client-own-key"
CLIENT = genai.Client(api_key=KEY)


class Gemini:
    def __init__(self, job):
        self.mode, self.model = job["mode"], job["model"]
        parts = [types.Part(text=job["prompt"])]
        if job.get("image"):
            blob = types.Blob(mime_type="image/png", data=base64.b64decode(job["image"]))
            parts.append(types.Part(inline_data=blob))
        self.contents = [types.Content(role="user", parts=parts)]
        config = {"system_instruction": "Be brief."}
        if job.get("tools"):
            config["tools"] = [
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(
                            name=tool["name"],
                            description=tool["description"],
                            parameters_json_schema=tool["parameters"],
                        )
                        for tool in TOOLS
                    ]
                )
            ]
        if job.get("reasoning"):
            config["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if job.get("headers"):
            config["http_options"] = types.HttpOptions(headers=job["headers"])
        self.config = types.GenerateContentConfig(**config)
        self.forgets = job.get("forgets")

    def request(self):
        return {"model": self.model, "contents": self.contents, "config": self.config}

    def ask(self, turn):
        parts = []
        getattr(self, self.mode)(turn, parts)
        if self.forgets:
            parts = [spoken(part) for part in parts if not part.thought]
        self.contents.append(types.Content(role="model", parts=parts))

    def raw(self, turn, parts):
        for chunk in CLIENT.models.generate_content_stream(**self.request()):
            self.fold(chunk, turn, parts)

    def whole(self, turn, parts):
        self.fold(CLIENT.models.generate_content(**self.request()), turn, parts)

    def async_raw(self, turn, parts):
        asyncio.run(self.asynchronous(turn, parts))

    async def asynchronous(self, turn, parts):
        async with genai.Client(api_key=KEY).aio as client:
            async for chunk in await client.models.generate_content_stream(**self.request()):
                self.fold(chunk, turn, parts)

    def async_whole(self, turn, parts):
        asyncio.run(self.asynchronous_whole(turn, parts))

    async def asynchronous_whole(self, turn, parts):
        async with genai.Client(api_key=KEY).aio as client:
            self.fold(await client.models.generate_content(**self.request()), turn, parts)

    def fold(self, chunk, turn, parts):
        noted(turn, chunk.response_id)
        if chunk.usage_metadata:
            usage = chunk.usage_metadata
            turn["usage"] = [usage.prompt_token_count, usage.candidates_token_count]
        for candidate in chunk.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                parts.append(part)
                self.part(part, turn)
            if candidate.finish_reason:
                turn["finish"] = candidate.finish_reason.value

    def part(self, part, turn):
        if part.function_call:
            call = part.function_call
            turn["tools"].append(called(call.id, call.name, call.args))
        elif part.text:
            turn["reasoning" if part.thought else "text"] += part.text

    def give(self, results):
        parts = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=call["id"], name=call["name"], response={"result": text}
                )
            )
            for call, text in results
        ]
        self.contents.append(types.Content(role="user", parts=parts))


def spoken(part):
    return types.Part(text=part.text, function_call=part.function_call)


if __name__ == "__main__":
    sys.exit(main(Gemini))
