// The page of a conversation. It works as it came from the server; this makes it live.

import { Cards } from "./cards.js";
import { learn } from "./elements/clock.js";
import { Composer } from "./composer.js";
import { Connection } from "./connection.js";
import "./elements/growtext.js";
import { newId } from "./ids.js";
import { Outbox } from "./outbox.js";
import { Sidebar } from "./sidebar.js";
import { Status } from "./status.js";
import { toEnd, Transcript } from "./transcript.js";
import { say } from "./words.js";

const ACK_EVENTS = 50;
const ACK_AFTER = 200;

const main = document.getElementById("chat");
const conversation = main.dataset.conversation;

function socketUrl() {
  const url = new URL(main.dataset.socket, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({
    conversation_id: conversation,
    extended: true,
    last_sequence: transcript.last,
  });
  return url;
}

learn(main.dataset.now);
const transcript = new Transcript();
const connection = new Connection(socketUrl);
const outbox = new Outbox(connection);
const cards = new Cards(connection, outbox);
const sidebar = new Sidebar();
const status = new Status(connection);
const composer = new Composer(connection, outbox, () => {
  transcript.refresh(transcript.covered + 1, true);
  toEnd();
  composer.focus();
});

let unacknowledged = 0;
let ackTimer = 0;

/** Tell the server how far this page has come, so that it sends on. */
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
  if (frame.conversation_id && frame.conversation_id !== conversation) return;
  // The log is another one than this page was made from: only a new page can follow it.
  if (frame.type === "error_message" && frame.details?.recovered === false) {
    location.reload();
  }
  transcript.take(frame);
  if (!Number.isInteger(frame.sequence)) return;
  unacknowledged += 1;
  if (unacknowledged >= ACK_EVENTS) acknowledge();
  else ackTimer ||= setTimeout(acknowledge, ACK_AFTER);
});

transcript.addEventListener("signedOut", () => connection.signedOut());
transcript.addEventListener("part", ({ detail: part }) => {
  const piece = (name) => part.querySelector(`:scope > [data-part=${name}]`);
  learn(part.dataset.now);
  if (transcript.last) document.getElementById("empty")?.remove();
  document.getElementById("title").textContent = piece("title").textContent;
  document.getElementById("about").textContent = piece("about").textContent;
  document.getElementById("enter").textContent = piece("enter").textContent;
  const before = document.querySelector("#state .run").dataset.name;
  cards.update(piece("dock"));
  status.update(piece("state"));
  if (before !== document.querySelector("#state .run").dataset.name) sidebar.refresh();
  status.showWaiting(sidebar.waiting);
});

cards.addEventListener("asked", ({ detail }) => {
  status.asked(detail);
  sidebar.refresh();
});
cards.addEventListener("settled", () => {
  transcript.refresh(transcript.covered + 1, true);
  sidebar.refresh();
});
sidebar.addEventListener("waiting", ({ detail }) => status.showWaiting(detail));

document.getElementById("state").addEventListener("submit", (event) => {
  event.preventDefault();
  event.submitter.disabled = true;
  outbox.deliver({ type: "stop_message", id: newId(), conversation_id: conversation });
});

document.getElementById("older").addEventListener("click", async (event) => {
  const link = event.target.closest("[data-older]");
  if (!link) return;
  event.preventDefault();
  try {
    await transcript.older(link.dataset.older);
  } catch {
    document.getElementById("alert").textContent = say("olderFailed");
  }
});

addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select");
  if (event.altKey && event.code === "KeyQ") {
    event.preventDefault();
    cards.first()?.focus();
  } else if (event.key === "?" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    document.getElementById("help").togglePopover();
  }
});

if (transcript.last) toEnd();
status.showWaiting(sidebar.waiting);
// An earlier part, opened without the script, stays as it is.
if (main.dataset.live === "yes") connection.tryNow();
