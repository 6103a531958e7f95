"""A program that uses the openai SDK as it comes: prints the answer to its argument."""

import sys

import openai

answer = openai.OpenAI().chat.completions.create(
    model="gpt-4o", messages=[{"role": "user", "content": sys.argv[1]}], stream=True
)
for chunk in answer:
    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)
print()
