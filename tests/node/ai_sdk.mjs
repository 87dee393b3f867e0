// Vercel's AI SDK with `@ai-sdk/openai-compatible` and with `openai.chat()`: the documentation in these packages.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateObject, generateText, isStepCount, Output, streamText, tool } from "ai";
import { again, apiKey, baseURL, City, embedder, hello, only, report, weather } from "./samples.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL, apiKey });
const compatible = createOpenAICompatible({ name: "ours", baseURL, apiKey, includeUsage: true });
const formed = createOpenAICompatible({ name: "ours", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const inputSchema = City;
const tools = { weather: tool({ description: "Return the weather of a city.", inputSchema, execute: weather }) };
const output = Output.object({ schema: City });
const stopWhen = isStepCount(5);
const picture = { type: "file", mediaType: "image/png", data: new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]) };

async function read(stream) {
  let last;
  for await (const piece of stream) last = typeof piece === "string" ? (last ?? "") + piece : piece;
  return last;
}

async function ask(model, embeddingModel, unknown) {
  const asked = { model, system: "Be brief.", messages: hello };
  const text = async (options) => (await generateText({ ...asked, ...options })).text;
  const first = await generateText(asked);
  const streamed = streamText(asked);
  const called = await generateText({ ...asked, tools, stopWhen });
  const calling = streamText({ ...asked, tools, stopWhen });
  const streamedTools = await read(calling.textStream);
  const following = [];
  for (const { messages } of [called.response, await calling.response]) {
    following.push(await text({ messages: [...hello, ...messages, again] }));
  }
  const toolChoice = { type: "tool", toolName: "weather" };
  const chosen = await generateText({ ...asked, tools: { weather: { ...tools.weather, strict: true } }, toolChoice });
  const error = await generateText({ ...asked, model: unknown, maxRetries: 0 }).catch((error) => error);
  const settings = { temperature: 0, topP: 0.5, maxOutputTokens: 20, presencePenalty: 0.1, stopSequences: ["?"], seed: 1 };
  return {
    chat: first.text,
    stream: await read(streamed.textStream),
    "second turn": await text({ messages: [...hello, ...first.response.messages, again] }),
    tools: called.text,
    "streamed tools": streamedTools,
    "turn after tools": only(following),
    structured: only([(await generateText({ ...asked, output })).output, (await generateObject({ ...asked, schema: City })).object,
      chosen.toolCalls[0].input]),
    "streamed structured": await read(streamText({ ...asked, output }).partialOutputStream),
    usage: [first.usage.outputTokens, (await streamed.usage).outputTokens],
    settings: await text(settings),
    picture: await text({ messages: [{ role: "user", content: [{ type: "text", text: "hello" }, picture] }] }),
    vector: (await embed({ model: embeddingModel, value: "bees" })).embedding.length,
    "unknown model": error.statusCode,
  };
}

await report(async (name) => only([
  await ask(openai.chat(name), openai.embedding(embedder), openai.chat("gpt-9")),
  await ask(compatible(name), compatible.embeddingModel(embedder), compatible("gpt-9")),
  await ask(formed.chatModel(name), formed.embeddingModel(embedder), formed("gpt-9")),
]));
