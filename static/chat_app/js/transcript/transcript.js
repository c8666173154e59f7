// The transcript. The server renders every item. This module shows new text at once, up to the
// first Markdown mark, until the server's HTML replaces it. Of a growing text the server renders
// only the last block again; the blocks above are final.

import { ask, person } from "../person.js";
import { changeText, morph } from "../morph.js";
import { icon, say } from "../words.js";

const DRAWING = 40; // ms between two drawings of streamed text, as each takes a whole frame
const PACE = 250;
const BURST_PACE = 50;
const SLOWEST = 5000; // longest pause (ms); a slow load may only mean that this computer slept
const PATIENCE = 10_000; // ms until a response begins; a hanging request would block later ones
const CHUNK = 25; // blocks of a long text that are grouped into a chunk
const WHOLE = 40; // newest chunks of a text that always stay nodes
const NEAR = 80; // px from the end within which a script's scrolling counts as going to the end
const EXACT = 2; // px, as browsers round heights, but not scroll positions
const UP = new Set(["ArrowUp", "PageUp", "Home"]); // keys that scroll up
const PASSIVE = { passive: true };
const QUIET = 2000; // ms without new text, after which incomplete marks are shown, too
// Text that may be shown before the server renders it: all before a possible Markdown mark. \x60 is
// a backtick: when Django (from 6.1 on) looks for imports, it takes a plain one for the start of a
// template literal, and misses the imports after it.
const PLAIN = /^[^\n|#*_~\x60$[\]<>\\&]*/;
const DONE = ".step[data-state=complete]";
const INLINE = "span, a, em, strong, s, br, hr, :not(pre) > code";
const MARKS_A_LINE = /^\s*([-+=:]|\d+[.)]?)/;

const items = document.getElementById("items");
const scroller = document.getElementById("scroller");
const older = document.getElementById("older");
const newer = document.getElementById("newer");
const main = document.getElementById("chat");
const BREAKS = new Set([
  "conversation_message",
  "system_intermediate_message",
  "system_interaction_message",
  "assignment_message",
]);

/** Events: `part` (detail: the server's `part`, and the element `focused` before), `signedOut`. */
export class Transcript extends EventTarget {
  // All events up to sequence `last` have arrived; the server has rendered those up to `covered`.
  last = Number(items.dataset.last);
  covered = this.last;
  #from = Infinity; // the oldest sequence that has to be rendered again
  #runs = new Set(); // runs whose last text has a new part for the server to render
  #tails = []; // pieces of text that the server has not rendered yet
  #breaks = new Map(); // run → sequence of its last item that is no text
  #timer = 0;
  #quiet = 0;
  #drawing = 0; // the timer of the next drawing
  #busy = false;
  #loadedAt = 0;
  #took = 0; // ms that the last load took
  #isUrgent = false; // load sooner, as people wait for the new items
  #failures = 0;

  /** Take a frame of this conversation; a repeated frame changes nothing. */
  take(frame) {
    const sequence = frame.sequence;
    if (!Number.isInteger(sequence)) return;
    const isNew = sequence > this.last;
    this.last = Math.max(this.last, sequence);
    if (frame.type === "system_response_message" && frame.status === "in_progress") {
      if (isNew) this.#append(frame);
      return;
    }
    if (sequence <= this.covered) return;
    if (frame.type === "restart_message") return this.#cut(frame);
    const isEnd = frame.type === "run_update_message" && frame.status === "complete";
    const isBreak = BREAKS.has(frame.type);
    if (isBreak && isNew) comesBelow();
    if (isBreak) this.#breaks.set(frame.run_id, sequence);
    // On an older branch, a message may be a new version of a shown message: load everything.
    if (frame.type === "conversation_message" && main.dataset.branch) return this.refresh(1, true);
    this.refresh(isEnd || isBreak ? this.#endOfText(frame.run_id, sequence) : sequence, true);
  }

  /** Load the items from a sequence on: after a pause, which is shorter if `urgent`. */
  refresh(from = this.covered + 1, urgent = false) {
    this.#from = Math.min(this.#from, from, this.covered + 1);
    this.#isUrgent ||= urgent;
    if (this.#busy) return;
    clearTimeout(this.#timer);
    const wait = this.#loadedAt + this.#pause() - Date.now();
    this.#timer = setTimeout(() => this.#load(), Math.max(0, wait));
  }

  /** Load at once the items that could not be loaded while the server was away. */
  tryNow() {
    if (!this.#failures) return;
    this.#loadedAt = 0;
    this.refresh();
  }

  /** Load the part of the transcript before the first item. */
  async older(before) {
    this.#showOlder(await this.#fetch(`before=${before}`));
  }

  /** Load that part before this function returns, as printing waits for nothing else. */
  olderAtOnce(before) {
    const request = new XMLHttpRequest();
    request.open("GET", this.#address(`before=${before}`), false);
    request.setRequestHeader("X-Background", "1");
    request.setRequestHeader("X-For", person);
    request.send();
    this.#showOlder(parse(request.responseText));
  }

  #showOlder(part) {
    keepPlace(() => {
      for (const item of part.querySelectorAll(":scope > [data-part=items] > *")) {
        if (!document.getElementById(item.id)) place(item);
      }
      items.querySelectorAll(".note").forEach(place); // a note is placed after the items of its run
      foldSteps();
      older.replaceChildren(...part.querySelector("[data-part=older]").childNodes);
    });
  }

  #append(frame) {
    const item = `[data-run="${CSS.escape(frame.run_id)}"]`;
    if (main.dataset.begins && !items.querySelector(item)) {
      return this.refresh(); // the server knows whether the run is on this branch
    }
    comesBelow();
    this.#tails.push({
      run: frame.run_id,
      since: this.#breaks.get(frame.run_id) ?? 0,
      sequence: frame.sequence,
      text: frame.content.text ?? frame.content.output ?? "",
    });
    this.#runs.add(frame.run_id);
    const draw = () => requestAnimationFrame(() => this.#draw());
    if (!this.#drawing) this.#drawing = setTimeout(draw, DRAWING);
    this.refresh();
  }

  /** Show the pieces of text that the server has not rendered yet. */
  #draw() {
    this.#drawing = 0;
    const groups = Map.groupBy(this.#tails, ({ run, since }) => `${run} ${since}`);
    for (const tails of groups.values()) showTail(segmentOf(tails[0]), tails);
    if (isFollowing) toEnd();
  }

  /** Return the sequence from which to render a complete text, so that nothing is held back. */
  #endOfText(run, sequence) {
    const item = lastText(run);
    if (!item || item.dataset.sequence === "0") return sequence;
    this.#runs.add(run);
    return Math.min(sequence, Math.max(1, Number(item.dataset.sequence)));
  }

  /** Remove the text that a restarted run takes back, and load its items again. */
  #cut(frame) {
    const from = frame.content.from_sequence;
    this.#tails = this.#tails.filter((tail) => tail.run !== frame.run_id || tail.sequence < from);
    for (const item of items.querySelectorAll(`.text[data-run="${CSS.escape(frame.run_id)}"]`)) {
      if (Number(item.dataset.sequence) < from) continue;
      item.dataset.sequence = "0"; // any text to come is newer
      if (Number(item.dataset.first) >= from) item.querySelector(".body").replaceChildren();
    }
    this.refresh(from, true);
  }

  async #load(isQuiet = false) {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#quiet);
    const from = this.#from;
    this.#from = Infinity;
    this.#isUrgent = false;
    const began = Date.now();
    try {
      this.#merge(await this.#fetch(this.#query(from, isQuiet)), from);
      this.#failures = 0;
    } catch {
      this.#from = Math.min(this.#from, from);
      this.#failures += 1;
    }
    this.#loadedAt = Date.now();
    this.#took = this.#loadedAt - began;
    this.#busy = false;
    if (this.#from < Infinity || this.last > this.covered) this.refresh();
    else this.#showHeldLater();
  }

  /** Return the pause between loads, so that loading never takes most of the time. */
  #pause() {
    if (this.#failures) return Math.min(15_000, 500 * 2 ** this.#failures);
    const most = this.#isUrgent ? Math.max(BURST_PACE, this.#took) : Math.max(PACE, 3 * this.#took);
    return Math.min(SLOWEST, most);
  }

  /** Return the query of a load; of growing texts, request only the part that is not final. */
  #query(from, isQuiet) {
    const query = new URLSearchParams({ from });
    if (!isQuiet) query.set("hold", "1");
    for (const run of this.#runs) {
      const item = lastText(run);
      if (from === 1 || !item || item.dataset.sequence === "0") continue; // request all text
      const open = item.querySelector(".open");
      if (open) query.append("text", open.dataset.at);
    }
    this.#runs.clear();
    return query;
  }

  /** If no more text comes for a moment, show the held-back end as if the text were complete. */
  #showHeldLater() {
    this.#quiet = setTimeout(() => {
      for (const open of items.querySelectorAll(".open[data-held]")) {
        const { run } = open.closest(".item").dataset;
        this.#from = Math.min(this.#from, this.#endOfText(run, Infinity));
      }
      if (this.#from < Infinity) this.#load(true);
    }, QUIET);
  }

  #address(query) {
    const branch = main.dataset.branch && `&branch=${main.dataset.branch}`;
    return `${main.dataset.items}?${query}${branch}`;
  }

  async #fetch(query) {
    const impatience = new AbortController();
    const timer = setTimeout(() => impatience.abort(), PATIENCE);
    const response = await ask(this.#address(query), {
      headers: { "X-Background": "1" },
      signal: impatience.signal,
    }).finally(() => clearTimeout(timer));
    if (response.redirected) this.dispatchEvent(new Event("signedOut"));
    // The conversation was deleted; the reloaded page tells so.
    if (response.status === 204) location.reload();
    if (response.redirected || response.status !== 200) {
      throw new Error(`items: ${response.status}`);
    }
    return parse(await response.text());
  }

  #merge(part, from) {
    const isOther = part.dataset.begins !== main.dataset.begins;
    if (isOther && from > 1) {
      this.#from = 1; // load everything, as the page may show another branch
      return;
    }
    look(); // before the page moves: the person may have scrolled since the last frame
    const focused = document.activeElement;
    main.dataset.begins = part.dataset.begins;
    for (const each of items.querySelectorAll(".tail, [data-temporary]")) {
      if (isSelected(each)) keepSelected(each);
      each.remove();
    }
    const rendered = [...part.querySelector("[data-part=items]").children];
    if (isOther || part.hasAttribute("data-skipped")) {
      items.replaceChildren();
      older.replaceChildren(...part.querySelector("[data-part=older]").childNodes);
    }
    for (const item of rendered) {
      const old = document.getElementById(item.id);
      if (item.hasAttribute("data-continues")) this.#continue(old, item);
      else if (!old) place(item);
      else if (["sequence", "state"].some((key) => old.dataset[key] !== item.dataset[key])) {
        morph(old, item);
      }
      items.querySelector(`[data-unsent="${CSS.escape(item.dataset.message)}"]`)?.remove();
    }
    for (const body of items.querySelectorAll(":scope > .text > .body")) bundle(body);
    foldSteps();
    // Remove text that a restart took back and did not write again.
    for (const item of items.querySelectorAll('.text[data-sequence="0"]')) {
      if (Number(item.dataset.first) >= from) item.remove();
    }
    this.covered = Math.max(this.covered, Number(part.dataset.last));
    this.last = Math.max(this.last, this.covered);
    this.#tails = this.#tails.filter((tail) => tail.sequence > this.covered);
    this.dispatchEvent(new CustomEvent("part", { detail: { part, focused } }));
    this.#draw(); // last, as the handlers of `part` may have shrunk the scroller
  }

  /** Replace the last block of a text by its newly rendered blocks. */
  #continue(old, item) {
    const open = old?.querySelector(".open");
    if (!open || old.dataset.sequence === "0") {
      // A restart took the text back meanwhile: load the whole text.
      this.#from = Math.min(this.#from, Number(item.dataset.first));
      return;
    }
    const parts = [...item.querySelector(".body").children];
    if (isSelected(open)) {
      // The nodes stay, so the block with the selection stays open, with the blocks below it.
      const { at } = open.dataset;
      const last = parts.pop();
      const below = last.firstElementChild;
      const above = parts.flatMap((part) => [part, "\n"]);
      if (below) below.before(...above);
      else last.append(...above);
      morph(open, last);
      open.dataset.at = at;
    } else open.replaceWith(...parts.flatMap((part) => ["\n", part]));
    old.dataset.sequence = item.dataset.sequence;
    old.toggleAttribute("data-space", item.hasAttribute("data-space"));
  }
}

// Whether to scroll to the end when items come: until the person's first sign of looking elsewhere,
// and again once the person has returned to the end.
export let isFollowing = !document.getElementById("empty"); // a new page stays at the top
let scrolledTo = 0;
let aimedAt = 0; // the scroll position after the last `toEnd`
let shown = Infinity; // height of the content in the previous frame
let finger = 0; // its place from the top of the window
let question = null; // the card that is open

// A wheel, a finger, a key and a selection are signs before anything scrolls. What has no event of
// its own (the scrollbar, a search, the focus) is told by the scroll position.
scroller.addEventListener("wheel", ({ deltaY, target }) => deltaY < 0 && up(target), PASSIVE);
scroller.addEventListener("touchstart", ({ touches }) => (finger = touches[0].clientY), PASSIVE);
scroller.addEventListener(
  "touchmove",
  ({ touches, target }) => {
    if (touches[0].clientY > finger) up(target);
    finger = touches[0].clientY;
  },
  PASSIVE,
);
scroller.addEventListener("keydown", ({ key, shiftKey, target }) => {
  if (target.matches("input, textarea, select")) return;
  if (UP.has(key) || (key === " " && shiftKey)) up(target);
  // With the End key, the browser scrolls in steps, to where the end was at the first step.
  else if (key === "End") toEnd();
});
document.addEventListener("selectionchange", () => {
  const { isCollapsed, anchorNode } = getSelection();
  if (!isCollapsed && items.contains(anchorNode)) stayHere();
});
scroller.addEventListener("scroll", look);

/** Stop following if something can scroll up; in a field, the field itself scrolls. */
function up(target) {
  if (scroller.scrollTop > 0 && !target.closest("textarea, select")) stayHere();
}

/** Decide by the scroll position whether the person has left the end, or returned there. */
function look() {
  const at = scroller.scrollTop;
  const end = endOf(scroller.scrollHeight);
  // A person who went to the end as shown is at the end, though more has come since.
  const isEnd = at > endOf(Math.min(scroller.scrollHeight, shown)) - EXACT && at < end + EXACT;
  // Only a person scrolls down to the end: a browser also scrolls up, when the text gets shorter.
  if (!isFollowing) isFollowing = isEnd && at > scrolledTo;
  else if (Math.abs(at - aimedAt) > EXACT) isFollowing = isEnd || (at > aimedAt && at < end);
  if (isEnd) newer.hidden = true;
  scrolledTo = at;
}

const sizes = new ResizeObserver(() => {
  if (isFollowing && items.firstElementChild) toEnd(); // else the workflows are shown
  shown = scroller.scrollHeight;
});
for (const each of [scroller, items]) sizes.observe(each);
newer.addEventListener("click", () => {
  toEnd();
  scroller.focus({ preventScroll: true }); // the hidden button loses the focus
});

/** Stop following the end: new items do not scroll the page. */
export function stayHere() {
  isFollowing = false;
}

/** Follow the end only as far as this card's title stays in view; null for no such card. */
export function keepInSight(card) {
  question = card;
}

/** Scroll to the end of the transcript, and follow the end when items come. */
export function toEnd() {
  isFollowing = true;
  newer.hidden = true;
  scroller.scrollTop = endOf(scroller.scrollHeight);
  aimedAt = scroller.scrollTop;
  scrolledTo = aimedAt;
}

/** Return the scroll position of the end, or of the title of a last card higher than the view. */
function endOf(height) {
  const [spot, end] = [question?.parentElement, height - scroller.clientHeight];
  if (!spot?.isConnected) return end;
  for (let next = spot.nextElementSibling; next; next = next.nextElementSibling) {
    if (!next.querySelector("prompt-card")) return end;
  }
  const [top, from] = [spot, scroller].map((each) => each.getBoundingClientRect().top);
  return Math.min(end, scroller.scrollTop + top - from);
}

/** Show a message at the end until the server has rendered it, and return its item. */
export function showUnsent(id, text) {
  const item = document.getElementById("unsent").content.firstElementChild.cloneNode(true);
  item.dataset.unsent = id;
  item.firstElementChild.textContent = text;
  items.append(item);
  toEnd();
  return item;
}

/** Show the button for newer items, unless the page follows the end. */
function comesBelow() {
  if (!isFollowing) newer.hidden = false;
}

/** Change items above the view without moving the visible items. */
function keepPlace(change) {
  const top = scroller.getBoundingClientRect().top;
  const seen = [...items.children].find((item) => item.getBoundingClientRect().bottom > top);
  const before = seen?.getBoundingClientRect().top;
  change();
  if (seen) scroller.scrollTop += seen.getBoundingClientRect().top - before;
  scrolledTo = scroller.scrollTop;
  shown = scroller.scrollHeight;
}

/** Return whether the end is in view, or nearly so. */
export function isAtEnd() {
  return Math.abs(endOf(scroller.scrollHeight) - scroller.scrollTop) < NEAR;
}

/** Return whether the person has selected some of the element. */
function isSelected(element) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(element, true);
}

/** Add a tail that is to be removed to the text before it, with the selection in it. */
function keepSelected({ firstChild: text, previousSibling: before }) {
  if (before?.nodeType !== Node.TEXT_NODE) return;
  const { anchorNode, anchorOffset, focusNode, focusOffset } = getSelection();
  const start = before.length;
  const placeOf = (node, offset) => (node === text ? [before, start + offset] : [node, offset]);
  before.appendData(text.data);
  const places = [...placeOf(anchorNode, anchorOffset), ...placeOf(focusNode, focusOffset)];
  getSelection().setBaseAndExtent(...places);
}

/** Group complete blocks into chunks, because each box of a text costs time at each frame. */
function bundle(body) {
  const loose = body.querySelectorAll(":scope > :not(.chunk, .open)");
  if (isSelected(body)) return; // moved nodes are no longer selected
  for (let start = 0; start + 2 * CHUNK <= loose.length; start += CHUNK) {
    const chunk = Object.assign(document.createElement("div"), { className: "chunk" });
    const range = new Range();
    range.setStartBefore(loose[start]);
    range.setEndAfter(loose[start + CHUNK - 1]);
    range.surroundContents(chunk);
  }
  const far = [...body.querySelectorAll(":scope > .chunk")].slice(0, -WHOLE);
  const shelve = ({ shelveWhenFar }) => far.forEach(shelveWhenFar);
  if (far.length) import("./shelves.js").then(shelve, () => {}); // if that fails, all stay nodes
}

/** Fold three and more steps of a run that follow each other, once they are done. */
function foldSteps() {
  for (const step of items.querySelectorAll(`:scope > ${DONE}`)) {
    const before = step.previousElementSibling;
    const first = before?.previousElementSibling;
    if (before?.dataset.run !== step.dataset.run) continue;
    if (before.matches(".steps")) before.append(step);
    else if (before.matches(DONE) && first?.matches(`${DONE}[data-run="${step.dataset.run}"]`)) {
      const group = Object.assign(document.createElement("details"), { className: "steps" });
      Object.assign(group.dataset, { first: first.dataset.first, run: step.dataset.run });
      first.before(group);
      group.append(document.createElement("summary"), first, before, step);
    }
  }
  for (const group of items.querySelectorAll(".steps")) {
    const all = [...group.querySelectorAll(".step")];
    const sum = all.reduce((total, { dataset }) => total + Number(dataset.seconds), 0);
    const seconds = Number(sum.toFixed(1)).toLocaleString(document.documentElement.lang);
    const [summary] = group.children;
    summary.innerHTML = icon("fold");
    summary.append(say("steps", { count: all.length, seconds }));
  }
}
foldSteps();

function parse(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return document.adoptNode(parsed.body.firstElementChild);
}

function itemsOf(run) {
  return [...items.children].filter((item) => item.dataset.run === run);
}

/** Return the last item of a run that the server has rendered, if it is a text; else null. */
function lastText(run) {
  const last = itemsOf(run).findLast((item) => !("temporary" in item.dataset));
  return last?.matches(".text") ? last : null;
}

/** Return the text item that a piece of text continues, or a new one. */
function segmentOf({ run, since, sequence }) {
  const isAfter = (item) => item.matches(".text") && Number(item.dataset.first) > since;
  const found = itemsOf(run).find(isAfter);
  if (found) return found;
  const item = document.getElementById("tail").content.firstElementChild.cloneNode(true);
  Object.assign(item.dataset, { first: sequence, sequence: sequence - 1, run, temporary: "" });
  place(item);
  return item;
}

/** Show the pieces that came since the server rendered a text, in one text node. */
function showTail(segment, tails) {
  const fresh = tails.filter((tail) => tail.sequence > Number(segment.dataset.sequence));
  const text = PLAIN.exec(fresh.map((tail) => tail.text).join(""))[0];
  const isHeld = segment.querySelector(".open[data-held]");
  const isMark = "temporary" in segment.dataset && MARKS_A_LINE.test(text);
  if (!text || isHeld || isMark) return;
  let end = segment.querySelector(".open") ?? segment.querySelector(".body");
  while (end.lastElementChild && !end.lastElementChild.matches(INLINE)) {
    end = end.lastElementChild;
  }
  let tail = end.lastElementChild;
  if (!tail?.matches(".tail")) {
    tail = Object.assign(document.createElement("span"), { className: "tail" });
    tail.append("");
    end.append(tail);
  }
  // Rendering drops a space at the end of a text, so add the space here.
  changeText(tail.firstChild, ("space" in segment.dataset ? " " : "") + text);
}

/** Insert an item in the order of first sequences; a note after the items of its run. */
function place(item) {
  const run = item.matches(".note") ? itemsOf(item.dataset.run) : [];
  const isBefore = ({ dataset }) => Number(dataset.first) < Number(item.dataset.first);
  const before = run.findLast((each) => !each.matches(".note"));
  const last = before ?? [...items.children].findLast(isBefore);
  if (last) last.after(item);
  else items.prepend(item);
}
