// What people type into forms: what is changed, sending it, and drafts, which survive a reload.

import { ask } from "./person.js";
import { say } from "./words.js";

const main = document.getElementById("chat");
const PATIENCE = 15_000; // for an answer without files: one that hangs is sent again
const PASSING = new Set([409, 502, 503, 504]); // of a proxy; or somebody else is signed in

/** A place for one draft: a plain object, or null. Storage may be full or forbidden: then none. */
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
      // Typing goes on without it.
    }
  }
}

/**
 * Post a form's data. Returns what the server answers, with an `error` where it is not taken; with
 * `passes` where the same may be taken later: `isSignedOut`, or the server was not reached.
 */
export async function post(form, body) {
  const hasFiles = [...body.values()].some((value) => typeof value !== "string");
  const signal = hasFiles ? null : AbortSignal.timeout(PATIENCE);
  // As browsers send a form without files: Django strips the names of parts.
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

/** What a status means that comes without a word of the site's: from a proxy, or the sign-in page. */
export function failure(status) {
  if (status < 400) return say("signedOut");
  return say(status === 413 ? "tooLarge" : "notTaken", { status });
}

/** The fields of a part. */
export function controls(part) {
  return [...part.querySelectorAll("input:not([type=hidden]), select, textarea")];
}

/** Whether a field is other than the server has made it. */
export function isChanged(control) {
  if (control.matches("[type=checkbox], [type=radio]")) {
    return control.checked !== control.defaultChecked;
  }
  if (!control.matches("select")) return control.value !== control.defaultValue;
  const options = [...control.options];
  // Where none is chosen by the page, the browser has chosen the first.
  const isChosen = options.some((one) => one.defaultSelected) || control.multiple;
  const before = isChosen ? options.filter((one) => one.defaultSelected) : options.slice(0, 1);
  return options.some((one) => one.selected !== before.includes(one));
}
