// The load of the server, once a second, and its health.
import { $, fillFigures, fillTable, make } from "./dom.js";
import { formatClock, formatNumber } from "./format.js";
import { isSignedIn, request } from "./session.js";

const EVENTS_PER_HEALTH = 10; // of which each comes a second after the last one
const MAX_PAUSE = 10_000; // milliseconds until a stream that ended is opened again
const HEALTH_COLUMNS = [
  { name: "Part", show: ([name]) => name },
  { name: "State", show: ([, state]) => (state === "ok" ? state : make("span", { class: "bad" }, toText(state))) },
];
const BREAKER_COLUMNS = [
  { name: "Model", show: (item) => item.model },
  {
    name: "Breaker",
    show: ({ open }) => (open ? make("span", { class: "bad" }, `open in ${open} processes`) : "closed"),
  },
];
const toText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
let following = null;

function showLoad(load) {
  const meter = make("meter", { min: 0, max: load.turn_slots, high: load.turn_slots * 0.9, value: load.running_turns });
  meter.setAttribute("aria-label", "Slots in use");
  fillFigures($("load"), [
    ["Running turns", `${formatNumber(load.running_turns)} of ${formatNumber(load.turn_slots)}`, meter],
    ["Documents waiting", formatNumber(load.documents_waiting)],
    ["Database connections", formatNumber(load.database_connections)],
    ...load.sockets.map((one) => [`Sockets of ${one.namespace}`, formatNumber(one.connections)]),
  ]);
  fillTable($("breakers-table"), BREAKER_COLUMNS, load.breakers, { empty: "No model." });
  $("live-state").textContent = `As of ${formatClock(load.at)}.`;
}

/** Show the parts of `/readyz`, which answers without a login, with 503 too. */
async function showHealth(signal) {
  const response = await fetch("../readyz", { signal });
  const { checks } = await response.json();
  fillTable($("health-table"), HEALTH_COLUMNS, Object.entries(checks));
}

/** Yield the events of a stream (WHATWG HTML, 9.2) with their data. */
async function* readEvents(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const { event, data } = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (event) yield { event, data: JSON.parse(data) };
    }
  }
}

async function readStream(signal) {
  const response = await request("analytics/live/", { signal });
  let count = 0;
  for await (const { event, data } of readEvents(response)) {
    if (event === "error") return; // the token has expired; the next request renews it
    if (event === "load") showLoad(data);
    if (count++ % EVENTS_PER_HEALTH === 0) await showHealth(signal);
  }
}

const pause = (milliseconds, signal) => new Promise((resolve) => {
  const over = AbortSignal.any([signal, AbortSignal.timeout(milliseconds)]);
  over.addEventListener("abort", resolve, { once: true });
});

/** Follow the load until `stopLive`, or while the tab is shown. */
export async function startLive() {
  stopLive();
  if (document.hidden || !isSignedIn()) return;
  const { signal } = (following = new AbortController());
  for (let wait = 500; !signal.aborted; wait = Math.min(2 * wait, MAX_PAUSE)) {
    const began = Date.now();
    await readStream(signal).catch((error) => {
      if (!signal.aborted) $("live-state").textContent = error.message;
    });
    if (Date.now() - began > MAX_PAUSE) wait = 500;
    if (!signal.aborted) await pause(wait, signal);
  }
}

/** Close the stream. */
export function stopLive() {
  following?.abort();
  following = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? stopLive() : startLive()));
