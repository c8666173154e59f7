// The words that the server has translated for the script, and saying them.

const words = JSON.parse(document.getElementById("words").textContent);

/** The sentence of that name, its {places} filled. */
export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** A count as it is shown, nothing for none: the server counts no further than a hundred. */
export function counted(count) {
  return count > 99 ? "99+" : count || "";
}

/** The HTML that draws an icon, as `chat_app/page/icons.py` does. */
export function icon(name) {
  return `<svg class="icon icon-${name}" aria-hidden="true"><use href="#icon-${name}"></use></svg>`;
}

let news = [];

/** Tell what is news to somebody who does not see it: all that comes at once in one go. */
export function announce(text) {
  if (news.push(text) > 1) return;
  setTimeout(() => {
    document.getElementById("status").textContent = news.join(". ");
    news = [];
  });
}

/** Tell at once what somebody must not miss. */
export function alert(text) {
  document.getElementById("alert").textContent = text;
}

/** Say on the page in which state its connection is; its button tries now. */
export function sayState(connection) {
  const place = document.getElementById("connection");
  const [shown, button, reload, link] = place.children;
  let said = "";
  connection.addEventListener("state", ({ detail: { name, reason, ...values } }) => {
    const text = `${reason && say(reason)} ${say(name, values)}`.trim();
    // Good news is not shown; nor the first try, unless it fails.
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
