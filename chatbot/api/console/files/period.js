// The period that all reports are about: from a moment up to another, in buckets.
import { $ } from "./dom.js";
import { zone } from "./format.js";

const HOUR = 3_600_000;
const form = $("period");
const stack = []; // periods to zoom out to
let period = { start: new Date(Date.now() - 720 * HOUR), end: new Date(), bucket: "" };
let notifyChange = () => {};

/** Call a function after each change of the period. */
export function onPeriod(handle) {
  notifyChange = handle;
}

export const getPeriod = () => period;

/** Return the size of buckets, chosen or such that there are some dozens. */
export function getBucket() {
  const hours = (period.end - period.start) / HOUR;
  if (form.elements.bucket.value) return form.elements.bucket.value;
  if (hours <= 96) return "hour";
  return hours <= 24 * 120 ? "day" : "week";
}

/** Return the period as parameters of a report. */
export const toQuery = () => ({ from: period.start.toISOString(), to: period.end.toISOString(), tz: zone });

const toField = (date) => new Date(date - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

function change(next) {
  period = next;
  showPeriod();
  return notifyChange();
}

/** Show the period in its form. */
export function showPeriod() {
  form.elements.from.value = toField(period.start);
  form.elements.until.value = toField(period.end);
  form.elements.bucket.value = period.bucket;
  $("zoom-out").disabled = stack.length === 0;
  $("zone").textContent = `Times are of ${zone}.`;
}

/** Narrow the period to a part of it, in buckets that fit. */
export function zoomIn(start, end) {
  stack.push(period);
  return change({ start, end, bucket: "" });
}

/** Go back to the period before the last zoom. */
export function zoomOut() {
  return stack.length ? change(stack.pop()) : undefined;
}

/** Return the start of the bucket that a moment is in; the calendar is the browser's, as the report's is. */
export function floorTo(date, bucket) {
  const start = new Date(date);
  if (bucket === "hour") start.setMinutes(0, 0, 0);
  else start.setHours(0, 0, 0, 0);
  if (bucket === "week") start.setDate(start.getDate() - ((start.getDay() + 6) % 7));
  if (bucket === "month") start.setDate(1);
  return start;
}

/** Return the start of the next bucket. */
export function nextAfter(start, bucket) {
  if (bucket === "hour") return new Date(start.getTime() + HOUR);
  const next = new Date(start);
  if (bucket === "month") next.setMonth(next.getMonth() + 1);
  else next.setDate(next.getDate() + (bucket === "week" ? 7 : 1));
  return next;
}

/** Return the starts of all buckets of the period, in seconds; reports leave out those without turns. */
export function listStarts(bucket) {
  const starts = [];
  for (let at = floorTo(period.start, bucket); at < period.end; at = nextAfter(at, bucket)) starts.push(at / 1000);
  return starts;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { from, until, bucket } = form.elements;
  stack.length = 0;
  change({ start: new Date(from.value), end: new Date(until.value), bucket: bucket.value });
});
form.addEventListener("click", ({ target }) => {
  if (!target.dataset.hours) return;
  stack.length = 0;
  const end = new Date();
  change({ start: new Date(end - Number(target.dataset.hours) * HOUR), end, bucket: "" });
});
$("zoom-out").addEventListener("click", zoomOut);
