// The switches of chime and notification. What the browser does not do they say at once, and what
// is switched on shows what it will be like.

import { say } from "../js/words.js";
import { chime } from "./chime.js";

/** The names of the two are those of the form's fields. */
const switches = document.getElementById("attention");
const problem = switches.querySelector(".error");

/** The name of a sentence that says why it cannot be switched on; "" if it can. */
const CANNOT = {
  chime: () => ("AudioContext" in window ? "" : "noChime"),
  notification: () => ("Notification" in window ? "" : "noNotification"),
};
const TRY = {
  async chime() {
    await chime();
    return "";
  },
  async notification() {
    if ((await Notification.requestPermission()) !== "granted") return "refused";
    try {
      // Browsers of phones have it, and show none for a page.
      const sample = new Notification(say("sample"), { tag: "sample" });
      sample.onclick = () => focus();
    } catch {
      return "noNotification";
    }
    return "";
  },
};

function whyNot(name) {
  return isSecureContext && navigator.locks ? CANNOT[name]() : "notSecure";
}

function tell(why) {
  problem.textContent = why && say(why);
}

switches.addEventListener("change", async ({ target }) => {
  tell("");
  if (!target.checked) return;
  const why = whyNot(target.name) || (await TRY[target.name]());
  if (why) target.checked = false;
  tell(why);
});

// The pages that are open already do as it is saved.
switches.form.addEventListener("submit", () => {
  const wanted = [...switches.querySelectorAll(":checked")].map((each) => each.name);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows
  new BroadcastChannel("attention").postMessage(wanted);
});

switches.hidden = false;
for (const { name } of switches.querySelectorAll(":checked")) {
  const isRefused = name === "notification" && window.Notification?.permission !== "granted";
  const why = whyNot(name) || (isRefused ? "refused" : "");
  if (why) tell(why);
}
