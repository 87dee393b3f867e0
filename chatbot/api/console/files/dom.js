// Elements and tables. Texts become text nodes alone: nothing that a user or a model wrote is ever read as HTML.

export const $ = (id) => document.getElementById(id);

/** Show a message below; screen readers read it out. */
export function notify(text) {
  $("notice").textContent = text;
}

/** Return an element with attributes and children. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Return a button that runs an action; its label tells it from the same one in other rows. */
export function makeButton(text, label, action) {
  const button = make("button", { type: "button", "aria-label": label }, text);
  button.addEventListener("click", () => guard(action, button));
  return button;
}

/** Run an action; show its error. Its control does nothing meanwhile, and keeps the focus, as `disabled` would not. */
export async function guard(action, control) {
  if (control?.ariaDisabled === "true") return;
  if (control) control.ariaDisabled = "true";
  try {
    await action();
  } catch (error) {
    notify(error.message);
  } finally {
    if (control) control.ariaDisabled = null;
  }
}

/** Return a function that loads and shows: nothing is shown of a load after which another one has begun. */
export function makeLoader(load, show) {
  let newest = 0;
  return async () => {
    const number = ++newest;
    const loaded = await load();
    if (number === newest) show(loaded);
  };
}

/** Return a row of a table: columns are {name, show, isNumber}, the first one names the row. */
function makeRow(columns, item) {
  const cells = columns.map(({ show, isNumber }, index) => {
    const cell = make(index ? "td" : "th", index ? {} : { scope: "row" }, show(item));
    if (isNumber) cell.className = "number";
    return cell;
  });
  return make("tr", {}, ...cells);
}

/** Return the row, by its name, and the column in which the focus is; null where it is elsewhere. */
function findFocus(table) {
  const cell = document.activeElement.closest("td");
  return table.contains(cell) ? { name: cell.parentElement.cells[0].textContent, column: cell.cellIndex } : null;
}

/** Put the focus back to its place in a table that was filled anew. */
function restoreFocus(table, { name, column }) {
  const row = [...table.tBodies[0].rows].find(({ cells }) => cells[0].textContent === name);
  table.tabIndex = -1;
  (row?.cells[column]?.querySelector("button, select") ?? table).focus();
}

/** Fill a table with items, in the place of its rows or below them. */
export function fillTable(table, columns, items, { isMore = false, empty = "Nothing in this time." } = {}) {
  const focus = findFocus(table);
  if (!isMore) {
    const heads = columns.map(({ name, isNumber }) => {
      const head = make("th", { scope: "col" }, name);
      if (isNumber) head.className = "number";
      return head;
    });
    table.replaceChildren(table.caption, make("thead", {}, make("tr", {}, ...heads)), make("tbody"));
  }
  const body = table.tBodies[0];
  body.append(...items.map((item) => makeRow(columns, item)));
  if (!body.rows.length) body.append(make("tr", {}, make("td", { colspan: columns.length }, empty)));
  if (focus && !isMore) restoreFocus(table, focus);
}

/** Fill a list of figures: [name, value] each, the value a text or an element. */
export function fillFigures(list, figures) {
  const groups = figures.map(([name, ...values]) => make("div", {}, make("dt", {}, name), make("dd", {}, ...values)));
  list.replaceChildren(...groups);
}

/** Show a list page by page: `load(cursor)` returns {items, next_cursor}, `add(items, isMore)` shows them. */
export class PagedList {
  #load;
  #add;
  #more;
  #cursor = null;
  #generation = 0;

  constructor(more, load, add) {
    this.#more = more;
    this.#load = load;
    this.#add = add;
    more.addEventListener("click", () => guard(() => this.#read(true), more));
  }

  /** Show the first page. */
  show() {
    this.#cursor = null;
    return this.#read(false);
  }

  async #read(isMore) {
    const generation = ++this.#generation;
    const page = await this.#load(this.#cursor);
    if (generation !== this.#generation) return; // another search has begun
    this.#cursor = page.next_cursor;
    this.#more.hidden = page.next_cursor === null;
    this.#add(page.items, isMore);
  }
}

/** Call an action once the user has stopped typing. */
export function onSearch(input, action) {
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => guard(action), 300);
  });
}
