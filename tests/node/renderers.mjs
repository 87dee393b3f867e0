// Renders each line of standard input (JSON: a Markdown text) with five libraries, all HTML and all schemes allowed, and
// writes one line for it (JSON): by library what of the result fetches, runs or links to another scheme than allowed.
import readline from "node:readline";

import * as commonmark from "commonmark";
import MarkdownIt from "markdown-it";
import { marked } from "marked";
import { micromark } from "micromark";
import { gfm, gfmHtml } from "micromark-extension-gfm";
import { parseFragment } from "parse5";
import showdown from "showdown";

const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const FETCHING = new Set(
  ("applet audio base bgsound embed frame frameset iframe image img input link math meta noembed noframes noscript " +
    "object picture plaintext script source style svg template textarea title track use video xmp").split(" "),
);
const HARMLESS = new Set(["align", "alt", "checked", "class", "dir", "disabled", "id", "start", "title", "type"]);

const markdownIt = new MarkdownIt({ html: true, linkify: true });
markdownIt.validateLink = () => true;
const showdownConverter = new showdown.Converter({ tables: true, tasklists: true, strikethrough: true });
const dangerous = { allowDangerousHtml: true, allowDangerousProtocol: true };
const renderers = {
  "markdown-it": (text) => markdownIt.render(text),
  marked: (text) => marked.parse(text),
  commonmark: (text) => new commonmark.HtmlRenderer({ safe: false }).render(new commonmark.Parser().parse(text)),
  micromark: (text) => micromark(text, { ...dangerous, extensions: [gfm()], htmlExtensions: [gfmHtml()] }),
  showdown: (text) => showdownConverter.makeHtml(text),
};

function isAllowedUrl(value) {
  try {
    return SCHEMES.has(new URL(value, "https://site.example/").protocol);
  } catch {
    return true; // what no browser can follow
  }
}

function isAllowedAttribute({ name, value }) {
  if (name === "href") return isAllowedUrl(value);
  if (name === "style") return /^(text-align|list-style-type): ?\w+;?$/.test(value);
  return value === "" || HARMLESS.has(name) || name.startsWith("data-footnote") || name.startsWith("aria-");
}

function isAllowedElement(node) {
  const isCheckbox = node.tagName === "input" && node.attrs.some((attr) => attr.value === "checkbox");
  return !FETCHING.has(node.tagName) || isCheckbox;
}

function findings(node) {
  const attributes = (node.attrs ?? []).filter((attr) => node.tagName !== "input" && !isAllowedAttribute(attr));
  const own = attributes.map((attr) => `${node.tagName} ${attr.name}=${attr.value}`);
  if (node.tagName && !isAllowedElement(node)) own.push(node.tagName);
  return own.concat((node.childNodes ?? []).flatMap(findings));
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const text = JSON.parse(line);
  const found = {};
  for (const [name, render] of Object.entries(renderers)) {
    const all = findings(parseFragment(render(text)));
    if (all.length) found[name] = all;
  }
  process.stdout.write(`${JSON.stringify(found)}\n`);
}
