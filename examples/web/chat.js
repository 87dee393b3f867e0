// The user's own conversations: their list, and the turns of the open one.
import { showCitations } from "./citations.js";
import { $, backOff, call, notify, readEvents, request, toOptions, toProblem } from "./client.js";

const RUNNING = ["pending", "streaming"];
const NEW = "new";
const PAGE = 50; // turns

// --- Turns, a card each ---
let current = null; // the id of the open conversation; null: a new one
let older; // the cursor of the turns before those that are shown; null: there are none
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
    showCitations(this.find("citations"), turn.citations, this.text);
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
export async function load() {
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
const readPage = (cursor) => call("GET", `chat-history/?conversation_id=${current}&order=desc&limit=${PAGE}${cursor}`);
export async function loadTurns() {
  const { signal } = reading;
  const { items, next_cursor: cursor } = current ? await readPage("") : { items: [], next_cursor: null };
  if (signal.aborted) return;
  const isCut = cursor && cards.size && !items.some(({ id }) => cards.has(id)); // there may be turns in between
  if (isCut || older === undefined) older = cursor;
  const isGone = (id) => !items.some((turn) => turn.id === id) && (isCut || !cursor || id > items.at(-1).id);
  [...cards].filter(([id, card]) => !card.isFollowed && isGone(id)).forEach(([id]) => remove(id));
  items.reverse().forEach(place);
  $("older-turns").hidden = !older;
}
$("older-turns").onclick = async () => {
  const { signal } = reading;
  const { items, next_cursor: cursor } = await readPage(`&cursor=${encodeURIComponent(older)}`);
  if (signal.aborted) return;
  older = cursor;
  items.forEach(place);
  $("older-turns").hidden = !older;
};
export async function open(id) { // null: a new conversation; undefined: none, a room is open
  reading.abort();
  reading = new AbortController();
  current = id;
  older = undefined;
  cards.clear();
  $("conversation").hidden = id === undefined;
  $("older-turns").hidden = true;
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
  $("title").textContent = open?.title ?? (current ? "Untitled" : "New conversation");
  if (current !== undefined) document.title = $("title").textContent;
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
export async function apply(event, { type, op, id, data, turn_id: turnId, conversation_id: conversationId }) {
  if (event === "reset" || type === "watermark") await load().then(loadTurns);
  const isNew = event === "running" && conversationId === current && !cards.has(turnId);
  if (isNew) place(await call("GET", `chat/${turnId}/`));
  if (type === "turn" && op === "delete") remove(id);
  if (type === "turn" && data && data.conversation_id === current) place(data);
  if (type === "conversation" && op === "upsert") conversations.set(id, data);
  if (type === "conversation" && op === "delete" && conversations.delete(id) && id === current) location.hash = "";
  update();
}

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
