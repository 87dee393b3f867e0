// Ask, show the answer as it is written, and read on where it broke off.
const [base, token, message] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };

async function* events(response) {
  let waiting = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (waiting + text).split("\n\n");
    waiting = blocks.pop();
    for (const block of blocks) {
      const field = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (field.event) yield { id: field.id, event: field.event, data: JSON.parse(field.data) };
    }
  }
}

let turn, position = "0", ended = false;
let response = await fetch(`${base}/api/chat/`, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
  body: JSON.stringify({ message, stream: true }),
});
while (!ended) {
  if (!response.ok) throw new Error((await response.json()).title);
  try {
    for await (const { id, event, data } of events(response)) {
      if (event === "turn") turn = data;
      if (event === "delta") process.stdout.write(data.text);
      if (event === "done" || event === "error") ended = data;
      position = id;
    }
  } catch {} // the connection broke: the turn runs on
  if (!ended) response = await fetch(`${base}/api/chat/${turn.id}/events/`, { headers: { ...headers, "Last-Event-ID": position } });
}
console.log(`\n[${ended.status}]`);
