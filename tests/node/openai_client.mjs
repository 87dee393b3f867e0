// OpenAI's own client, with its helpers for tools, streams and forms: the README and helpers.md of `openai`.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { again, apiKey, baseURL, City, embedder, hello, only, report, weather } from "./samples.mjs";

const client = new OpenAI({ baseURL, apiKey });
const completions = client.chat.completions;
const response_format = zodResponseFormat(City, "city");
const run = { type: "function", function: { function: weather, parse: JSON.parse, name: "weather", description: "Tell the weather.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } } };

await report(async (model) => {
  const asked = { model, messages: hello };
  const message = async (options) => (await completions.create({ ...asked, ...options })).choices[0].message;
  const first = await message();
  let streamed = "";
  for await (const piece of await completions.create({ ...asked, stream: true })) streamed += piece.choices[0]?.delta?.content ?? "";
  const runner = completions.runTools({ ...asked, tools: [run] });
  const tools = [zodFunction({ name: "weather", parameters: City })];
  const called = [
    await message({ tools }),
    (await completions.parse({ ...asked, tools })).choices[0].message,
    await completions.stream({ ...asked, tools }).finalMessage(),
  ];
  const results = [];
  for (const kept of called) {
    const [call] = kept.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: weather(JSON.parse(call.function.arguments)) };
    results.push((await message({ messages: [...hello, kept, result] })).content);
  }
  const parsed = (await completions.parse({ ...asked, response_format })).choices[0].message;
  const filled = await completions.stream({ ...asked, response_format }).finalMessage();
  const following = [];
  for (const kept of [first, parsed, filled]) following.push((await message({ messages: [...hello, kept, again] })).content);
  const vectors = await client.embeddings.create({ model: embedder, input: ["bees", "ants"] });
  const error = await completions.create({ ...asked, model: "gpt-9" }).catch((error) => error);
  const listed = [];
  for await (const one of client.models.list()) listed.push(one.id);
  return {
    chat: first.content,
    stream: streamed,
    "second turn": only(following),
    tools: await runner.finalContent(),
    "streamed tools": only([await completions.runTools({ ...asked, tools: [run], stream: true }).finalContent(), ...results]),
    "turn after tools": (await message({ messages: [...runner.messages, again] })).content,
    structured: parsed.parsed,
    "streamed structured": filled.parsed,
    vectors: vectors.data.map((item) => item.embedding.length),
    "unknown model": [error.status, error.code],
    models: listed,
  };
});
