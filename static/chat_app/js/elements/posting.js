// What the server says of a form that the script posts, or what to say where it says nothing.

import { say } from "../words.js";

/** Post a form's data. Returns what the server answers, with an `error` where it is not taken. */
export async function post(form, body) {
  try {
    const headers = { Accept: "application/json" };
    const answer = await fetch(form.action, { method: "POST", body, headers });
    if (answer.redirected) return { error: failure(200) };
    if (answer.status === 204) return {};
    const said = answer.json();
    return await (answer.ok ? said : said.catch(() => ({ error: failure(answer.status) })));
  } catch {
    return { error: say("lost") };
  }
}

/** What a status means that comes without a word of the site's: from a proxy, or the sign-in page. */
export function failure(status) {
  if (status < 400) return say("signedOut");
  return say(status === 413 ? "tooLarge" : "notTaken", { status });
}
