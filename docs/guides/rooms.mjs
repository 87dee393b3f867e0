// A room in a terminal: prints what is written there, and writes the lines of standard input into it.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [address, email, roomId] = process.argv.slice(2);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const toError = (problem) => Object.assign(new Error(problem.title), problem);

// Requests; a step is tried again while a connection is missing, or where its problem says so.
async function request(path, body) {
  const headers = { "Content-Type": "application/json", ...(session && { Authorization: `Bearer ${session.access_token}` }) };
  const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const response = await fetch(`${address}/api/${path}`, options);
  const answer = await response.json();
  if (!response.ok) throw toError(answer);
  return answer;
}
async function retry(step) {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (error.status && !error.retryable) throw error;
      await pause(1_000);
    }
  }
}

// The session: its access token is renewed in the second half of its life.
let session, refreshing;
const keep = (tokens) => { session = { ...tokens, renewAt: Date.now() + tokens.expires_in * 500 }; };
async function getToken() {
  if (Date.now() > session.renewAt) {
    refreshing ??= retry(() => request("users/refresh/", { refresh_token: session.refresh_token }))
      .then(keep).finally(() => { refreshing = undefined; });
    await refreshing;
  }
  return session.access_token;
}
keep(await request("users/login/", { email, password: process.env.PASSWORD }));

// The room: messages by id, and the change up to which all is known.
const messages = new Map();
let rev, isCaughtUp;
function show(message) {
  if (messages.get(message.id)?.rev >= message.rev) return; // it came before, in this state or in a newer one
  messages.set(message.id, message);
  if (["queued", "pending"].includes(message.status)) return; // an answer of the bot that is being written
  const text = message.deleted ? "(deleted)" : message.edited_at ? `${message.text} (edited)` : message.text;
  console.log(`${message.seq} ${message.author?.username ?? message.kind}: ${text}`);
}
const apply = ({ type, data }) => { if (type === "message") show(data); };
const follow = (change) => { if (isCaughtUp) rev = change.rev; }; // else the pages that are still read say how far
async function catchUp() {
  isCaughtUp = false;
  try {
    const joined = await ask("join", { room_id: roomId, since_rev: rev });
    if (rev === undefined) (await request(`rooms/${roomId}/messages/?limit=50`)).items.forEach(show);
    joined.changes.forEach(apply);
    for (let page = { ...joined, more: !joined.complete }; ; page.items.forEach(apply)) {
      rev = page.rev;
      if (!page.more) break;
      page = await request(`rooms/${roomId}/changes/?since_rev=${rev}`);
    }
    isCaughtUp = true;
  } catch (error) {
    if (error.code === "cursor_expired") { rev = undefined; messages.clear(); } // the database was restored
    else if (error.status && !error.retryable) return end(error);
    await pause(1_000);
    if (socket.connected) await catchUp(); // else with the next connection
  }
}

// The socket: npm's client connects again by itself, but where it is to wait, or not to come back.
const socket = io(`${address}/rooms`, {
  transports: ["websocket"],
  auth: (send) => getToken().then((token) => send({ token })),
});
async function ask(event, data) {
  const answer = await socket.timeout(10_000).emitWithAck(event, data);
  if (answer.code) throw toError(answer);
  return answer;
}
function end(reason) {
  console.error(reason.message);
  process.exit(1);
}
socket.on("connect", catchUp);
socket.on("connect_error", (error) => { if (error.data && !error.data.retryable) end(error); });
socket.on("message", (message) => { show(message); follow(message); });
socket.on("changed", (change) => { apply(change); follow(change); });
socket.on("bot_done", ({ message }) => { show(message); follow(message); });
socket.on("removed", () => end(new Error("You are no member of this room any more.")));
socket.on("closing", async ({ code, reconnect, after }) => {
  socket.disconnect();
  if (!reconnect) end(new Error(code));
  await pause(after * 1_000);
  socket.connect();
});
setInterval(async () => {
  const before = session.access_token;
  const token = await getToken();
  if (token !== before && socket.connected) await ask("token", { token }).catch(() => {}); // else it connects with it
}, session.expires_in * 100);

// A message keeps its `client_id` in all tries, so that it is stored once; the next one waits for it.
let sending = Promise.resolve();
for await (const text of createInterface({ input: process.stdin })) {
  const message = { room_id: roomId, text, client_id: crypto.randomUUID() };
  sending = sending.then(() => retry(() => ask("message", message))).catch((error) => console.error(error.message));
}
