// A page over Chatbot API, without libraries. What models and users write becomes text nodes, never HTML.
import * as chat from "./chat.js";
import {
  $, call, followStream, givenApi, leave, notify, readEvents, request, session, signIn, toProblem,
} from "./client.js";
import * as rooms from "./rooms.js";

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
  await signIn(Object.fromEntries(new FormData($("login"))), event.submitter.value === "signup");
  $("login").reset();
  await start();
};
$("files").onchange = ({ target }) => { [...target.files].forEach(upload); target.value = ""; };
$("logout").onclick = async () => { await call("POST", "users/logout/"); leave("You are logged out."); };
const loadLists = () => Promise.all([chat.load(), rooms.load()]);
function sync() { // with what other devices and users change
  let cursor;
  return followStream({
    signal: new AbortController().signal,
    async open(signal) {
      const response = await request("sync/events/", { headers: cursor && { "Last-Event-ID": cursor }, signal });
      if (!cursor) await loadLists();
      return response;
    },
    async handle({ id, event, data }) {
      if (event === "reset") await rooms.load();
      rooms.apply(data);
      await chat.apply(event, data);
      cursor = event === "reset" ? undefined : id ?? cursor;
    },
    fail: (error) => { if (error.status === 410) cursor = undefined; },
  });
}
function route() { // #<id of a conversation>, #rooms/<id>, #join/<token of an invite>
  const [, kind, id] = /^#?(?:(rooms|join)\/)?(.*)$/.exec(location.hash);
  chat.open(kind ? undefined : id || null);
  rooms.open(kind === "rooms" ? id : null);
  if (kind === "join") rooms.join(decodeURIComponent(id));
}
async function start() {
  $("login").hidden = Boolean(session);
  $("chat").hidden = !session;
  $("login").elements.api.value = givenApi ?? location.origin;
  notify(sessionStorage.getItem("notice"));
  sessionStorage.removeItem("notice");
  if (!session) return;
  addEventListener("hashchange", route);
  route();
  await loadLists();
  addEventListener("online", () => loadLists().then(chat.loadTurns));
  sync();
}
await start();
