// The panel of the open room: settings, members, invites, and ways out.
import { $, call, listAll } from "./client.js";

const ROLES = ["owner", "member", "reader"];
const SETTINGS = ["name", "topic", "history", "bot", "instructions"];
let room = null; // the open one
let userId; // the page's own user
let filled = ""; // with these settings, as JSON: a change of others' does not undo what is being typed
let rights = ""; // of the user in the room

// Show a room; returns whether the user has other rights than in what was shown before.
export function show(next, ownId) {
  room = next;
  userId = ownId;
  const values = JSON.stringify([room.id, ...SETTINGS.map((name) => room[name])]);
  if (values !== filled) fill();
  filled = values;
  const before = rights;
  rights = `${room.id} ${room.role}`;
  if (rights === before) return false;
  const isOwner = room.role === "owner";
  $("settings").firstElementChild.disabled = !isOwner;
  $("save").hidden = $("inviting").hidden = $("delete-room").hidden = !isOwner;
  $("link").value = "";
  reload();
  return true;
}
function fill() {
  for (const name of SETTINGS) {
    const field = $("settings").elements[name];
    field.closest("label").hidden = room[name] === undefined; // of a server without it
    field.value = room[name] ?? "";
  }
}
export async function reload() {
  if (!$("details").matches(":popover-open")) return;
  const { id } = room;
  const found = await listAll(`rooms/${id}/members/`);
  if (room.id === id) $("members").replaceChildren(...found.map(list));
}
function list({ user_id: id, username, role }) {
  const item = document.createElement("li");
  const path = `rooms/${room.id}/members/${id}/`;
  item.append(`${username}, ${role}${id === userId ? " (you)" : ""} `);
  if (room.role !== "owner" || id === userId) return item;
  const select = item.appendChild(document.createElement("select"));
  select.ariaLabel = `Role of ${username}`;
  select.append(...ROLES.map((name) => new Option(name, name, false, name === role)));
  select.onchange = () => call("PUT", path, { role: select.value }).finally(reload);
  const button = item.appendChild(document.createElement("button"));
  button.textContent = "Remove";
  button.ariaLabel = `Remove ${username}`;
  button.onclick = () => confirm(`Remove ${username}?`) && call("DELETE", path).finally(reload);
  return item;
}
$("details").ontoggle = reload;
$("settings").onsubmit = async (event) => {
  event.preventDefault();
  const given = Object.entries(Object.fromEntries(new FormData($("settings"))));
  const changed = given.filter(([name, value]) => room[name] !== undefined && value !== (room[name] ?? ""));
  if (changed.length) await call("PATCH", `rooms/${room.id}/`, Object.fromEntries(changed));
  $("details").hidePopover();
};
$("invite").onclick = async () => {
  const { token } = await call("POST", `rooms/${room.id}/invites/`, {});
  $("link").value = `${location.href.split("#")[0]}#join/${encodeURIComponent(token)}`;
  $("link").select();
};
$("leave-room").onclick = async () => {
  if (confirm(`Leave “${room.name}”?`)) await call("DELETE", `rooms/${room.id}/members/${userId}/`);
};
$("delete-room").onclick = async () => {
  if (confirm(`Delete “${room.name}” with all its messages?`)) await call("DELETE", `rooms/${room.id}/`);
};
