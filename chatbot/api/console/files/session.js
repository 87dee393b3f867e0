// The session of an administrator, kept in this tab alone, and requests with its token.

const KEY = "console-session";
let session = JSON.parse(sessionStorage.getItem(KEY)); // {email, access_token, refresh_token}
let refreshing;
let handleEnd = () => {};

/** A refusal of the server (RFC 9457). */
export class Problem extends Error {
  constructor({ title, detail, code, errors = {} }, status) {
    const fields = Object.entries(errors).map(([name, texts]) => `${name}: ${[texts].flat().join(" ")}`);
    super(fields.join(" ") || detail || title || `Status ${status}.`);
    this.code = code;
    this.status = status;
  }
}

export const isSignedIn = () => session !== null;
export const getEmail = () => session?.email;

/** Call a function when the session has ended. */
export function onEnd(handle) {
  handleEnd = handle;
}

function keep(email, { access_token, refresh_token }) {
  session = { email, access_token, refresh_token };
  sessionStorage.setItem(KEY, JSON.stringify(session));
}

function end(notice) {
  session = null;
  sessionStorage.removeItem(KEY);
  handleEnd(notice);
}

async function send(path, { method = "GET", body, signal, token } = {}) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }) };
  if (body) headers["Content-Type"] = "application/json";
  const options = { method, headers, signal, body: body && JSON.stringify(body) };
  const response = await fetch(`../api/${path}`, options).catch((error) => {
    throw signal?.aborted ? error : new Error("The server cannot be reached.");
  });
  if (response.ok) return response;
  throw new Problem(await response.json().catch(() => ({})), response.status);
}

/** Spend the refresh token, once for all requests that wait for it. */
async function refresh() {
  const { email, refresh_token } = session;
  const response = await send("users/refresh/", { method: "POST", body: { refresh_token } });
  keep(email, await response.json());
}

/** Send a request with the session's token, which is renewed where it has expired. */
export async function request(path, options = {}, isRetry = false) {
  const token = session?.access_token;
  try {
    return await send(path, { ...options, token });
  } catch (problem) {
    if (problem.status !== 401 || !session) throw problem;
    if (isRetry) end("Your session has ended; sign in again.");
    if (isRetry) throw problem;
  }
  if (session.access_token === token) {
    refreshing ??= refresh().finally(() => { refreshing = undefined; });
    await refreshing.catch((problem) => {
      if (problem.status === 401 && session) end("Your session has ended; sign in again.");
      throw problem;
    });
  }
  return request(path, options, true);
}

/** Return the JSON of a request; undefined where it has none. */
export async function call(method, path, body) {
  const text = await (await request(path, { method, body })).text();
  return text ? JSON.parse(text) : undefined;
}

/** Return the JSON at a path with a query, without its empty parameters. */
export function read(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return call("GET", given.length ? `${path}?${new URLSearchParams(given)}` : path);
}

/** Sign in, in the place of a session that there is; throws for an account that is no administrator's. */
export async function signIn(email, password) {
  const tokens = await (await send("users/login/", { method: "POST", body: { email, password } })).json();
  if (tokens.user.role !== "admin") {
    await send("users/logout/", { method: "POST", token: tokens.access_token });
    throw new Error("This account is not an administrator's.");
  }
  const before = session?.access_token;
  keep(email, tokens);
  if (before) await send("users/logout/", { method: "POST", token: before }).catch(() => {});
}

export async function signOut() {
  await call("POST", "users/logout/").catch(() => {}); // it ends here in any case
  if (session) end("You are signed out.");
}
