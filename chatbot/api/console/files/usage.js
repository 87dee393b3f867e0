// Usage and latency over time: totals, charts, and the same as tables.
import { Chart } from "./chart.js";
import { $, fillFigures, fillTable, guard, makeLoader } from "./dom.js";
import { countTokens, formatCost, formatMilliseconds, formatNumber, formatTime } from "./format.js";
import { getBucket, listStarts, nextAfter, toQuery, zoomIn, zoomOut } from "./period.js";
import { read } from "./session.js";

const MAX_SERIES = 6; // the groups with most; the others are one
const OTHERS = "others";
const MEASURES = {
  turns: { get: (sums) => sums.turns, format: formatNumber },
  tokens: { get: countTokens, format: formatNumber },
  micro_usd: { get: (sums) => sums.micro_usd, format: formatCost },
  failed: { get: (sums) => sums.failed, format: formatNumber },
  cancelled: { get: (sums) => sums.cancelled, format: formatNumber },
};
const toDate = (seconds) => new Date(seconds * 1000);
const getMeasure = () => MEASURES[$("measure").value];

/** Narrow all reports to the bucket of a point, and lead on to its turns. */
async function openPoint(start) {
  await zoomIn(toDate(start), nextAfter(toDate(start), getBucket()));
  $("turns").focus();
}

function makeChart(id, label, format) {
  return new Chart($(id), {
    label,
    format,
    zoomIn: (start, end, isWhole) =>
      guard(() => zoomIn(toDate(start), isWhole ? nextAfter(toDate(end), getBucket()) : toDate(end))),
    zoomOut: () => guard(zoomOut),
    open: (start) => guard(() => openPoint(start)),
  });
}

const usageChart = makeChart("usage-chart", "Usage over time", (value) => getMeasure().format(value));
const latencyChart = makeChart("latency-chart", "Time until the first text", formatMilliseconds);

/** Return the values of buckets by their starts, in seconds; several of one start are added. */
function sumByStart(buckets, get) {
  const sums = new Map();
  for (const bucket of buckets) {
    const start = Date.parse(bucket.start) / 1000;
    const value = get(bucket);
    if (value !== null) sums.set(start, (sums.get(start) ?? 0) + value);
  }
  return sums;
}

/** Return the starts of the period's buckets, and of those in a report that the calendar here does not know. */
function mergeStarts(buckets) {
  const starts = new Set([...listStarts(getBucket()), ...buckets.map((bucket) => Date.parse(bucket.start) / 1000)]);
  return [...starts].sort((one, other) => one - other);
}

/** Return names and buckets of the groups, those with most first. */
function splitGroups(buckets, get) {
  const groups = Map.groupBy(buckets, (bucket) => bucket.group ?? "none");
  const weigh = (group) => group.reduce((sum, bucket) => sum + (get(bucket) ?? 0), 0);
  const sorted = [...groups].sort(([, one], [, other]) => weigh(other) - weigh(one));
  if (sorted.length <= MAX_SERIES) return sorted;
  const rest = sorted.splice(MAX_SERIES - 1).flatMap(([, group]) => group);
  return [...sorted, [OTHERS, rest]];
}

function showUsage(buckets, isGrouped) {
  const { get, format } = getMeasure();
  const groups = isGrouped ? splitGroups(buckets, get) : [[$("measure").selectedOptions[0].text, buckets]];
  const starts = mergeStarts(buckets);
  const sums = groups.map(([, group]) => sumByStart(group, get));
  usageChart.show(starts, groups.map(([name]) => name), sums.map((one) => starts.map((start) => one.get(start) ?? 0)));
  const columns = groups.map(([name], index) => ({
    name,
    show: (start) => format(sums[index].get(start) ?? 0),
    isNumber: true,
  }));
  const first = { name: "From", show: (start) => formatTime(start * 1000) };
  fillTable($("usage-table"), [first, ...columns], starts.filter((start) => sums.some((one) => one.has(start))));
}

function showLatency(buckets) {
  const starts = mergeStarts(buckets);
  const series = ["p50", "p95"].map((name) => {
    const known = sumByStart(buckets, (bucket) => bucket.first_text_ms[name]);
    return starts.map((start) => known.get(start) ?? null);
  });
  latencyChart.show(starts, ["p50", "p95"], series);
  const columns = [
    { name: "From", show: (bucket) => formatTime(bucket.start) },
    { name: "p50", show: (bucket) => formatMilliseconds(bucket.first_text_ms.p50), isNumber: true },
    { name: "p95", show: (bucket) => formatMilliseconds(bucket.first_text_ms.p95), isNumber: true },
  ];
  fillTable($("latency-table"), columns, buckets);
}

function showTotals({ total, users }) {
  fillFigures($("totals"), [
    ["Turns", formatNumber(total.turns)],
    ["Failed", formatNumber(total.failed)],
    ["Cancelled", formatNumber(total.cancelled)],
    ["Tokens", formatNumber(countTokens(total))],
    ["Cost", formatCost(total.micro_usd)],
    ["Users", formatNumber(users)],
    ["First text, p50", formatMilliseconds(total.first_text_ms.p50)],
    ["First text, p95", formatMilliseconds(total.first_text_ms.p95)],
  ]);
}

async function readUsage() {
  const query = { ...toQuery(), bucket: getBucket() };
  const group = $("group").value;
  const overview = await read("analytics/overview/", query);
  const grouped = group ? await read("analytics/overview/", { ...query, group_by: group }) : overview;
  return { overview, buckets: grouped.buckets, isGrouped: group !== "" };
}

/** Load usage and latency of the period. */
export const loadUsage = makeLoader(readUsage, ({ overview, buckets, isGrouped }) => {
  showTotals(overview);
  showLatency(overview.buckets);
  showUsage(buckets, isGrouped);
});

for (const id of ["measure", "group"]) $(id).addEventListener("change", () => guard(loadUsage));
