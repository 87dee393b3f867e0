// Citations, each a button that opens its quote and marks the parts of an answer which it supports.
import { $ } from "./client.js";

const toUnits = (text, offset) => [...text].slice(0, offset).join("").length; // from code points, which the API counts
export function showCitations(list, citations, text) {
  const state = JSON.stringify(citations);
  if (list.state === state) return; // a button that is there keeps the focus
  list.state = state;
  list.replaceChildren(...citations.map((citation) => cite(citation, text)));
}
function cite({ marker, title, page, quote, start, end, stale, answer_spans: spans }, text) {
  const item = document.createElement("li");
  const button = item.appendChild(document.createElement("button"));
  button.textContent = `${marker ?? "∗"} ${title}${page ? `, page ${page}` : ""}`;
  button.onclick = () => {
    $("source").textContent = title;
    $("quote").textContent = quote || "You may not read this document any more.";
    $("place").textContent = `Characters ${start} to ${end}${stale ? " of an older version" : ""}`;
    const ranges = spans.map((span) => span.map((offset) => toUnits(text.data, offset))).map(([from, to]) =>
      new StaticRange({ startContainer: text, startOffset: from, endContainer: text, endOffset: to }));
    CSS.highlights?.set("cited", new Highlight(...ranges));
    $("citation").showPopover();
  };
  return item;
}
