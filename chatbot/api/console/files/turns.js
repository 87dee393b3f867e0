// A turn of a user with its trace, for a reason that the administrator writes down.
import { $, fillTable, guard, make } from "./dom.js";
import { NONE, formatNumber, formatShare, formatTime } from "./format.js";
import { read } from "./session.js";

const dialog = $("turn");
const form = $("turn-form");
let shownId = null;

const CANDIDATE_COLUMNS = [
  { name: "Passage", show: (item) => item.title },
  { name: "Rank by words", show: (item) => formatNumber(item.lexical_rank), isNumber: true },
  { name: "Rank by meaning", show: (item) => formatNumber(item.dense_rank), isNumber: true },
  { name: "Score", show: (item) => formatShare(item.score), isNumber: true },
  { name: "Left out", show: (item) => item.dropped ?? NONE },
];

/** Ask for a reason to read a turn. */
export function openTurn(id) {
  shownId = id;
  form.reset();
  $("turn-notice").textContent = "";
  $("turn-content").replaceChildren();
  dialog.showModal();
}

const toText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Return a list of facts; those without a value are left out. */
function makeFacts(facts) {
  const given = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const list = make("dl");
  for (const [name, value] of given) list.append(make("dt", {}, name), make("dd", {}, toText(value)));
  return list;
}

function makeTurn(turn) {
  return [
    make("h3", {}, "Message"),
    make("p", { class: "text" }, turn.user_message),
    make("h3", {}, "Answer"),
    make("p", { class: "text" }, turn.bot_response || NONE),
    makeFacts({
      Status: turn.status,
      Error: turn.error && `${turn.error.code}: ${turn.error.title}`,
      Model: turn.model,
      From: formatTime(turn.created_at),
      Until: formatTime(turn.completed_at),
      "Tokens of the prompt": turn.usage.prompt_tokens,
      "Tokens of the answer": turn.usage.completion_tokens,
      Cited: turn.citations.map((one) => one.title).join(", "),
    }),
  ];
}

function makeTrace(trace) {
  const table = make("table", { id: "candidates" }, make("caption", {}, "Passages that were looked at"));
  fillTable(table, CANDIDATE_COLUMNS, trace.candidates, { empty: "None." });
  return [
    make("h3", {}, "Trace"),
    make("div", { class: "wide" }, table),
    makeFacts({
      Searched: trace.retrieval_query,
      Notes: trace.notes.join(" "),
      Dropped: trace.dropped,
      "Tokens of the prompt's parts": trace.prompt_tokens,
      "Requests to models": trace.tries,
      Milliseconds: trace.milliseconds,
      "Earlier turns": trace.context,
    }),
  ];
}

async function show() {
  const id = shownId;
  const query = { reason: form.elements.reason.value };
  $("turn-notice").textContent = "";
  const turn = await read(`admin/turns/${id}/`, query);
  const trace = await read(`admin/turns/${id}/trace/`, query);
  if (id !== shownId) return;
  $("turn-content").replaceChildren(...makeTurn(turn), ...makeTrace(trace));
  $("turn-content").focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  guard(async () => {
    try {
      await show();
    } catch (error) {
      const isDeleted = error.status === 404; // the ledger outlives it
      $("turn-notice").textContent = isDeleted ? "The turn was deleted; its numbers alone are kept." : error.message;
    }
  }, form.querySelector("button"));
});
$("turn-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  shownId = null;
  $("turn-content").replaceChildren(); // it stays on no screen
});
