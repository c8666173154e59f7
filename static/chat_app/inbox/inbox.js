// The inbox and the page of one prompt, which also work without this script. The script adds live
// updates: answered questions go, new questions appear, and typed text stays.

import { Connection, newId, Outbox } from "../js/connection.js";
import { ask } from "../js/person.js";
import { learn } from "../js/elements/clock.js";
import "../js/elements/growtext.js";
import { takeDropped } from "../js/forms.js";
import { GRACE, PromptCard } from "../js/elements/promptcard.js";
import { morph } from "../js/morph.js";
import { counted, say, sayState } from "../js/words.js";

// Milliseconds between reloads, by `data-part`: the socket reports only the person's own questions.
const EVERY = { prompt: 3000 };
const USUAL = 20_000;
// Longest random delay (ms) of a reload, as many people may see the same question go at once.
const SPREAD = 1500;
// Wide screens have room for the selected question beside the list; else the question covers it.
const WIDE = matchMedia("(width >= 64rem)");
const ANSWERABLE = new Set(["all", "mine", "groups"]);

const main = document.getElementById("chat");
const list = document.getElementById("entries");
const turns = document.getElementById("turns");
const counter = document.getElementById("count");
const title = document.title;
const icon = document.querySelector("link[rel=icon]");
const plainIcon = icon?.getAttribute("href");

const connection = new Connection(main.dataset.socket, () => ({ waiting: "inbox" }));
const outbox = new Outbox(connection);
PromptCard.outbox = outbox;

let isLoading = false;
// The id of the question on which the person last acted; the reloaded page confirms the action.
let done = new URLSearchParams(location.search).get("done");
// Ids of questions that the person has handed on: the person does not expect to go on with them.
const handedOn = new Set();
let isStale = false;
// Ids of questions removed during a reload, whose result may still contain them.
const gone = new Set();

/** Reload the contents of the page, and once more if that was requested meanwhile. */
async function refresh() {
  isStale = isLoading;
  if (isLoading) return;
  isLoading = true;
  gone.clear();
  await load();
  isLoading = false;
  if (isStale) refresh();
}

async function load() {
  try {
    const here = new URL(main.dataset.here, location);
    if (done) here.searchParams.set("done", done);
    const response = await ask(here, { headers: { "X-Background": "1" } });
    if (response.redirected) connection.signedOut();
    // The person may no longer see the prompt of this page.
    else if (response.status === 404) removeAll();
    else if (response.ok) take(await response.text());
  } catch {
    // The request failed; the timer reloads again.
  }
}

function take(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  learn(fresh.getElementById("chat").dataset.now);
  for (const id of ["parts", "alike", "none", "pages", "history", "done"]) {
    const [old, next] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && next) morph(old, next);
  }
  const listed = [...fresh.getElementById("entries").children];
  const wanted = listed.filter((each) => !gone.has(each.dataset.id));
  const ids = new Set(wanted.map((each) => each.id));
  const before = places();
  for (const entry of [...list.children]) if (!ids.has(entry.id)) leave(entry);
  for (const [index, one] of wanted.entries()) {
    const shown = document.getElementById(one.id);
    if (shown) update(shown, one);
    const [entry, place] = [document.getElementById(one.id) ?? one, unsettled()[index] ?? null];
    // Entries do not move while the focus is in the list.
    const stays = entry === place || (shown && list.contains(document.activeElement));
    if (!stays) list.insertBefore(entry, place);
  }
  if (!selected() && entries().length) select(entries()[0]);
  Object.assign(list.dataset, fresh.getElementById("entries").dataset);
  if (before !== places()) grace();
  showTurn();
  showSelected();
}

/** Remove an entry that no longer waits. The open one stays until the person moves on; text that
 * was typed there is shown as unused. */
function leave(entry) {
  const card = entry.querySelector("prompt-card");
  if (card?.isSending || entry.querySelector(".stale") || "left" in entry.dataset) return;
  const text = typed(entry, card);
  if (card && isOpen(entry) && !handedOn.has(entry.dataset.id)) settle(entry, card, text);
  else if (text) showUnused(entry, card, text);
  else remove(entry, entry.contains(document.activeElement));
}

function isOpen(entry) {
  return "current" in entry.dataset && (WIDE.matches || isCovered());
}

/** Show what came of the open question in its place, with a button that leads on. */
async function settle(entry, card, text) {
  const hadFocus = card.contains(document.activeElement);
  const place = entry.querySelector(".place");
  const note = text && card.note(text);
  entry.dataset.left = "";
  entry.querySelector(".tick")?.remove();
  entry.querySelector(".claims")?.remove();
  place.role = "status"; // the outcome is read aloud
  place.replaceChildren(paragraph("folded", card.querySelector("h2").textContent));
  if (note) place.append(note);
  const next = document.createElement("button");
  next.type = "button";
  next.className = "quiet onward";
  next.textContent = say("next");
  unhurried(next, moveOn);
  place.append(next);
  if (hadFocus) list.focus({ preventScroll: true });
  const outcome = await outcomeOf(entry);
  place.firstChild.after(outcome ?? paragraph("outcome", say("notYours")));
}

/** Leave a settled question: open the next or else the previous one, or show the list. */
function moveOn() {
  const entry = neighbour(selected(), 1) ?? neighbour(selected(), -1);
  if (entry) open(entry);
  else if (isCovered()) history.back();
  else selected().remove();
  grace();
}

/** Return the outcome of a question from its own page; null if the person may not see it. */
async function outcomeOf(entry) {
  const address = entry.querySelector(".permanent").href;
  const html = await ask(address, { headers: { "X-Background": "1" } })
    .then((response) => (response.ok ? response.text() : ""))
    .catch(() => "");
  return new DOMParser().parseFromString(html, "text/html").querySelector(".entry .outcome");
}

function paragraph(className, text) {
  const made = document.createElement("p");
  made.className = className;
  made.textContent = text;
  return made;
}

/** Have a new button act on presses that begin when nobody has pressed there for a moment: earlier
 * ones were aimed at what was there before. */
function unhurried(button, act) {
  let quiet = performance.now() + GRACE;
  let isEarly = false;
  button.addEventListener("pointerdown", () => {
    isEarly = performance.now() < quiet;
    if (isEarly) quiet = performance.now() + GRACE;
  });
  button.addEventListener("click", () => isEarly || act());
}

/** Return the text typed into an entry: the answer, and the note for handing the question over. */
function typed(entry, card) {
  const note = entry.querySelector("[data-claim] [name=note]")?.value.trim();
  return [card?.unused, note].filter(Boolean).join(" – ");
}

/** Remove an entry; select the next or else the previous entry, and focus it if `hadFocus`. */
function remove(entry, hadFocus) {
  const next = neighbour(entry, 1) ?? neighbour(entry, -1);
  if (next && "current" in entry.dataset) select(next);
  else if ("over" in entry.dataset) history.back();
  entry.remove();
  gone.add(entry.dataset.id);
  showTurn();
  if (hadFocus) (next?.querySelector("h2") ?? list).focus({ preventScroll: true });
}

function neighbour(entry, step) {
  const all = entries();
  return all[all.indexOf(entry) + step];
}

/** Select an entry, whose card is shown; `isOver`: the card covers the list (on small screens).
 * Settled questions go when another one is selected. */
function select(entry, isOver = isCovered()) {
  for (const each of entries()) {
    if (each !== entry && "left" in each.dataset) each.remove();
    each.toggleAttribute("data-current", each === entry);
    each.toggleAttribute("data-over", each === entry && isOver);
  }
  showTurn();
}

const isCovered = () => Boolean(list.querySelector("[data-over]"));

/** Show the card of an entry. If the card covers the list, the browser's Back closes the card. */
function open(entry) {
  if (!WIDE.matches && !isCovered()) history.pushState(null, "");
  select(entry, !WIDE.matches);
  if (isCovered()) grace(); // the second tap of a double tap was aimed at the row
  entry.querySelector("h2").focus();
}

function close() {
  if (!isCovered()) return;
  const entry = selected();
  const next = "left" in entry.dataset ? (neighbour(entry, 1) ?? neighbour(entry, -1)) : entry;
  select(next, false); // a settled question goes
  (next?.querySelector(".permanent") ?? list).focus();
}

addEventListener("popstate", close);
WIDE.addEventListener("change", close);

function showTurn() {
  const [all, { before, total }] = [entries(), list.dataset];
  const at = all.indexOf(selected());
  if (!turns || at < 0) return;
  const [, previous, next] = turns.querySelectorAll("button");
  [previous.disabled, next.disabled] = [at === 0, at === all.length - 1];
  const number = Number(before) + at + 1;
  turns.querySelector("span").textContent = say("turn", { number, total });
}

turns?.addEventListener("click", ({ target }) => {
  const step = Number(target.closest("button")?.dataset.step);
  if (step) open(neighbour(selected(), step));
  else if (step === 0) history.back();
});

takeDropped(() => {
  const problem = selected()?.querySelector("prompt-card .error");
  if (problem) problem.textContent = say("notAttached", { reason: say("noFiles") });
});

function selected() {
  return list.querySelector("[data-current]");
}

function removeAll() {
  entries().forEach(leave);
  document.getElementById("history")?.replaceChildren();
  const isEmpty = !list.children.length;
  if (isEmpty && list.dataset.part === "prompt") location.reload();
}

/** Update an entry from the server's HTML, without changing typed text. */
function update(entry, fresh) {
  if ("left" in entry.dataset) return entry.replaceWith(fresh); // it waits again
  if (entry.dataset.stamp === fresh.dataset.stamp || entry.querySelector(".stale")) return;
  if (entry.querySelector("[name=all]:checked")) return; // the tick would cover other questions
  const card = entry.querySelector("prompt-card");
  const isGone = card && !fresh.querySelector("prompt-card");
  if (isGone && card.isSending) return; // the reply to the answer comes first
  const text = isGone && typed(entry, card);
  morph(entry, fresh);
  if (text) showUnused(entry, card, text);
}

/** Replace the card of an entry by a note with the answer that was not used. */
function showUnused(entry, card, text, why = "") {
  const note = card.note(text, why);
  const hadFocus = card.contains(document.activeElement);
  entry.querySelector("form[data-claim]")?.remove();
  const own = entry.querySelector("prompt-card");
  if (own) {
    const question = document.createElement("p");
    question.className = "folded";
    question.textContent = own.querySelector("h2").textContent;
    own.replaceWith(question);
  }
  entry.querySelector(".place").append(note);
  if (hadFocus) note.focus();
}

document.addEventListener("click", (event) => {
  if (!event.target.matches("[data-dismiss]")) return;
  const note = event.target.closest(".stale");
  const entry = note.closest(".entry");
  note.remove();
  entry.dataset.stamp = "";
  list.focus({ preventScroll: true });
  refresh();
});

document.addEventListener("submit", (event) => {
  if (event.target.matches("[data-claim]")) claim(event, event.target);
});

document.addEventListener("answered", ({ detail: { card, isTaken, reason } }) => {
  const entry = card.closest(".entry");
  if (isTaken) {
    const focused = document.activeElement;
    const hadFocus = card.contains(focused) || focused === document.body;
    done = card.dataset.interaction;
    entry.dataset.stamp = "";
    if (list.dataset.part !== "prompt") remove(entry, hadFocus);
    else if (hadFocus) list.focus({ preventScroll: true });
  } else {
    showUnused(entry, card, card.unused, reason);
  }
  grace();
  refresh();
});

async function claim(event, form) {
  event.preventDefault();
  const problem = form.querySelector(".error");
  problem.textContent = "";
  const change = event.submitter?.value ?? "delegate";
  const word = await outbox.deliver({
    type: "claim_message",
    id: newId(),
    interaction_id: form.dataset.claim,
    change,
    to: form.elements.to?.value.trim() ?? "",
    note: form.elements.note?.value.trim() ?? "",
  });
  problem.textContent = word?.type === "error_message" ? word.content.message : "";
  if (word?.outcome === "accepted") {
    form.reset();
    done = form.dataset.claim;
    if (change === "delegate") handedOn.add(done);
    if (form.closest("#done")) list.focus({ preventScroll: true });
  }
  if (word) refresh();
}

let lookup;
let looking = new AbortController();
list.addEventListener("input", ({ target }) => {
  clearTimeout(lookup);
  if (target.dataset.people) lookup = setTimeout(offerPeople, 200, target);
});

/** Offer people to whom the question can be handed, and whose name matches the field. */
async function offerPeople(field) {
  const query = new URLSearchParams({ q: field.value });
  looking.abort(); // an older reply must not replace a newer one
  looking = new AbortController();
  const names = await ask(`${field.dataset.people}?${query}`, { signal: looking.signal })
    .then((response) => (response.ok ? response.json() : null))
    .catch(() => null);
  const people = names?.people.map(({ username, name }) => new Option(name, username));
  if (people && field.isConnected) field.list.replaceChildren(...people);
}

list.addEventListener("focusin", ({ target }) => {
  const entry = target.closest(".entry");
  if (entry) select(entry);
});

// Focus the `to` field of a section that opens, and offer people before anything is typed.
function lead({ target }) {
  const field = target.open && target.querySelector("[name=to]");
  if (!field) return;
  field.focus();
  offerPeople(field);
}

list.addEventListener("toggle", lead, true);

list.addEventListener("click", (event) => {
  const row = event.target.closest(".permanent");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(row.closest(".entry"));
});

const FIELDS = ":is(button, select, textarea, input:not([type=hidden]))";

/** Return the id of the entry whose card is shown. */
const places = () => selected()?.id;

/** Go to the next or previous row, or to its card if cards cover the list; stay at either end. */
function go(step) {
  const entry = neighbour(selected(), step) ?? selected();
  const isSettled = "left" in selected().dataset;
  if (isCovered()) open(entry);
  else entry.querySelector(".permanent").focus();
  if (isSettled) grace();
}

const KEYS = {
  j: () => go(1),
  k: () => go(-1),
  r: () => selected().querySelector(".claims details:not([open]) summary")?.click(),
  e: () => selected().querySelector("[name=change]:not([value=delegate])")?.click(),
  x: () => selected().querySelector(".tick input")?.click(),
  a: () => document.querySelector(`.several[data-selected] ${FIELDS}:not([type=reset])`)?.focus(),
  "?": () => document.getElementById("help").togglePopover(),
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest(
    "input:not([type=checkbox], [type=radio]), textarea, select",
  );
  const act = !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && KEYS[event.key];
  if (!act || list.dataset.part === "prompt" || !(selected() || event.key === "?")) return;
  event.preventDefault();
  act();
});

list.addEventListener("change", ({ target }) => {
  const { form, name, value, checked, dataset } = target;
  const others = form?.matches(".several") ? [...form.elements] : [];
  for (const other of others) {
    // Leaving out one of several alike questions clears the tick for all of them.
    if (other.name === "all" && other.value === dataset.question) other.checked &&= checked;
    if (name === "all" && other.dataset.question === value) other.checked = checked;
  }
  showSelected();
});

document.addEventListener("reset", () => setTimeout(showSelected));

/** Show in the bar how many questions it will answer, those on other pages included. Disable the
 * ticks of questions that take a different answer. */
function showSelected() {
  for (const form of document.querySelectorAll(".several")) {
    const ticked = [...form.elements].filter((each) => each.checked && each.type === "checkbox");
    const ticks = ticked.filter((each) => ["prompt", "all"].includes(each.name));
    const number = ticks.reduce((sum, each) => sum + Number(each.dataset.more ?? 1), 0);
    form.toggleAttribute("data-selected", ticks.length > 0);
    const words = number ? say("selected", { number }) : "";
    const place = form.querySelector(".selected");
    if (place.textContent !== words) place.textContent = words;
  }
  const chosen = document.querySelector(".several[data-selected]");
  for (const tick of list.querySelectorAll("[form]")) {
    tick.disabled = Boolean(chosen) && tick.form !== chosen;
  }
}

/** Ignore clicks on moved buttons for a moment: a click was aimed at what was there before. */
function grace() {
  for (const card of list.querySelectorAll("prompt-card")) card.grace();
}

function entries() {
  return [...list.querySelectorAll(":scope > .entry")];
}

/** Return the children of the list without settled questions, which stay where they are. */
function unsettled() {
  return [...list.children].filter((each) => !("left" in each.dataset));
}

function showWaiting(waiting) {
  counter.textContent = counted(waiting);
  counter.hidden = !waiting;
  document.title = waiting ? `(${counted(waiting)}) ${title}` : title;
  icon?.setAttribute("href", waiting ? main.dataset.needsYouIcon : plainIcon);
}

connection.addEventListener("frame", ({ detail }) => {
  if (detail.type !== "waiting_message") return;
  showWaiting(detail.waiting);
  const left = ANSWERABLE.has(list.dataset.part) ? detail.gone : [];
  setTimeout(refresh, left.length ? Math.random() * SPREAD : 0);
  const before = places();
  left.forEach(goes);
  if (before !== places()) grace();
});

function goes(id) {
  const entry = document.getElementById(`entry-${id}`);
  gone.add(id);
  if (entry) leave(entry);
}

sayState(connection);

setInterval(() => document.hidden || refresh(), EVERY[list.dataset.part] ?? USUAL);
document.addEventListener("visibilitychange", () => document.hidden || refresh());

learn(main.dataset.now);
if (entries().length) select(entries()[0]);
showSelected();
showWaiting(Number(counter.textContent) || 0);
if (main.dataset.attention) {
  import("../attention/attention.js").then(({ follow }) =>
    follow(connection, Number(counter.textContent)),
  );
}
connection.tryNow();
