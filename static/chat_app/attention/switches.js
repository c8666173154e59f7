// The settings, which are saved when they are changed. What the browser does not do of chime and
// notification they say at once, and what is switched on shows what it will be like.

import { post } from "../js/forms.js";
import { say } from "../js/words.js";
import { chime } from "./chime.js";

/** The names of the two are those of the form's fields. */
const switches = document.getElementById("attention");
const problem = switches.querySelector(".error");

/** The name of a sentence that says why it cannot be switched on; "" if it can. */
function whyNot(name) {
  if (!isSecureContext || !navigator.locks) return "notSecure";
  if (name === "chime") return "AudioContext" in window ? "" : "noChime";
  return "Notification" in window ? "" : "noNotification";
}

/** Show what it will be like; returns the same. */
async function sample(name) {
  if (name === "chime") {
    await chime();
    return "";
  }
  if ((await Notification.requestPermission()) !== "granted") return "refused";
  try {
    // Browsers of phones have it, and show none for a page.
    new Notification(say("sample"), { tag: "sample" }).onclick = () => focus();
    return "";
  } catch {
    return "noNotification";
  }
}

function tell(why) {
  problem.textContent = why && say(why);
}

async function tryOut(field) {
  const why = field.checked && (whyNot(field.name) || (await sample(field.name)));
  if (why) field.checked = false;
  tell(why || "");
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
