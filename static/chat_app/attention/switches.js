// The settings, which are saved when they are changed. What the browser does not do of chime and
// notification they say at once, and what is switched on shows what it will be like.

import { post } from "../js/forms.js";
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

async function tryOut(field) {
  tell("");
  if (!field.checked) return;
  const why = whyNot(field.name) || (await TRY[field.name]());
  if (why) field.checked = false;
  tell(why);
}

/** Show the pages, this one and those that are open already, as it is saved. */
function apply({ name, value }) {
  if (name === "language") location.reload();
  document.documentElement.dataset[name] = value;
  const wanted = [...switches.querySelectorAll(":checked")].map((each) => each.name);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows
  new BroadcastChannel("attention").postMessage(wanted);
}

switches.form.addEventListener("change", async ({ target }) => {
  for (const each of switches.form.querySelectorAll("[role=status]")) each.textContent = "";
  if (switches.contains(target)) await tryOut(target);
  const { error } = await post(switches.form, new FormData(switches.form));
  const place = target.closest("fieldset").querySelector("[role=status]");
  place.textContent = error ?? say("saved");
  if (!error) apply(target);
});

// What was chosen before this script was there.
const early = [...switches.form.elements].find((each) => each.checked && !each.defaultChecked);
early?.dispatchEvent(new Event("change", { bubbles: true }));

switches.hidden = false;
for (const { name } of switches.querySelectorAll(":checked")) {
  const isRefused = name === "notification" && window.Notification?.permission !== "granted";
  const why = whyNot(name) || (isRefused ? "refused" : "");
  if (why) tell(why);
}
