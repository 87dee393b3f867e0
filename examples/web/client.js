// What all parts of the page share: the session, requests, and streams of events.
const AWAY = "The server cannot be reached.";
export const $ = (id) => document.getElementById(id);
export const notify = (text) => { $("notice").textContent = text; };
export const backOff = (failures) => new Promise((resolve) => {
  const signal = AbortSignal.timeout(100 * 2 ** Math.min(failures, 6));
  signal.onabort = resolve;
  addEventListener("online", resolve, { signal });
});
export const toProblem = ({ title, detail, instance, retryable, errors = {} }, status) => { // RFC 9457
  const fields = Object.entries(errors).map(([name, texts]) => `${name}: ${texts.join(" ")}`).join(" ");
  return Object.assign(new Error(fields || detail || title || `Status ${status}.`), { status, instance, retryable });
};
addEventListener("unhandledrejection", ({ reason }) => notify(reason.message));

// --- Session: kept in this tab, and sent only to the server that made it ---
const clean = (address) => new URL(address, location.origin).href.replace(/\/+$/, "");
export const givenApi = new URLSearchParams(location.search).get("api");
export let session = JSON.parse(sessionStorage.getItem("session")); // {api, access_token, refresh_token}
if (givenApi && session?.api !== clean(givenApi)) session = null;
let refreshing;
function keep({ access_token, refresh_token }) {
  session = { api: session.api, access_token, refresh_token };
  sessionStorage.setItem("session", JSON.stringify(session));
}
export function leave(notice) {
  sessionStorage.clear();
  sessionStorage.setItem("notice", notice);
  location.reload();
}
export async function request(path, options = {}, isRetry = false) {
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
export const toOptions = (method, body, headers) => // with JSON
  ({ method, headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) });
export async function call(method, path, body, isRetry) {
  const text = await (await request(path, body ? toOptions(method, body) : { method }, isRetry)).text();
  return text && JSON.parse(text);
}
export async function* readEvents(response) {
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
export async function signIn({ api, email, password, username }, isNew) {
  session = { api: clean(api) };
  const account = { email, username, password, password_confirm: password };
  if (isNew) await call("POST", "users/signup/", account);
  keep(await call("POST", "users/login/", { email, password }));
}
// Hand the events of a stream on, and open it again where it ends, until `signal` aborts. A hidden tab keeps no
// connection: browsers allow six to a server.
export async function followStream({ signal, open, handle, fail }) {
  for (let failures = 0; !signal.aborted; ) {
    const leaving = new AbortController();
    const hide = () => document.hidden && leaving.abort();
    document.addEventListener("visibilitychange", hide, { signal: leaving.signal });
    try {
      for await (const event of readEvents(await open(AbortSignal.any([signal, leaving.signal])))) {
        if (signal.aborted) return;
        failures = 0;
        await handle(event);
      }
    } catch (error) {
      if (!signal.aborted) await fail(error);
    }
    leaving.abort();
    if (!document.hidden) await backOff(failures++);
    else await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}
export async function listAll(path) { // the items of all pages of a list
  const items = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await call("GET", `${path}?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return items;
}
