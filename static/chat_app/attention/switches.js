// The settings page, which saves each change at once. A switch for chime or notifications gives a
// sample when turned on, or tells why this browser cannot do it.

import { post } from "../js/forms.js";
import { say } from "../js/words.js";
import { chime } from "./chime.js";

/** The group of the two switches, whose fields are named `chime` and `notification`. */
const switches = document.getElementById("attention");
const problem = switches.querySelector(".error");

/** Return the key of the text that tells why a switch cannot be turned on; "" if it can. */
function whyNot(name) {
  if (!isSecureContext || !navigator.locks) return "notSecure";
  if (name === "chime") return "AudioContext" in window ? "" : "noChime";
  return "Notification" in window ? "" : "noNotification";
}

/** Play the chime or show a notification; returns the key of the reason if that fails, else "". */
async function sample(name) {
  if (name === "chime") {
    await chime();
    return "";
  }
  if ((await Notification.requestPermission()) !== "granted") return "refused";
  try {
    // Browsers of phones have this constructor, but throw an error for pages.
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

/** Apply a saved setting to this page, and tell all open pages which switches are on. */
function apply({ name, value }) {
  if (name === "language") location.reload();
  document.documentElement.dataset[name] = value;
  const wanted = [...switches.querySelectorAll(":checked")].map((each) => each.name);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- channels have no origin
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

// Handle a choice that was made before this script was loaded.
const early = [...switches.form.elements].find((each) => each.checked && !each.defaultChecked);
early?.dispatchEvent(new Event("change", { bubbles: true }));

switches.hidden = false;
for (const { name } of switches.querySelectorAll(":checked")) {
  const isRefused = name === "notification" && window.Notification?.permission !== "granted";
  const why = whyNot(name) || (isRefused ? "refused" : "");
  if (why) tell(why);
}
