// Texts of numbers, money and times, in the language and time zone of the browser.

export const NONE = "–";
const whole = new Intl.NumberFormat();
const dollars = new Intl.NumberFormat(undefined, { style: "currency", currency: "USD", maximumFractionDigits: 4 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const share = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const formatNumber = (value) => (value === null ? NONE : whole.format(value));
export const formatCost = (microUsd) => (microUsd === null ? NONE : dollars.format(microUsd / 1e6));
export const formatTime = (value) => (value === null ? NONE : moment.format(new Date(value)));
export const formatClock = (value) => clock.format(new Date(value));
export const formatShare = (value) => (value === null ? NONE : share.format(value));
export const formatMilliseconds = (value) => (value === null ? NONE : `${whole.format(value)} ms`);
export const countTokens = (sums) => sums.prompt_tokens + sums.completion_tokens;
