// Signs up, chats, streams, uploads and searches with openapi-fetch and what openapi-typescript generated.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
type Parsed = { event: string; data: unknown };

declare const process: { argv: string[] };
const baseUrl = process.argv[2]!;
const account = { email: "fetch@example.org", username: "fetch", password: "a sound passphrase" };
// Errors are problem documents: without their media type here they would have no type.
const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl });

async function* read(body: ReadableStream<Uint8Array>): AsyncGenerator<Parsed> {
  let rest = "";
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    const blocks = (rest + piece.value).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]));
      if (fields.event) yield { event: fields.event, data: JSON.parse(fields.data!) };
    }
  }
}

async function main() {
  const signedUp = await client.POST("/api/users/signup/", { body: { ...account, password_confirm: account.password } });
  const user: Schemas["User"] = signedUp.data!;
  const refused = await client.POST("/api/users/login/", { body: { email: account.email, password: "wrong" } });
  const problem: Schemas["Problem"] = refused.error!;
  const tokens = (await client.POST("/api/users/login/", { body: { email: account.email, password: account.password } })).data!;
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${tokens.access_token}`);
      return request;
    },
  });
  console.log(user.username, problem.code, tokens.user.role);

  const turn: Schemas["Turn"] = (await client.POST("/api/chat/", { body: { message: "hello" } })).data!;
  console.log(turn.bot_response);

  const streamed = await client.POST("/api/chat/", { body: { message: "hello", stream: true }, parseAs: "stream" });
  let text = "";
  const names = new Set<string>();
  for await (const { event, data } of read(streamed.data!)) {
    names.add(event);
    if (event === "delta") text += (data as Schemas["DeltaEvent"]).text;
    if (event === "done") text += ` (${(data as Schemas["DoneEvent"]).status})`;
  }
  console.log([...names].join(" "), text);

  const form = new FormData();
  form.set("file", new File(["We are open from 9 to 5."], "hours.txt"));
  const uploaded = await client.POST("/api/documents/", { body: { file: "" }, bodySerializer: () => form });
  let document: Schemas["Document"] = uploaded.data!;
  const follow = { params: { path: { document_id: document.id } }, parseAs: "stream" } as const;
  const followed = await client.GET("/api/documents/{document_id}/events/", follow);
  for await (const { data } of read(followed.data!)) {
    document = data as Schemas["DocumentProgressEvent"];
  }
  const found = (await client.POST("/api/search/", { body: { query: "When are you open?" } })).data!;
  console.log(document.status, found.items[0]!.quote);
}

void main();
