// Accounts: their roles, their budgets, and whether they are disabled. Changes need a login at most ten minutes old.
import { describeBudgets, editBudgets } from "./budgets.js";
import { $, PagedList, fillTable, guard, make, makeButton, notify, onSearch } from "./dom.js";
import { formatTime } from "./format.js";
import { call, getEmail, read, signIn } from "./session.js";

const dialog = $("password");
const form = $("password-form");

/** Ask for the password and sign in again; throws where it is not given. */
function confirmPassword() {
  form.reset();
  $("password-notice").textContent = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    dialog.addEventListener("close", () => {
      over.abort();
      reject(new Error("Nothing was changed."));
    }, { signal: over.signal });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await signIn(getEmail(), form.elements.password.value);
        resolve();
        dialog.close();
      } catch (error) {
        $("password-notice").textContent = error.message;
      }
    }, { signal: over.signal });
  });
}

/** Change an account; ask for the password where the login is too old. */
async function change(account, values) {
  const send = () => call("PATCH", `admin/users/${account.id}/`, values);
  try {
    await send();
  } catch (problem) {
    if (problem.code !== "reauthentication_required") throw problem;
    await confirmPassword();
    await send();
  }
}

/** Change an account after a question; the list shows what it is then. */
async function ask(account, values, done) {
  try {
    if (!confirm(`${done}?`)) return;
    await change(account, values);
    notify(`${done}: done.`);
  } finally {
    await accounts.show();
  }
}

function showRole(account) {
  const options = ["user", "admin"].map((role) => make("option", {}, role));
  const select = make("select", { "aria-label": `Role of ${account.username}` }, ...options);
  select.value = account.role;
  select.addEventListener("change", () =>
    guard(() => ask(account, { role: select.value }, `Make ${account.username} ${select.value}`), select));
  return select;
}

function showDisabled(account) {
  const verb = account.disabled ? "Enable" : "Disable";
  const label = `${verb} ${account.username}`;
  return makeButton(verb, label, () => ask(account, { disabled: !account.disabled }, label));
}

function showBudgets(account) {
  const save = async (budgets) => {
    await change(account, { budgets });
    notify(`Budgets of ${account.username}: saved.`);
    await accounts.show();
  };
  return makeButton(describeBudgets(account), `Budgets of ${account.username}`, () => editBudgets(account, save));
}

const COLUMNS = [
  { name: "User", show: (item) => item.username },
  { name: "E-mail address", show: (item) => `${item.email}${item.email_verified ? "" : " (not confirmed)"}` },
  { name: "Since", show: (item) => formatTime(item.created_at) },
  { name: "State", show: (item) => (item.disabled ? make("span", { class: "bad" }, "disabled") : "enabled") },
  { name: "Role", show: showRole },
  { name: "Budgets", show: showBudgets },
  { name: "Change", show: showDisabled },
];

const accounts = new PagedList(
  $("accounts-more"),
  (cursor) => read("admin/users/", { q: $("accounts-query").value.trim(), cursor }),
  (items, isMore) => fillTable($("accounts-table"), COLUMNS, items, { isMore, empty: "No accounts." }),
);

/** Load the first page. */
export const loadAccounts = () => accounts.show();

onSearch($("accounts-query"), loadAccounts);
$("password-cancel").addEventListener("click", () => dialog.close());
