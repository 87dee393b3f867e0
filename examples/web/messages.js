// The messages of the open room, in the order of `seq`: shown, written, changed, deleted, and read.
import { showCitations } from "./citations.js";
import { $, backOff, call, notify } from "./client.js";

const PAGE = 50;
const MAX_REVEALED_PAGES = 10; // to find a message that was replied to
const RUNNING = ["queued", "pending"];
let room = null; // the open one
let userId; // the page's own user
let firstSeq = 0; // of what is shown; with `hasOlder`, there are messages before it
let hasOlder = false;
const shown = new Map(); // by id
const nameAuthor = ({ author, kind }) => author?.username ?? { bot: "Bot", system: "" }[kind] ?? "A former user";

class Entry {
  constructor() {
    this.element = $("entry").content.firstElementChild.cloneNode(true);
    this.text = this.find("text").appendChild(new Text());
    this.find("quoted").onclick = () => reveal(this.message.reply_to);
    this.find("reply").onclick = () => compose({ replyTo: this.message });
    this.find("edit").onclick = () => compose({ editing: this.message });
    this.find("stop").onclick = () => call("POST", `rooms/${room.id}/messages/${this.message.id}/cancel/`);
    this.find("delete").onclick = async () => {
      if (confirm("Delete this message?")) await call("DELETE", `rooms/${room.id}/messages/${this.message.id}/`);
    };
  }
  find(name) { return this.element.querySelector(`.${name}`); }
  show(message) { // fields of the bot's may be missing
    this.message = message;
    const { kind, author, text, created_at: createdAt, status, citations = [], deleted } = message;
    const isRunning = RUNNING.includes(status);
    const isOwn = kind === "message" && author?.id === userId;
    const isAsker = shown.get(message.reply_to)?.message.author?.id === userId;
    this.element.seq = message.seq;
    this.element.dataset.kind = kind;
    this.element.ariaBusy = String(isRunning); // screen readers wait for the whole answer
    this.element.classList.toggle("own", isOwn);
    this.element.classList.toggle("mention", message.mentions.includes(userId));
    this.find("author").textContent = nameAuthor(message);
    this.find("time").dateTime = createdAt;
    this.find("time").textContent = new Date(createdAt).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
    if (!(isRunning && this.text.data.startsWith(text))) this.text.data = text; // else its stream is ahead
    this.find("state").textContent = [
      deleted && "deleted", !deleted && message.edited_at && "edited",
      message.mentions.includes(userId) && "mentions you", ...describeAnswer(message),
    ].filter(Boolean).join(" · ");
    showCitations(this.find("citations"), deleted ? [] : citations, this.text);
    this.find("reply").hidden = room.role === "reader" || kind === "system" || deleted;
    this.find("edit").hidden = room.role === "reader" || !isOwn || deleted;
    this.find("stop").hidden = !isRunning || !(isAsker || room.role === "owner");
    this.find("delete").hidden = kind === "system" || deleted || !(isOwn || room.role === "owner");
    this.find("quoted").hidden = !message.reply_to || deleted;
    this.find("quoted").textContent = `In reply to ${quote(shown.get(message.reply_to)?.message)}`;
  }
}
function quote(message) {
  if (!message) return "an older message";
  return message.deleted ? "a deleted message" : `${nameAuthor(message)}: ${[...message.text].slice(0, 80).join("")}`;
}
const STATES = {
  queued: "waits for the answer before it",
  pending: "",
  completed: "",
  withheld: "You joined after this answer, and may not read all that it was made from.",
};
function describeAnswer({ status, error, audience, withheld, visible_to: visibleTo }) {
  return [
    error?.title ?? STATES[status] ?? status,
    visibleTo && "only you can see this",
    audience && `for all ${count(audience.members, "member")}`,
    audience?.collections.length && `from ${count(audience.collections.length, "collection")} that they all may read`,
    withheld && `${count(withheld, "passage")} left out, since not all of them may read those`,
  ];
}
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// --- Reading ---
export function open(next, ownId) {
  room = next;
  userId = ownId;
  hasOlder = false;
  shown.clear();
  $("messages").replaceChildren();
  const ofRoom = [...drafts].filter(({ roomId }) => roomId === room?.id);
  $("drafts").replaceChildren(...ofRoom.map(({ element }) => element));
  $("older-messages").hidden = true;
}
export const isOpen = (other) => room === other;
export function begin(next, ownId) { // with a room that is opened, and can be written to before its messages are there
  open(next, ownId);
  composing = {};
  $("text").value = "";
  $("writer").hidden = next.role === "reader";
  compose({});
}
export async function load(signal) {
  const page = await call("GET", `rooms/${room.id}/messages/?limit=${PAGE}`);
  if (!signal.aborted) showPage(page);
}
async function loadOlder() {
  const { id } = room;
  const page = await call("GET", `rooms/${id}/messages/?before_seq=${firstSeq}&limit=${PAGE}`);
  if (room?.id === id) showPage(page);
}
function showPage({ items, more }) {
  $("messages").ariaLive = "off"; // of many messages at once, none is read out
  firstSeq = items[0]?.seq ?? firstSeq;
  hasOlder = more;
  items.forEach(show);
  $("older-messages").hidden = !more;
  requestAnimationFrame(() => { $("messages").ariaLive = "polite"; });
}
export function show(message) {
  const known = shown.get(message.id);
  if (known?.message.rev > message.rev || (!known && hasOlder && message.seq < firstSeq)) return;
  const entry = known ?? new Entry();
  shown.set(message.id, entry);
  entry.show(message);
  if (!known) insert(entry.element);
  shown.forEach((other) => other.message.reply_to === message.id && other.show(other.message)); // its quote
}
function insert(element) {
  let next = null;
  const before = () => (next ? next.previousElementSibling : $("messages").lastElementChild);
  while (before()?.seq > element.seq) next = before();
  $("messages").insertBefore(element, next);
}
export function append({ message_id: id, offset, text }) { // a piece of an answer, in place of all behind its offset
  const entry = shown.get(id);
  const known = [...(entry?.text.data ?? "")]; // code points, which offsets count
  if (entry && offset === known.length) entry.text.appendData(text);
  else if (entry && offset < known.length) entry.text.data = known.slice(0, offset).join("") + text;
}
export const refresh = () => shown.forEach((entry) => entry.show(entry.message)); // after a change of roles
async function reveal(id) {
  for (let pages = 0; !shown.has(id) && hasOlder && pages < MAX_REVEALED_PAGES; pages++) await loadOlder();
  const element = shown.get(id)?.element;
  if (!element) notify("That message is too far back.");
  element?.scrollIntoView({ block: "center" });
  element?.focus();
}
export function markRead() {
  const seq = $("messages").lastElementChild?.seq ?? 0;
  if (!room || document.hidden || seq <= room.read_seq) return;
  const { id, read_seq: before } = room;
  const marked = room;
  Object.assign(room, { read_seq: seq, unread: 0 });
  call("PUT", `rooms/${id}/read/`, { seq }).catch(() => { marked.read_seq = before; });
}
$("older-messages").onclick = loadOlder;

// --- Writing ---
const drafts = new Set(); // {roomId, element}: messages that are not stored yet
let composing = {}; // {replyTo} or {editing, kept}: what the text is for
let sending = Promise.resolve();
function compose({ replyTo, editing }) {
  const kept = composing.editing ? composing.kept : $("text").value;
  composing = { replyTo, editing, kept };
  $("text").value = editing?.text ?? kept;
  $("composing").hidden = !replyTo && !editing;
  $("purpose").textContent = editing ? `Change of: ${quote(editing)}` : `In reply to ${quote(replyTo)}`;
  $("write").textContent = editing ? "Save" : "Send";
  $("text").focus();
}
function send(text, replyTo) {
  const body = { text, client_id: crypto.randomUUID(), ...(replyTo && { reply_to: replyTo.id }) };
  const draft = { roomId: room.id, element: document.createElement("article") };
  draft.element.append(document.createElement("p"), document.createElement("p"));
  draft.element.firstElementChild.textContent = text;
  draft.element.lastElementChild.textContent = "sending";
  draft.element.className = "draft";
  drafts.add(draft);
  $("drafts").append(draft.element);
  sending = sending.then(() => deliver(draft, body)); // one after the other: they keep their order
}
async function deliver(draft, body) {
  for (let failures = 0; drafts.has(draft); ) {
    try { // again if it fails, with its `client_id`: it is stored once
      const message = await call("POST", `rooms/${draft.roomId}/messages/`, body);
      drafts.delete(draft);
      if (room?.id === draft.roomId) show(message);
    } catch (error) {
      draft.element.lastElementChild.textContent = `sending: ${error.message}`;
      if (!error.status || error.retryable) await backOff(failures++);
      else refuse(draft, body, error);
    }
  }
  draft.element.remove();
}
function refuse(draft, { text }, error) {
  drafts.delete(draft);
  notify(`Not sent: ${error.message}`);
  if (room?.id === draft.roomId) $("text").value ||= text;
}
async function save(message, text) {
  try {
    const saved = await call("PATCH", `rooms/${message.room_id}/messages/${message.id}/`, { text });
    if (room?.id === message.room_id) show(saved);
  } catch (error) {
    notify(`Not saved: ${error.message}`);
    if (room?.id !== message.room_id) return;
    compose({ editing: message });
    $("text").value = text;
  }
}
$("writer").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value;
  const { editing, replyTo } = composing;
  if (!text.trim()) return;
  if (!editing) $("text").value = "";
  compose({});
  if (editing) save(editing, text);
  else send(text, replyTo);
};
$("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) $("writer").onsubmit(event);
  if (event.key === "Escape") compose({});
};
$("cancel").onclick = () => compose({});
addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });
