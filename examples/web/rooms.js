// Rooms: the list of those that the user is a member of, and the stream of the open one.
import { $, call, followStream, listAll, notify, request, toProblem } from "./client.js";
import * as details from "./details.js";
import * as messages from "./messages.js";

const rooms = new Map(); // by id
const rows = new Map(); // by the id of the room
let current = null; // the id of the open room
let reading = new AbortController(); // of its stream
let newest = 0; // the rank of the room that was written to last
let userId;

function keep(data) {
  const room = rooms.get(data.id) ?? { last_seq: -1 };
  if (data.last_seq > room.last_seq) room.rank = ++newest;
  rooms.set(data.id, Object.assign(room, data));
  return room;
}
function forget(id) {
  const room = rooms.get(id);
  rooms.delete(id);
  rows.delete(id);
  if (id !== current) return;
  current = null;
  reading.abort();
  notify(room ? `You are no member of “${room.name}” any more.` : "There is no such room.");
  location.hash = "";
}
export async function load() {
  userId ??= (await call("GET", "users/me/")).id;
  const before = [...rooms.keys()];
  const items = await listAll("rooms/");
  before.filter((id) => !items.some((room) => room.id === id)).forEach(forget);
  for (const room of items.reverse()) keep(room).rank = ++newest; // also the open one, which was read before the others
  update();
}
export function apply({ type, op, id, data }) { // a change of the user's feed
  if (type === "room" && op === "upsert") keep(data);
  if (type === "room" && op === "delete") forget(id);
  if (type === "read_mark" && rooms.has(id)) Object.assign(rooms.get(id), data, { id });
  update();
}
export async function open(id) {
  reading.abort();
  reading = new AbortController();
  const { signal } = reading;
  current = id;
  $("room").hidden = !id;
  $("details").hidePopover();
  messages.open(null);
  $("writer").hidden = true; // until the room is known
  update();
  if (!id) return;
  let rev; // up to which the room is shown
  await followStream({
    signal,
    async open(leaving) {
      if (rev === undefined) rev = await read(id, signal);
      return request(`rooms/${id}/events/`, { headers: { "Last-Event-ID": rev }, signal: leaving });
    },
    handle(event) {
      show(id, event);
      rev = event.id ?? rev;
      update();
    },
    fail(error) {
      if (error.status === 404) forget(id);
      else if (error.status === 410) rev = undefined; // the database was restored
      else if (error.status && !error.retryable) notify(error.message);
    },
  });
}
async function read(id, signal) {
  userId ??= (await call("GET", "users/me/")).id;
  const data = await call("GET", `rooms/${id}/`);
  if (signal.aborted) return undefined;
  messages.open(keep(data), userId);
  await messages.load(signal);
  if (!signal.aborted) update();
  return data.rev; // as it was before the messages: what was written meanwhile comes once more
}
function show(id, { event, data }) {
  if (event === "error") throw toProblem(data, data.status);
  if (event === "removed") forget(id);
  if (event === "message") messages.show(data);
  if (event === "bot_delta") messages.append(data);
  if (event === "bot_done") messages.show(data.message);
  if (event !== "changed") return;
  if (data.type === "message") messages.show(data.data);
  if (data.type === "room") keep(data.data);
  if (data.type === "member") details.reload();
}
export async function join(token) {
  const room = await call("POST", "rooms/join/", { token }).catch((error) => { notify(error.message); });
  if (room) keep(room);
  if (room) location.replace(`#rooms/${room.id}`);
  else if (location.hash.startsWith("#join/")) location.replace("#");
}
function update() {
  const listed = [...rooms.values()].sort((one, other) => other.rank - one.rank);
  listed.forEach(list);
  while ($("rooms").children.length > listed.length) $("rooms").lastElementChild.remove();
  const room = rooms.get(current);
  if (!room) return;
  if (!messages.isOpen(room)) messages.begin(room, userId);
  messages.markRead();
  document.title = $("room-name").textContent = room.name;
  $("topic").textContent = room.topic;
  $("show-details").textContent = `Details, ${room.members} ${room.members === 1 ? "member" : "members"}`;
  $("writer").hidden = room.role === "reader";
  $("text").placeholder = (room.bot ?? "off") === "off" ? "" : "@bot asks the bot for all, @bot! for you alone";
  if (details.show(room, userId)) messages.refresh();
}
function list({ id, name, unread }, at) {
  const row = rows.get(id) ?? document.createElement("li");
  const link = row.firstElementChild ?? row.appendChild(document.createElement("a"));
  rows.set(id, row);
  link.href = `#rooms/${id}`;
  link.textContent = unread && !(id === current && !document.hidden) ? `${name} · ${unread} unread` : name;
  link.ariaCurrent = id === current ? "page" : null;
  const there = $("rooms").children[at]; // a row that stays in its place keeps the focus
  if (there !== row) $("rooms").insertBefore(row, there ?? null);
}
document.addEventListener("visibilitychange", update);
$("new-room").onclick = async () => {
  const name = prompt("Name of the room")?.trim();
  if (name) location.hash = `rooms/${keep(await call("POST", "rooms/", { name })).id}`;
};
$("join").onsubmit = (event) => {
  event.preventDefault();
  join($("join").elements.token.value.trim().split("#join/").pop());
  $("join").reset();
};
