// The texts that the server has translated for the script, and functions that show texts.

const words = JSON.parse(document.getElementById("words").textContent);

/** Return the text of that name, with its {placeholders} filled. */
export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** Return a count as text, empty for 0; the server counts no further than a hundred. */
export function counted(count) {
  return count > 99 ? "99+" : count || "";
}

/** Return the HTML of an icon, the same as `chat_app/page/icons.py`. */
export function icon(name) {
  return `<svg class="icon icon-${name}" aria-hidden="true"><use href="#icon-${name}"></use></svg>`;
}

let news = [];

/** Announce a text to screen readers; texts that come at the same time are joined. */
export function announce(text) {
  if (news.push(text) > 1) return;
  setTimeout(() => {
    document.getElementById("status").textContent = news.join(". ");
    news = [];
  });
}

/** Announce an urgent text to screen readers at once. */
export function alert(text) {
  document.getElementById("alert").textContent = text;
}

/** Show the state of the connection; the button beside the state reconnects at once. */
export function sayState(connection) {
  const place = document.getElementById("connection");
  const [shown, button, reload, link] = place.children;
  let said = "";
  connection.addEventListener("state", ({ detail: { name, reason, ...values } }) => {
    const text = `${reason && say(reason)} ${say(name, values)}`.trim();
    // Do not show that the page is connected, nor the first attempt, unless it fails.
    const isQuiet = name === "connected" || (name === "connecting" && !shown.textContent);
    const visible = isQuiet ? reason && say(reason) : text;
    if (shown.textContent !== visible) shown.textContent = visible;
    place.dataset.state = name;
    button.hidden = name !== "waiting" && name !== "offline";
    reload.hidden = name !== "expired" && name !== "otherPerson";
    link.hidden = name !== "signedOut";
    const isEnd = !reload.hidden || !link.hidden;
    const before = said;
    if (isEnd || name === "connected") said = name;
    else if (before === "connected") said = "lost";
    if (said === before) return;
    if (name !== "connected") alert(isEnd ? text : say("lost"));
    else if (before) {
      alert("");
      announce(text);
    }
  });
  button.addEventListener("click", () => connection.tryNow());
}
