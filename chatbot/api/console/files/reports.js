// Reports of a period as tables: models, users, errors, questions without an answer, ratings.
import { $, PagedList, fillFigures, fillTable, guard, makeButton, makeLoader, onSearch } from "./dom.js";
import { NONE, countTokens, formatCost, formatMilliseconds, formatNumber, formatShare, formatTime } from "./format.js";
import { toQuery } from "./period.js";
import { read } from "./session.js";
import { openTurn } from "./turns.js";

const number = (name, show) => ({ name, show, isNumber: true });
const readTurn = (getId) => ({
  name: "Turn",
  show: (item) => makeButton("Read…", `Read the turn ${getId(item)}`, () => openTurn(getId(item))),
});

const MODEL_COLUMNS = [
  { name: "Model", show: (item) => item.model ?? "none" },
  number("Turns", (item) => formatNumber(item.turns)),
  number("Failed", (item) => formatNumber(item.failed)),
  number("Tokens", (item) => formatNumber(countTokens(item))),
  number("Cost", (item) => formatCost(item.micro_usd)),
  number("First text, p50", (item) => formatMilliseconds(item.first_text_ms.p50)),
  number("First text, p95", (item) => formatMilliseconds(item.first_text_ms.p95)),
];
const USER_COLUMNS = [
  { name: "User", show: (item) => item.username ?? "deleted accounts" },
  number("Turns", (item) => formatNumber(item.turns)),
  number("Tokens", (item) => formatNumber(item.tokens)),
  number("Cost", (item) => formatCost(item.micro_usd)),
  { name: "Last turn", show: (item) => formatTime(item.last_at) },
];
const ERROR_COLUMNS = [
  { name: "Code", show: (item) => item.code },
  number("Turns", (item) => formatNumber(item.turns)),
  { name: "Last", show: (item) => formatTime(item.last_at) },
  readTurn((item) => item.last_turn_id),
];
const TURN_COLUMNS = [
  { name: "Time", show: (item) => formatTime(item.at) },
  { name: "User", show: (item) => item.user_id ?? "deleted account" },
  { name: "Model", show: (item) => item.model ?? NONE },
  { name: "Status", show: (item) => item.code ?? item.status },
  number("Tokens", (item) => formatNumber(countTokens(item))),
  number("Cost", (item) => formatCost(item.micro_usd)),
  number("First text", (item) => formatMilliseconds(item.first_text_ms)),
  readTurn((item) => item.turn_id),
];
const QUESTION_COLUMNS = [
  { name: "Time", show: (item) => formatTime(item.at) },
  { name: "User", show: (item) => item.user_id ?? "deleted account" },
  readTurn((item) => item.turn_id),
];
const RATING_COLUMNS = [
  { name: "Time", show: (item) => formatTime(item.at) },
  { name: "Rating", show: (item) => ({ 1: "good", "-1": "bad" })[item.rating] ?? NONE },
  readTurn((item) => item.turn_id),
];

const users = new PagedList(
  $("users-more"),
  (cursor) => read("analytics/users/", { ...toQuery(), q: $("users-query").value.trim(), cursor }),
  (items, isMore) => fillTable($("users-table"), USER_COLUMNS, items, { isMore }),
);
onSearch($("users-query"), () => users.show());

const turns = new PagedList(
  $("turns-more"),
  (cursor) => read("analytics/turns/", { ...toQuery(), status: $("turns-status").value, cursor }),
  (items, isMore) => fillTable($("turns-table"), TURN_COLUMNS, items, { isMore }),
);
$("turns-status").addEventListener("change", () => guard(() => turns.show()));

const makeReport = (name, show) => makeLoader(() => read(`analytics/${name}/`, toQuery()), show);
const loadModels = makeReport("models", ({ items }) => fillTable($("models-table"), MODEL_COLUMNS, items));
const loadErrors = makeReport("errors", ({ items }) => fillTable($("errors-table"), ERROR_COLUMNS, items));
const loadQuestions = makeReport("knowledge", (found) => {
  fillFigures($("grounding"), [
    ["Turns with retrieval", formatNumber(found.turns)],
    ["With passages", formatNumber(found.with_passages)],
    ["Supported by citations", formatShare(found.grounded)],
  ]);
  fillTable($("questions-table"), QUESTION_COLUMNS, found.unanswered);
});
const loadRatings = makeReport("feedback", ({ up, down, items }) => {
  fillTable($("ratings-table"), RATING_COLUMNS, items);
  $("ratings-table").caption.textContent = `The newest rated answers, of ${up} good and ${down} bad ones`;
});

/** Load the tables of the period; the failure of one leaves the others. */
export function loadReports() {
  const reports = [loadModels, () => users.show(), loadErrors, () => turns.show(), loadQuestions, loadRatings];
  return Promise.all(reports.map((report) => guard(report)));
}
