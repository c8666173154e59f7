// Helpers for forms: drafts that survive a reload, sending a form, and finding changed fields.

import { ask } from "./person.js";
import { say } from "./words.js";

const main = document.getElementById("chat");
const PATIENCE = 15_000; // ms to wait for the reply to a form without files, before a retry
const PASSING = new Set([409, 502, 503, 504]); // retry later; 409: another person is signed in

/** The stored draft of one text: a plain object, or null. Without storage, there are no drafts. */
export class Draft {
  constructor(...name) {
    this.key = ["draft", main.dataset.user, ...name].join(":");
  }

  load() {
    try {
      return JSON.parse(localStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  save(value) {
    try {
      if (value) localStorage.setItem(this.key, JSON.stringify(value));
      else localStorage.removeItem(this.key);
    } catch {
      // The storage is full or forbidden; typing works without a draft.
    }
  }
}

/**
 * Post a form's data. Returns the server's reply, with an `error` if the form was not accepted.
 * `passes`: a later try may succeed; the person `isSignedOut`, or the server was not reached.
 */
export async function post(form, body) {
  const hasFiles = [...body.values()].some((value) => typeof value !== "string");
  const signal = hasFiles ? null : AbortSignal.timeout(PATIENCE);
  // Encode forms without files as browsers do: Django strips field names in multipart data.
  const sent = hasFiles ? body : new URLSearchParams(body);
  const options = { method: "POST", body: sent, signal, headers: { Accept: "application/json" } };
  try {
    const answer = await ask(form.action, options);
    const { redirected: isSignedOut, status } = answer;
    if (isSignedOut) return { error: failure(200), passes: true, isSignedOut };
    if (status === 204) return {};
    const said = await answer.json().catch(() => null);
    const passes = PASSING.has(status) && (!said || status === 409);
    return answer.ok && said ? said : { error: failure(status), status, ...said, passes };
  } catch {
    return { error: say("lost"), passes: true };
  }
}

/** Return the message for a reply without a text of this site: from a proxy or the sign-in page. */
export function failure(status) {
  if (status < 400) return say("signedOut");
  return say(status === 413 ? "tooLarge" : "notTaken", { status });
}

/** Pass files that are dropped on the page to `take`: else the browser opens them in its place. */
export function takeDropped(take) {
  for (const name of ["dragover", "drop"]) {
    addEventListener(name, (event) => {
      const { files, types } = event.dataTransfer;
      if (!types.includes("Files") || event.target.matches?.("[type=file]")) return;
      event.preventDefault();
      if (name === "drop") take([...files]); // which are readable only during the event
    });
  }
}

/** Return the visible form fields in a part of the page. */
export function controls(part) {
  return [...part.querySelectorAll("input:not([type=hidden]), select, textarea")];
}

/** Return whether the value of a field differs from the one that the server rendered. */
export function isChanged(control) {
  if (control.matches("[type=checkbox], [type=radio]")) {
    return control.checked !== control.defaultChecked;
  }
  if (!control.matches("select")) return control.value !== control.defaultValue;
  const options = [...control.options];
  // If the HTML selects no option, the browser has selected the first.
  const isChosen = options.some((one) => one.defaultSelected) || control.multiple;
  const before = isChosen ? options.filter((one) => one.defaultSelected) : options.slice(0, 1);
  return options.some((one) => one.selected !== before.includes(one));
}
