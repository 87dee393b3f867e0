// A chat page over Chatbot API, without libraries. What models and users write becomes text nodes, never HTML.
const RUNNING = ["pending", "streaming"];
const NEW = "new";
const AWAY = "The server cannot be reached.";
const $ = (id) => document.getElementById(id);
const notify = (text) => { $("notice").textContent = text; };
const backOff = (failures) => new Promise((resolve) => {
  const signal = AbortSignal.timeout(100 * 2 ** Math.min(failures, 6));
  signal.onabort = resolve;
  addEventListener("online", resolve, { signal });
});
const toUnits = (text, offset) => [...text].slice(0, offset).join("").length; // from code points, which the API counts
const toProblem = ({ title, detail, instance, retryable, errors = {} }, status) => { // RFC 9457
  const fields = Object.entries(errors).map(([name, texts]) => `${name}: ${texts.join(" ")}`).join(" ");
  return Object.assign(new Error(fields || detail || title || `Status ${status}.`), { status, instance, retryable });
};
addEventListener("unhandledrejection", ({ reason }) => notify(reason.message));

// --- Session: kept in this tab, and sent only to the server that made it ---
const clean = (address) => new URL(address, location.origin).href.replace(/\/+$/, "");
const givenApi = new URLSearchParams(location.search).get("api");
let session = JSON.parse(sessionStorage.getItem("session")); // {api, access_token, refresh_token}
if (givenApi && session?.api !== clean(givenApi)) session = null;
let refreshing;
function keep({ access_token, refresh_token }) {
  session = { api: session.api, access_token, refresh_token };
  sessionStorage.setItem("session", JSON.stringify(session));
}
function leave(notice) {
  sessionStorage.clear();
  sessionStorage.setItem("notice", notice);
  location.reload();
}
async function request(path, options = {}, isRetry = false) {
  const { api, access_token: token } = session;
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(`${api}/api/${path}`, { ...options, headers }).catch(() => { throw new Error(AWAY); });
  if ($("notice").textContent === AWAY) notify("");
  if (response.ok) return response;
  const problem = toProblem(await response.json().catch(() => ({})), response.status);
  if (problem.status === 401 && isRetry) leave("Your session has ended; log in again.");
  if (problem.status !== 401 || isRetry || !token) throw problem;
  if (session.access_token === token) { // no other request has refreshed it
    const body = { refresh_token: session.refresh_token };
    refreshing ??= call("POST", "users/refresh/", body, true).then(keep).finally(() => { refreshing = undefined; });
    await refreshing;
  }
  return request(path, options, true);
}
const toOptions = (method, body, headers) => // with JSON
  ({ method, headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
async function call(method, path, body, isRetry) {
  const text = await (await request(path, body ? toOptions(method, body) : { method }, isRetry)).text();
  return text && JSON.parse(text);
}
async function* readEvents(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const { id, event, data } = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (event) yield { id, event, data: JSON.parse(data) };
    }
  }
}

// --- Turns, a card each ---
let current = null; // the id of the open conversation; null: a new one
let reading = new AbortController(); // of the streams of the open conversation
const cards = new Map(); // by the id of the turn, or NEW until it has one
class Card {
  constructor(message) {
    this.element = $("turn").content.firstElementChild.cloneNode(true);
    this.find("message").textContent = message;
    this.text = this.find("answer").appendChild(new Text());
    this.find("again").onclick = () => ask(new Card(message), `chat/${this.turn.id}/regenerate/`, {});
  }
  find(name) { return this.element.querySelector(`.${name}`); }
  show(turn) {
    this.turn = turn;
    if (!turn.bot_response.startsWith(this.text.data)) this.element.dataset.replaced = "after a crash";
    if (turn.bot_response !== this.text.data) this.text.data = turn.bot_response;
    const isRunning = RUNNING.includes(turn.status);
    this.element.ariaBusy = String(isRunning); // screen readers wait for the whole answer
    this.find("state").textContent = turn.error?.title ?? (isRunning || turn.status === "completed" ? "" : turn.status);
    this.find("citations").replaceChildren(...turn.citations.map((citation) => this.cite(citation)));
  }
  cite({ marker, title, page, quote, start, end, stale, answer_spans: spans }) {
    const item = document.createElement("li");
    const button = item.appendChild(document.createElement("button"));
    button.textContent = `${marker ?? "∗"} ${title}${page ? `, page ${page}` : ""}`;
    button.onclick = () => {
      $("source").textContent = title;
      $("quote").textContent = quote || "You may not read this document any more.";
      $("place").textContent = `Characters ${start} to ${end}${stale ? " of an older version" : ""}`;
      const ranges = spans.map((span) => span.map((offset) => toUnits(this.text.data, offset))).map(([from, to]) =>
        new StaticRange({ startContainer: this.text, startOffset: from, endContainer: this.text, endOffset: to }));
      CSS.highlights?.set("cited", new Highlight(...ranges)); // the parts of the answer that the quote supports
      $("citation").showPopover();
    };
    return item;
  }
}
const remove = (id) => { cards.get(id)?.element.remove(); cards.delete(id); };
const finish = (card, turn) => { card.isFollowed = false; card.show(turn); load(); };
function place(turn) {
  if (cards.get(turn.id)?.isFollowed || (cards.has(NEW) && !cards.has(turn.id))) return; // a stream shows it
  const card = cards.get(turn.id) ?? new Card(turn.user_message);
  const next = [...cards.keys()].filter((id) => id > turn.id).sort()[0]; // ids rise with time
  if (!cards.has(turn.id)) $("turns").insertBefore(card.element, cards.get(next)?.element ?? null);
  cards.set(turn.id, card);
  card.show(turn);
  if (RUNNING.includes(turn.status)) follow(card);
}
function ask(card, path, values) {
  const options = toOptions("POST", { ...values, stream: true }, { "Idempotency-Key": crypto.randomUUID() });
  cards.set(NEW, card);
  $("turns").append(card.element);
  follow(card, (signal) => request(path, { ...options, signal })); // again if the connection breaks, with the key
}
// Read a turn until its end: by `open`, the request that makes it, or on from the text that is shown.
async function follow(card, open) {
  const { signal } = reading;
  card.isFollowed = true;
  update();
  for (let failures = 0; card.isFollowed && !signal.aborted; ) {
    try {
      const headers = { "Last-Event-ID": [...card.text.data].length };
      const response = card.turn ? request(`chat/${card.turn.id}/events/`, { headers, signal }) : open(signal);
      for await (const { id, event, data } of readEvents(await response)) {
        if (failures) card.find("state").textContent = "";
        failures = 0;
        if (event === "turn") begin(card, data);
        if (event === "delta") card.text.appendData(data.text);
        if (event === "done") finish(card, data);
        if (event === "error" && !id.endsWith("-end")) throw toProblem(data, data.status); // of reading it
        if (event === "error") finish(card, await call("GET", `chat/${card.turn.id}/`));
      }
      if (card.isFollowed) throw new Error("The connection broke.");
    } catch (error) {
      if (signal.aborted) return;
      card.find("state").textContent = error.message;
      if (error.status && !(card.turn && error.retryable)) return abandon(card, error);
      await backOff(failures++);
    }
  }
}
function begin(card, turn) {
  cards.delete(NEW);
  turn.siblings.forEach(remove);
  cards.set(turn.id, card);
  card.show({ ...turn, bot_response: card.text.data }); // its text comes as events
  current = turn.conversation_id;
  history.replaceState(null, "", `#${current}`);
  load();
}
async function abandon(card, error) {
  card.isFollowed = false;
  notify(error.message);
  const id = /^\/api\/chat\/([0-9a-f-]{36})\/$/.exec(error.instance)?.[1]; // of a turn that was stored, and failed
  if (!card.turn) remove(NEW);
  if (!card.turn && id) location.hash = (await call("GET", `chat/${id}/`)).conversation_id;
  if (!card.turn && !id) $("message").value ||= card.find("message").textContent;
  await load();
}

// --- Conversations ---
let conversations = new Map(); // by id
let found = null; // what a search found
const rows = new Map(); // by the id of the conversation
const change = async (id, values) => apply("change", { type: "conversation", op: "upsert", id,
  data: await call("PATCH", `conversations/${id}/`, values)
    .catch(({ message }) => { throw new Error(`Not saved: ${message}`); }) });
async function load() {
  const before = JSON.stringify(conversations.get(current));
  const { items } = await call("GET", "conversations/?limit=100");
  if (current && !items.some(({ id }) => id === current)) {
    await call("GET", `conversations/${current}/`).then((open) => items.push(open), ({ status }) => {
      if (status === 404) location.hash = "";
    });
  }
  conversations = new Map(items.map((conversation) => [conversation.id, conversation]));
  const after = JSON.stringify(conversations.get(current));
  if (after && after !== before) await loadTurns();
  update();
}
async function loadTurns() {
  const { signal } = reading;
  const path = `chat-history/?conversation_id=${current}&order=desc&limit=100`;
  const items = current ? (await call("GET", path)).items : [];
  if (signal.aborted) return;
  const isGone = ([id, card]) => !card.isFollowed && !items.some((turn) => turn.id === id);
  [...cards].filter(isGone).forEach(([id]) => remove(id));
  items.reverse().forEach(place);
}
async function openConversation() {
  reading.abort();
  reading = new AbortController();
  current = location.hash.slice(1) || null;
  cards.clear();
  $("rename").value = "";
  $("turns").replaceChildren();
  $("message").focus();
  update();
  await loadTurns();
  update();
}
function update() { // what depends on more than one turn
  const open = conversations.get(current);
  const isRunning = [...cards.values()].some((card) => card.isFollowed);
  $("send").hidden = isRunning;
  $("stop").hidden = !isRunning;
  $("tools").hidden = !open;
  $("title").textContent = document.title = open?.title ?? (current ? "Untitled" : "New conversation");
  $("pin").ariaPressed = String(Boolean(open?.pinned));
  for (const card of cards.values()) card.find("again").hidden = isRunning || card.element.nextSibling !== null;
  const listed = found ?? [...conversations.values()].filter(({ archived }) => !archived)
    .sort((one, other) => (other.last_turn_at ?? other.created_at).localeCompare(one.last_turn_at ?? one.created_at));
  listed.forEach(list);
  while ($("conversations").children.length > listed.length) $("conversations").lastElementChild.remove();
  const last = [...cards.keys()].sort().at(-1);
  if (open?.unread && last && !isRunning && !document.hidden) markAsRead(open, last);
}
const markAsRead = (open, last) => { open.unread = false; change(open.id, { read_turn_id: last }).catch(() => {}); };
function list({ id, title, pinned, unread, running_turn_id: runningId }, at) {
  const row = rows.get(id) ?? document.createElement("li");
  const link = row.firstElementChild ?? row.appendChild(document.createElement("a"));
  rows.set(id, row);
  link.href = `#${id}`;
  const marks = [pinned && "pinned", runningId && "answering", unread && id !== current && "unread"];
  link.textContent = [title ?? "Untitled", ...marks].filter(Boolean).join(" · ");
  link.ariaCurrent = id === current ? "page" : null;
  const there = $("conversations").children[at]; // a row that stays in its place keeps the focus
  if (there !== row) $("conversations").insertBefore(row, there ?? null);
}

// --- Other devices ---
async function apply(event, { type, op, id, data, turn_id: turnId, conversation_id: conversationId }) {
  if (event === "reset" || type === "watermark") await load().then(loadTurns);
  const isNew = event === "running" && conversationId === current && !cards.has(turnId);
  if (isNew) place(await call("GET", `chat/${turnId}/`));
  if (type === "turn" && op === "delete") remove(id);
  if (type === "turn" && data?.conversation_id === current) place(data);
  if (type === "conversation" && op === "upsert") conversations.set(id, data);
  if (type === "conversation" && op === "delete" && conversations.delete(id) && id === current) location.hash = "";
  update();
}
async function sync() {
  let cursor;
  for (let failures = 0; ; ) {
    const leaving = new AbortController(); // a hidden tab keeps no connection: browsers allow six to a server
    document.onvisibilitychange = () => document.hidden && leaving.abort();
    try {
      const headers = cursor && { "Last-Event-ID": cursor };
      const response = await request("sync/events/", { headers, signal: leaving.signal });
      if (!cursor) await load();
      for await (const { id, event, data } of readEvents(response)) {
        failures = 0;
        await apply(event, data);
        cursor = event === "reset" ? undefined : id ?? cursor;
      }
    } catch (error) {
      if (error.status === 410) cursor = undefined;
    }
    if (document.hidden) await new Promise((resolve) => { document.onvisibilitychange = resolve; });
    else await backOff(failures++);
  }
}

// --- The page ---
async function upload(file) {
  const item = $("documents").appendChild(document.createElement("li"));
  const show = (text) => { item.textContent = `${file.name}: ${text}`; };
  const body = new FormData();
  body.append("file", file);
  try {
    show("uploading");
    const { id } = await (await request("documents/", { method: "POST", body })).json();
    for await (const { event, data } of readEvents(await request(`documents/${id}/events/`))) {
      if (event === "error") throw toProblem(data, data.status);
      if (event !== "problem") show(data.error?.title ?? `${data.status}, ${Math.round(data.progress * 100)} %`);
    }
  } catch (error) {
    show(error.message);
  }
}
$("login").onsubmit = async (event) => {
  event.preventDefault();
  const { api, email, password, username } = Object.fromEntries(new FormData($("login")));
  session = { api: clean(api) };
  const account = { email, username, password, password_confirm: password };
  if (event.submitter.value === "signup") await call("POST", "users/signup/", account);
  keep(await call("POST", "users/login/", { email, password }));
  $("login").reset();
  await start();
};
$("composer").onsubmit = (event) => {
  event.preventDefault();
  const message = $("message").value;
  if (!message.trim() || $("send").hidden) return;
  $("message").value = "";
  ask(new Card(message), "chat/", { message, ...(current && { conversation_id: current }) });
};
$("message").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) $("composer").onsubmit(event);
};
$("stop").onclick = () => {
  const card = [...cards.values()].find(({ isFollowed }) => isFollowed);
  return card?.turn && call("POST", `chat/${card.turn.id}/cancel/`);
};
$("rename").onclick = async ({ target }) => {
  target.value = prompt("Title", target.value || $("title").textContent)?.trim() ?? ""; // kept until it is saved
  if (target.value) await change(current, { title: target.value }).then(() => { target.value = ""; });
};
$("pin").onclick = () => change(current, { pinned: !conversations.get(current).pinned });
$("delete").onclick = async (_, id = current) => {
  if (!confirm("Delete this conversation?")) return;
  await call("DELETE", `conversations/${id}/`);
  await apply("change", { type: "conversation", op: "delete", id });
};
$("query").oninput = async ({ target }) => {
  const query = target.value.trim();
  const result = query ? await call("GET", `conversations/?q=${encodeURIComponent(query)}`) : { items: null };
  if (query === target.value.trim()) found = result.items;
  update();
};
$("files").onchange = ({ target }) => { [...target.files].forEach(upload); target.value = ""; };
$("logout").onclick = async () => { await call("POST", "users/logout/"); leave("You are logged out."); };
addEventListener("hashchange", openConversation);
async function start() {
  $("login").hidden = Boolean(session);
  $("chat").hidden = !session;
  $("login").elements.api.value = givenApi ?? location.origin;
  notify(sessionStorage.getItem("notice"));
  sessionStorage.removeItem("notice");
  if (!session) return;
  openConversation();
  await load();
  addEventListener("online", () => load().then(loadTurns));
  sync();
}
await start();
