// Documents with their state; one that failed may be tried again.
import { $, PagedList, fillTable, guard, make, makeButton, notify } from "./dom.js";
import { formatNumber, formatShare, formatTime } from "./format.js";
import { call, read } from "./session.js";

function showState({ status, progress, error, warnings }) {
  if (status === "failed") return make("span", { class: "bad" }, `failed: ${error?.title ?? ""}`);
  if (status === "processing") return `processing, ${formatShare(progress)}`;
  return warnings.length ? `${status}; ${warnings.join(" ")}` : status;
}

async function retry({ id, title }) {
  await call("POST", `documents/${id}/retry/`);
  notify(`${title} is queued again.`);
  await documents.show();
}

const COLUMNS = [
  { name: "Title", show: (item) => item.title },
  { name: "State", show: showState },
  { name: "Bytes", show: (item) => formatNumber(item.bytes), isNumber: true },
  { name: "Chunks", show: (item) => formatNumber(item.chunks), isNumber: true },
  { name: "Changed", show: (item) => formatTime(item.updated_at) },
  {
    name: "Retry",
    show: (item) => (item.status === "failed" ? makeButton("Retry", `Retry ${item.title}`, () => retry(item)) : ""),
  },
];

const documents = new PagedList(
  $("documents-more"),
  (cursor) => read("documents/", { status: $("documents-status").value, cursor }),
  (items, isMore) => fillTable($("documents-table"), COLUMNS, items, { isMore, empty: "No documents." }),
);

/** Load the first page. */
export const loadDocuments = () => documents.show();

$("documents-status").addEventListener("change", () => guard(loadDocuments));
$("documents-refresh").addEventListener("click", ({ target }) => guard(loadDocuments, target));
