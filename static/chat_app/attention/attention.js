// Chimes and shows notifications for new questions while none of the person's pages is in view.
// Loaded only if the chime or the notifications are switched on.

import { Draft } from "../js/forms.js";
import { ask } from "../js/person.js";
import { chime, prepare } from "./chime.js";

const PAGES = 4; // pages of the inbox to read; if there are more, a notification names no question
const CHECK = 2000; // milliseconds until a notification is compared with the inbox again
const FEW = 3; // new questions that get a notification each; more share one

const main = document.getElementById("chat");
// The questions that this browser knows, kept in localStorage for when no page is open.
const record = new Draft("attention");
const shown = new Map(); // open notifications by tag, each with the ids of its questions
// The lock of the leader, the one page of this person and browser that notifies. A page releases
// the lock when disconnected; the browser releases the lock of a closed or crashed page.
const LEADS = `attention of ${main.dataset.user}`;
// The lock shared by all pages in view; while any page holds it, the leader does not notify.
const SEEN = `in view of ${main.dataset.user}`;

let wanted = main.dataset.attention.split(/\s+/);
let connection = null;
let isLeading = false;
let isAsking = false; // this page waits for the leader's lock, or holds the lock
let quit = () => {};
let hide = () => {};
let waiting = 0; // the number of waiting questions that the socket last reported
let before = 0; // `waiting` when the inbox was last read
let isLooking = false;
let isStale = false;

/** Watch the page's connection for new questions; `count` questions wait already. */
export function follow(socket, count) {
  if (!navigator.locks) return; // the settings page tells that this browser cannot notify
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
    lead(); // the connection may be open again
  }
}

function begin() {
  isLeading = true;
  look();
  return new Promise((resolve) => (quit = resolve));
}

/** Hold the lock `SEEN` while this page is in view, so that the leader does not notify. */
function show() {
  hide();
  if (document.hidden) return;
  const stay = (resolve) => (hide = resolve);
  const view = () => !document.hidden && new Promise(stay);
  navigator.locks.request(SEEN, { mode: "shared" }, view);
}

/** Return whether any page of the person in this browser is in view. */
async function isSeen() {
  if (!document.hidden) return true;
  const { held } = await navigator.locks.query();
  return held.some(({ name }) => name === SEEN);
}

/** Read the waiting questions from the inbox, and notify of new ones. */
async function look() {
  if (!isLeading && !shown.size) return;
  isStale = isLooking;
  if (isLooking) return;
  isLooking = true;
  try {
    await take(await load());
  } catch {
    // The request failed; the next `waiting_message` causes another one.
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
  const isInView = await isSeen();
  if (!isLeading) return; // the page that leads by now notifies of these questions
  record.save({ ids, more });
  if (!known || isInView) return;
  const fresh = prompts.filter((each) => !known.ids.includes(each.interaction_id));
  // If a list was cut after PAGES, an unknown question may be an old one that has moved up.
  const isListed = !more && !known.more;
  if (isListed ? !fresh.length : !areMore) return;
  if (wanted.includes("chime")) chime();
  if (!wanted.includes("notification")) return;
  setTimeout(look, CHECK); // a question asked and answered at once changes no count of the socket
  if (!isListed || fresh.length > FEW) return notify("several", ids, "", main.dataset.inbox);
  for (const { interaction_id: id, prompt } of fresh) {
    const question = prompt.text.trim().split("\n")[0];
    notify(id, [id], question, main.dataset.prompt.replace(/0{8}[-0]+/, id));
  }
}

/** Show a notification, which replaces an earlier one with the same tag, even another page's. */
function notify(tag, of, question, url) {
  const notification = new Notification(main.dataset.asks, {
    tag,
    // Remove control characters, which could hide or reorder parts of the text.
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

/** Focus the question's card if it is on this page; else go to the question's own page. */
function open(id, url) {
  const card = document.querySelector(`prompt-card[data-interaction="${id}"]`);
  card?.click(); // unfolds the card
  if (card) card.querySelector("h2").focus();
  else location.assign(url);
}
