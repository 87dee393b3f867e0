// Signs up, chats, streams, uploads and searches with what @hey-api/openapi-ts generated.
import { formDataBodySerializer } from "./client/client";
import { client } from "./client/client.gen";
import { createDocument, followDocument, followTurn, logIn, search, sendMessage, signUp } from "./client/sdk.gen";
import type { NewDocument } from "./client/types.gen";

declare const process: { argv: string[] };
client.setConfig({ baseUrl: process.argv[2]! });
const account = { email: "hey@example.org", username: "hey", password: "a sound passphrase" };

async function main() {
  const { data: user } = await signUp({ body: { ...account, password_confirm: account.password } });
  const { error: problem } = await logIn({ body: { email: account.email, password: "wrong" } });
  const { data: tokens } = await logIn({ body: { email: account.email, password: account.password } });
  client.setConfig({ auth: () => tokens!.access_token });
  console.log(user!.username, problem!.code, tokens!.user.role);

  const { data: turn } = await sendMessage({ body: { message: "hello" } });
  console.log(turn!.bot_response);

  const { data: opened } = await sendMessage({ body: { message: "hello" }, headers: { Prefer: "respond-async" } });
  const names = new Set<string>();
  const { stream } = await followTurn({
    path: { turn_id: opened!.id },
    onSseEvent: ({ event }) => void names.add(event!),
  });
  let text = "";
  let ended = ""; // the turn may have ended when it is first shown
  for await (const data of stream) {
    if (typeof data === "object" && "text" in data) text += data.text;
    if (typeof data === "object" && "bot_response" in data && data.completed_at) ended = data.status;
  }
  console.log([...names].join(" "), text, `(${ended})`);

  const file = new File(["We are open from 9 to 5."], "hours.txt");
  // The generator takes the first media type of a body, which is JSON with a text, so that a file is sent by hand.
  const { data: document } = await createDocument({
    body: { file } as NewDocument,
    headers: { "Content-Type": null },
    ...formDataBodySerializer,
  });
  let status: string = document!.status;
  for await (const data of (await followDocument({ path: { document_id: document!.id } })).stream) {
    if (typeof data === "object" && "progress" in data) status = data.status;
  }
  const { data: found } = await search({ body: { query: "When are you open?" } });
  console.log(status, found!.items[0]!.quote);
}

void main();
