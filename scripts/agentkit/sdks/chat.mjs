// A program that uses the openai SDK as it comes, from the folder that its Node lies in: prints the answer to
// its argument.
import { createRequire } from "node:module";

const { OpenAI } = createRequire(process.execPath)("openai");

const answer = await new OpenAI().chat.completions.create({
  model: "gpt-4o",
  messages: [{ role: "user", content: process.argv[2] }],
  stream: true,
});
for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
