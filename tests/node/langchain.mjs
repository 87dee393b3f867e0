// LangChain's `ChatOpenAI` and `OpenAIEmbeddings`: docs.langchain.com, "ChatOpenAI" of its JavaScript edition.
import { HumanMessage, mapChatMessagesToStoredMessages, mapStoredMessagesToChatMessages, SystemMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { apiKey, baseURL, City, embedder, only, report, weather } from "./samples.mjs";

const configuration = { baseURL };
const tools = [tool(weather, { name: "weather", description: "Return the weather of a city.", schema: City })];
const hello = [new SystemMessage("Be brief."), new HumanMessage("hello")];
const again = new HumanMessage("again");

async function join(stream) {
  let whole;
  for await (const piece of stream) whole = whole === undefined ? piece : whole.concat(piece);
  return whole;
}

await report(async (name) => {
  const model = new ChatOpenAI({ model: name, apiKey, configuration });
  const calling = model.bindTools(tools);
  const first = await model.invoke(hello);
  const streamed = await join(await model.stream(hello));
  const finish = async (called) => [...hello, called, ...(await Promise.all(called.tool_calls.map((call) => tools[0].invoke(call))))];
  const called = await finish(await calling.invoke(hello));
  const streamedCall = await finish(await join(await calling.stream(hello)));
  const stored = mapStoredMessagesToChatMessages(JSON.parse(JSON.stringify(mapChatMessagesToStoredMessages(called))));
  const forms = [];
  const partial = [];
  const raw = [];
  for (const method of ["jsonSchema", "functionCalling", "jsonMode"]) {
    const formed = model.withStructuredOutput(City, { name: "city", method });
    forms.push(await formed.invoke(hello));
    for await (const piece of await formed.stream(hello)) partial[forms.length - 1] = piece;
  }
  for (const method of ["jsonSchema", "jsonMode"]) {
    raw.push((await model.withStructuredOutput(City, { name: "city", method, includeRaw: true }).invoke(hello)).raw);
  }
  const following = [];
  for (const kept of [first, streamed, ...raw]) following.push((await model.invoke([...hello, kept, again])).text);
  const vectors = await new OpenAIEmbeddings({ model: embedder, apiKey, configuration }).embedDocuments(["bees", "ants"]);
  return {
    chat: first.text,
    stream: streamed.text,
    "second turn": only(following),
    tools: only([(await calling.invoke(called)).text, (await calling.invoke(stored)).text]),
    "streamed tools": (await calling.invoke(streamedCall)).text,
    "turn after tools": (await model.invoke([...called, again])).text,
    structured: only(forms),
    "streamed structured": only(partial),
    usage: [first.usage_metadata.output_tokens, streamed.usage_metadata.output_tokens],
    vectors: vectors.map((vector) => vector.length),
  };
});
