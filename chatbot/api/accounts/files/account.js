// The page that mails lead to. The token stands behind #, which browsers send to no server and write into no log.
const [, kind, token] = /^#(reset|verify)=(.+)$/.exec(location.hash) ?? [];
history.replaceState(null, "", location.pathname); // a bookmark or a shared screen shows no token

const status = document.getElementById("status");
const shown = document.getElementById(kind ?? "request");
shown.hidden = false;

/** Send a request; show what came of it. */
async function send(route, body, done) {
  const button = shown.querySelector("button");
  button.disabled = true;
  try {
    const answer = await fetch(`../api/users/${route}/`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      status.textContent = done;
      shown.hidden = true;
      return;
    }
    const problem = await answer.json();
    status.textContent = Object.values(problem.errors ?? {}).flat().join(" ") || problem.detail || problem.title;
  } catch {
    status.textContent = "The server cannot be reached; try again.";
  }
  button.disabled = false;
}

const actions = {
  request: (form) =>
    send("password-reset", { email: form.email.value }, "If there is such an account, a mail is on its way."),
  reset: (form) =>
    send(
      "password-reset/confirm",
      { token, new_password: form.password.value },
      "Your password is set. Log in with it; all other logins have ended.",
    ),
  verify: () => send("verify-email", { token }, "Your e-mail address is confirmed."),
};
shown.addEventListener("submit", (event) => {
  event.preventDefault();
  actions[shown.id](shown.elements);
});
