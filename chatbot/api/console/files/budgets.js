// The budgets of an account: a row for each metric and window, in a dialog.
import { $, guard, make, makeButton } from "./dom.js";
import { formatCost, formatNumber } from "./format.js";

const METRICS = { turns: "turns", tokens: "tokens", micro_usd: "dollars" };
const WINDOWS = { day: "a day", month: "a month", ever: "ever" };
const MICRO = 1e6; // a dollar's millionths, in which the server counts

const dialog = $("budgets");
const form = $("budgets-form");
const rows = $("budgets-rows");
const fields = form.elements;
let save = null; // of the account whose budgets are shown

const isMoney = (metric) => metric === "micro_usd";
const format = (metric, amount) => (isMoney(metric) ? formatCost(amount) : formatNumber(amount));
const nameOf = ({ metric, window }) => `${METRICS[metric]}, ${WINDOWS[window]}`;

/** Return a row with the limit in a field; what is used is told of budgets that are there already. */
function makeRow({ metric, window, limit, used = 0 }) {
  const name = nameOf({ metric, window });
  const attributes = { type: "number", min: 0, required: "", "aria-label": `Limit: ${name}` };
  const field = make("input", { ...attributes, step: isMoney(metric) ? 1 / MICRO : 1 });
  field.value = isMoney(metric) ? limit / MICRO : limit;
  const row = make("tr", { "data-metric": metric, "data-window": window });
  const remove = makeButton("Remove", `Remove: ${name}`, () => {
    row.remove();
    fields.limit.focus();
  });
  const cells = [format(metric, used), field, remove].map((content) => make("td", {}, content));
  row.append(make("th", { scope: "row" }, name), ...cells);
  return row;
}

function readLimits() {
  return [...rows.rows].map((row) => {
    const { metric, window } = row.dataset;
    const value = Number(row.querySelector("input").value);
    return { metric, window, limit: isMoney(metric) ? Math.round(value * MICRO) : value };
  });
}

/** Add the budget that the fields below the rows name, in the place of one of the same metric and window. */
function add() {
  if (!fields.limit.value) throw new Error("A budget needs a limit.");
  const added = { metric: fields.metric.value, window: fields.window.value };
  [...rows.rows].find((row) => nameOf(row.dataset) === nameOf(added))?.remove();
  const value = Number(fields.limit.value);
  rows.append(makeRow({ ...added, limit: isMoney(added.metric) ? value * MICRO : value }));
  fields.limit.value = "";
}

/** Show the budgets of an account; `change(limits)` saves them. */
export function editBudgets(account, change) {
  save = change;
  form.reset();
  $("budgets-notice").textContent = "";
  $("budgets-title").textContent = `Budgets of ${account.username}`;
  rows.replaceChildren(...account.budgets.map(makeRow));
  dialog.showModal();
}

/** Return the budgets of an account in a few words. */
export function describeBudgets({ budgets }) {
  const describe = (one) => `${format(one.metric, one.used)} of ${format(one.metric, one.limit)} ${nameOf(one)}`;
  return budgets.map(describe).join("; ") || "none";
}

/** Do something in the dialog, which tells what went wrong. */
async function inDialog(action) {
  $("budgets-notice").textContent = "";
  try {
    await action();
  } catch (error) {
    $("budgets-notice").textContent = error.message;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const action = async () => {
    if (fields.limit.value) add();
    await save(readLimits());
    dialog.close();
  };
  guard(() => inDialog(action), $("budgets-save"));
});
$("budgets-add").addEventListener("click", () => inDialog(add));
$("budgets-cancel").addEventListener("click", () => dialog.close());
