// The console: who signs in as an administrator sees all reports, which a change of the period loads again.
import { loadAccounts } from "./accounts.js";
import { loadDocuments } from "./documents.js";
import { $, guard, notify } from "./dom.js";
import { startLive, stopLive } from "./live.js";
import { getPeriod, onPeriod, showPeriod } from "./period.js";
import { loadReports } from "./reports.js";
import { getEmail, isSignedIn, onEnd, signIn, signOut } from "./session.js";
import { formatTime } from "./format.js";
import { loadUsage } from "./usage.js";

async function loadPeriod() {
  const { start, end } = getPeriod();
  notify(`From ${formatTime(start)} until ${formatTime(end)}.`);
  await Promise.all([guard(loadUsage), loadReports()]);
}

function show() {
  const isOpen = isSignedIn();
  $("entrance").hidden = isOpen;
  $("console").hidden = !isOpen;
  if (!isOpen) {
    $("sign-in").elements.email.focus();
    return;
  }
  $("signed-in-as").textContent = getEmail();
  showPeriod();
  loadPeriod();
  guard(loadDocuments);
  guard(loadAccounts);
  startLive();
}

onPeriod(loadPeriod);
onEnd((notice) => {
  stopLive();
  sessionStorage.setItem("console-notice", notice);
  location.reload(); // nothing of the reports stays on the page
});
$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const { email, password } = event.target.elements;
  guard(async () => {
    await signIn(email.value, password.value);
    event.target.reset();
    notify("");
    show();
    $("usage").focus();
  }, event.submitter);
});
$("sign-out").addEventListener("click", ({ target }) => {
  stopLive();
  guard(signOut, target);
});
notify(sessionStorage.getItem("console-notice") ?? "");
sessionStorage.removeItem("console-notice");
show();
