// The page of a conversation, which also works without this script. The script adds live updates.

import { Cards } from "./cards.js";
import { learn } from "./elements/clock.js";
import { Composer } from "./composer.js";
import { Connection, newId, Outbox } from "./connection.js";
import "./elements/growtext.js";
import { Sidebar } from "./sidebar.js";
import { Status } from "./status.js";
import { stayHere, toEnd, Transcript } from "./transcript/transcript.js";

const ACK_EVENTS = 50;
const ACK_AFTER = 200;

const main = document.getElementById("chat");
const items = document.getElementById("items");
const conversation = main.dataset.conversation;

learn(main.dataset.now);
const transcript = new Transcript();
const connection = new Connection(main.dataset.socket, () => ({
  conversation_id: conversation,
  waiting: main.dataset.attention ? "inbox" : true,
  last_sequence: transcript.last,
}));
const outbox = new Outbox(connection);
const cards = new Cards(outbox);
const sidebar = new Sidebar();
const status = new Status(connection);
const composer = new Composer(connection, outbox, cards, () => {
  // A sent message is on the newest branch, so show that branch.
  main.dataset.branch = "";
  if (location.search) history.replaceState(null, "", location.pathname);
  transcript.refresh(transcript.covered + 1, true);
  toEnd();
  composer.focus();
});

/** Load scripts and styles for cards and forms, at the latest when a key or pointer is used. */
function prepare() {
  cards.load();
  for (const link of document.querySelectorAll("link[disabled]")) link.disabled = false;
}
for (const sign of ["input", "keydown", "pointerover"]) {
  document.addEventListener(sign, prepare, { once: true });
}

const older = document.getElementById("older");
let earlier = null; // a promise of the function that loads earlier messages

/** If there are earlier messages, load them when the person scrolls near, or clicks the link. */
function followEarlier() {
  if (earlier || !older.querySelector("a")) return;
  earlier = import("./transcript/earlier.js").then(({ follow }) => follow(transcript));
}
older.addEventListener("click", async (event) => {
  if (!earlier || !event.target.closest("a")) return;
  event.preventDefault();
  (await earlier)();
});

let unacknowledged = 0;
let ackTimer = 0;
let isListNew = true; // until the first `waiting_message`, whose count the page may show already

/** Tell the server which events this page has received, so that it goes on sending. */
function acknowledge() {
  clearTimeout(ackTimer);
  ackTimer = 0;
  unacknowledged = 0;
  connection.send({
    type: "ack_message",
    conversation_id: conversation,
    sequence: transcript.last,
  });
}

connection.addEventListener("frame", ({ detail: frame }) => {
  if (frame.type === "waiting_message") {
    status.showWaiting(frame.waiting);
    if (!isListNew || frame.waiting !== sidebar.waiting) sidebar.refresh();
    isListNew = false;
  }
  if (frame.conversation_id && frame.conversation_id !== conversation) return;
  // Reload if the log is not the one that this page was rendered from (`recovered` is false), or if
  // the conversation was deleted.
  const { recovered, deleted } = frame.details ?? {};
  if (frame.type === "error_message" && (recovered === false || deleted)) {
    location.reload();
  }
  transcript.take(frame);
  if (!Number.isInteger(frame.sequence)) return;
  unacknowledged += 1;
  if (unacknowledged >= ACK_EVENTS) acknowledge();
  else ackTimer ||= setTimeout(acknowledge, ACK_AFTER);
});

connection.addEventListener("open", () => transcript.tryNow());
transcript.addEventListener("signedOut", () => connection.signedOut());
transcript.addEventListener("part", ({ detail: { part, focused } }) => {
  const piece = (name) => part.querySelector(`:scope > [data-part=${name}]`);
  learn(part.dataset.now);
  const empty = transcript.last && document.getElementById("empty");
  if (empty) {
    empty.remove();
    toEnd();
  }
  prepare();
  followEarlier();
  document.getElementById("title").textContent = piece("title").textContent;
  document.getElementById("about").textContent = piece("about").textContent;
  document.getElementById("composer").elements.follows.value = piece("follows").textContent;
  document
    .getElementById("attach")
    ?.toggleAttribute("hidden", !("files" in piece("enter").dataset));
  const before = document.querySelector("#state .run").dataset.name;
  cards.update(piece("dock"), focused);
  composer.enter(piece("enter").textContent);
  status.update(piece("state"));
  if (before !== document.querySelector("#state .run").dataset.name) sidebar.refresh();
  status.showWaiting();
});

sidebar.addEventListener("renamed", () => status.showWaiting());
cards.addEventListener("asked", () => sidebar.refresh());
cards.addEventListener("settled", () => {
  transcript.refresh(transcript.covered + 1, true);
  sidebar.refresh();
});

document.getElementById("state").addEventListener("submit", async (event) => {
  event.preventDefault();
  event.submitter.disabled = true;
  await outbox.deliver({ type: "stop_message", id: newId(), conversation_id: conversation });
  // Load the state `stopping`: the log has no event until the run has ended, which may take long.
  transcript.refresh(transcript.covered + 1, true);
});

document.getElementById("items").addEventListener("submit", async (event) => {
  if (!event.target.matches("[data-feedback]")) return;
  event.preventDefault();
  const { give } = await import("./elements/feedback.js");
  give(event.target, event.submitter);
});

// The module for copying is loaded when the pointer first reaches the transcript.
const copying = () => import("./transcript/copying.js");
items.addEventListener("pointerover", copying, { once: true });
items.addEventListener("click", async (event) => {
  const button = event.target.closest("figcaption > button, .copy > button");
  if (!button) return;
  event.preventDefault();
  const { copy } = await copying();
  copy(button);
});

const WITH_ALT = {
  q: () => cards.first()?.focus(),
  i: () => document.getElementById("inbox").click(),
};
const HELP = { "?": () => document.getElementById("help").togglePopover() };

/** Return the action of a key. While the person types, Option+Q on a Mac has to insert an œ. */
function actOf({ altKey, code, key }, isTyping) {
  if (!altKey) return isTyping ? null : HELP[key];
  return WITH_ALT[key.toLowerCase()] ?? (isTyping ? null : WITH_ALT[code.at(-1)?.toLowerCase()]);
}

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select");
  const act = !event.ctrlKey && !event.metaKey && actOf(event, isTyping);
  if (!act) return;
  event.preventDefault();
  act();
});

if (document.querySelector("#items :target")) stayHere();
else if (transcript.last) toEnd();
followEarlier();
status.showWaiting(sidebar.waiting);
if (main.dataset.attention) {
  import("../attention/attention.js").then(({ follow }) => follow(connection, sidebar.waiting));
}
// A page with an earlier part of the transcript (`?before=`) gets no live updates.
if (main.dataset.live === "yes") connection.tryNow();
