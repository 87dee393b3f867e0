// Ask, show the answer as it is written, and read on where it broke off.
const [base, token, message] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const question = {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
  body: JSON.stringify({ message, stream: true }),
};

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

let turn, position = "0", shown = "", ended, failures = 0;
while (!ended) {
  try {
    // Until its id is known, the same question with the same key finds the turn again.
    const response = turn
      ? await fetch(`${base}/api/chat/${turn.id}/events/`, { headers: { ...headers, "Last-Event-ID": position } })
      : await fetch(`${base}/api/chat/`, question);
    if (!response.ok) {
      const problem = await response.json();
      if (!problem.retryable) ended = problem;
      throw new Error(problem.title);
    }
    for await (const { id, event, data } of events(response)) {
      if (event === "turn") turn = data;
      if (event === "delta") process.stdout.write(data.text), (shown += data.text), (failures = 0);
      if (event === "done" || event === "error") ended = data;
      position = id;
    }
    if (!ended) throw new Error("The answer broke off.");
  } catch (error) { // the connection broke, or the server is away: the turn is not lost
    if (!ended && ++failures > 10) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** Math.min(failures, 6)));
  }
}
if (ended.bot_response !== undefined && ended.bot_response !== shown) console.log(`\n${ended.bot_response}`); // after a crash
console.log(`\n[${ended.code ?? ended.status}]`);
