// Tells somebody who looks at none of the open pages that a new question waits: by a chime, by a
// notification. Loaded only where that is switched on.

import { Draft } from "../js/forms.js";
import { ask } from "../js/person.js";
import { chime, prepare } from "./chime.js";

const PAGES = 4; // of the inbox: of more questions it is told that there are new ones, not which
const FEW = 3; // new at once, and each has its own notification

const main = document.getElementById("chat");
// Which questions this browser knows. It outlives the page, which may not see them come.
const record = new Draft("attention");
const shown = new Map(); // by tag: a notification, and the ids of its questions
// Of all open pages of one person in this browser one leads: the one that holds this lock. It gives it
// up when it is no longer connected; a page that is closed, or crashes, loses it.
const LEADS = `attention of ${main.dataset.user}`;
// Pages in view share this one, by which the one that leads knows that somebody looks.
const SEEN = `in view of ${main.dataset.user}`;

let wanted = main.dataset.attention.split(/\s+/);
let connection = null;
let isLeading = false;
let isAsking = false; // to lead
let quit = () => {};
let hide = () => {};
let waiting = 0; // how many, as the socket tells it
let before = 0; // as it was at the last look
let isLooking = false;
let isStale = false;

/** Begin, with the connection that brings the page's news; `count` of them wait. */
export function follow(socket, count) {
  if (!navigator.locks) return; // the settings say so
  connection = socket;
  waiting = before = count;
  if (wanted.includes("chime")) prepare();
  new BroadcastChannel("attention").onmessage = ({ data }) => {
    wanted = data;
    if (wanted.includes("chime")) prepare();
  };
  connection.addEventListener("frame", ({ detail: frame }) => {
    if (frame.type !== "waiting_message") return;
    waiting = frame.waiting;
    look();
  });
  connection.addEventListener("state", ({ detail: { name } }) => {
    lead();
    if (!["signedOut", "expired", "otherPerson"].includes(name)) return;
    for (const tag of shown.keys()) close(tag);
  });
  document.addEventListener("visibilitychange", show);
  lead();
  show();
}

async function lead() {
  if (!connection.isOpen) quit();
  else if (!isAsking) {
    isAsking = true;
    await navigator.locks.request(LEADS, () => connection.isOpen && begin());
    isAsking = isLeading = false;
    lead(); // it may be back already
  }
}

function begin() {
  isLeading = true;
  look();
  return new Promise((resolve) => (quit = resolve));
}

/** Let the page that leads know whether this one is in view. */
function show() {
  hide();
  if (document.hidden) return;
  const stay = (resolve) => (hide = resolve);
  const view = () => !document.hidden && new Promise(stay);
  navigator.locks.request(SEEN, { mode: "shared" }, view);
}

/** Whether one of the pages is in view. */
async function isSeen() {
  if (!document.hidden) return true;
  const { held } = await navigator.locks.query();
  return held.some(({ name }) => name === SEEN);
}

/** See what waits now, and tell what is new. */
async function look() {
  if (!isLeading && !shown.size) return;
  isStale = isLooking;
  if (isLooking) return;
  isLooking = true;
  try {
    await take(await load());
  } catch {
    // It comes with the next look.
  }
  isLooking = false;
  if (isStale) look();
}

async function load(page = 1) {
  const response = await ask(`${main.dataset.waiting}?page=${page}`, {
    headers: { "X-Background": "1" },
  });
  if (!response.ok) throw new Error(response.statusText);
  const { prompts, more } = await response.json();
  if (!more || page === PAGES) return { prompts, more };
  const rest = await load(page + 1);
  return { prompts: [...prompts, ...rest.prompts], more: rest.more };
}

async function take({ prompts, more }) {
  const ids = prompts.map((each) => each.interaction_id);
  for (const [tag, { of }] of shown) if (!of.some((id) => ids.includes(id))) close(tag);
  const areMore = waiting > before;
  before = waiting;
  if (!isLeading) return;
  const known = record.load();
  record.save({ ids, more });
  if (!known || (await isSeen())) return;
  const fresh = prompts.filter((each) => !known.ids.includes(each.interaction_id));
  // Where not all are listed, one that is not known may only have moved up.
  const isListed = !more && !known.more;
  if (isListed ? !fresh.length : !areMore) return;
  if (wanted.includes("chime")) chime();
  if (!wanted.includes("notification")) return;
  if (!isListed || fresh.length > FEW) return notify("several", ids, "", main.dataset.inbox);
  for (const { interaction_id: id, prompt } of fresh) {
    const question = prompt.text.trim().split("\n")[0];
    notify(id, [id], question, main.dataset.prompt.replace(/0{8}[-0]+/, id));
  }
}

/** One of the same tag takes the place of another, of whichever page. */
function notify(tag, of, question, url) {
  const notification = new Notification(main.dataset.asks, {
    tag,
    // What would hide or reorder something in it.
    body: question.replace(/[\p{Cc}\p{Bidi_Control}]/gu, ""),
    lang: document.documentElement.lang,
    dir: "auto",
  });
  notification.onclick = () => {
    focus();
    close(tag);
    open(tag, url);
  };
  shown.set(tag, { notification, of });
}

function close(tag) {
  shown.get(tag)?.notification.close();
  shown.delete(tag);
}

/** Where its card is on this page, it is there; otherwise its own page is. */
function open(id, url) {
  const card = document.querySelector(`prompt-card[data-interaction="${id}"]`);
  card?.click(); // it unfolds
  if (card) card.querySelector("h2").focus();
  else location.assign(url);
}
