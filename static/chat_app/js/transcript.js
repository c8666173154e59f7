// The transcript. The server renders every item; here text is shown the moment it comes, as plain
// text, and the rendered item takes its place soon after.

const PACE = 250;
const BURST_PACE = 50;
const NEAR = 80; // px from the end that still count as being there

const items = document.getElementById("items");
const scroller = document.getElementById("scroller");
const main = document.getElementById("chat");
const BREAKS = new Set([
  "conversation_message",
  "system_intermediate_message",
  "system_interaction_message",
]);

/** Events: `part` (detail: the element that the server sent), `signedOut`. */
export class Transcript extends EventTarget {
  // All events up to `last` have arrived; all up to `covered` are in what the server rendered.
  last = Number(items.dataset.last);
  covered = this.last;
  #from = Infinity; // the oldest sequence that has to be rendered anew
  #tails = []; // frames of text that are shown plain
  #breaks = new Map(); // run → sequence of its last item that is no text
  #timer = 0;
  #busy = false;
  #nextAt = 0;
  #failures = 0;

  /** Take a frame of this conversation. One that was here before changes nothing. */
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
    if (BREAKS.has(frame.type)) this.#breaks.set(frame.run_id, sequence);
    if (frame.type === "restart_message") this.#cut(frame);
    else this.refresh(sequence, true);
  }

  /** Have the items from that sequence on rendered: soon, or at once where people wait for it. */
  refresh(from = this.covered + 1, urgent = false) {
    this.#from = Math.min(this.#from, from, this.covered + 1);
    if (this.#busy) return;
    clearTimeout(this.#timer);
    const paced = this.#nextAt - (urgent ? PACE - BURST_PACE : 0);
    this.#timer = setTimeout(() => this.#load(), Math.max(0, paced - Date.now()));
  }

  /** Load the part before the first item. */
  async older(before) {
    const part = await this.#fetch(`before=${before}`);
    const height = scroller.scrollHeight;
    for (const item of part.querySelectorAll(":scope > [data-part=items] > *")) {
      if (!document.getElementById(item.id)) place(item);
    }
    document
      .getElementById("older")
      .replaceChildren(...part.querySelector("[data-part=older]").childNodes);
    scroller.scrollTop += scroller.scrollHeight - height;
  }

  #append(frame) {
    const atEnd = isAtEnd();
    this.#tails.push(frame);
    this.#showTail(frame);
    if (atEnd) toEnd();
    this.refresh();
  }

  #showTail(frame) {
    const segment = this.#segment(frame);
    if (frame.sequence <= Number(segment.dataset.sequence)) return;
    let end = segment.querySelector(".body");
    while (
      end.lastElementChild &&
      !end.lastElementChild.matches("span, a, em, strong, s, br, hr")
    ) {
      end = end.lastElementChild;
    }
    if (!end.lastElementChild?.matches(".tail")) {
      const span = document.createElement("span");
      span.className = "tail";
      // The space that ended the rendered text is not in it.
      if ("space" in segment.dataset) span.append(" ");
      end.append(span);
    }
    end.lastElementChild.append(frame.content.text ?? frame.content.output ?? "");
  }

  /** The run's text item that is being written, or a new one. */
  #segment(frame) {
    const ofRun = items.querySelectorAll(`[data-run="${CSS.escape(frame.run_id)}"]`);
    const last = [...ofRun].at(-1);
    const since = this.#breaks.get(frame.run_id) ?? 0;
    if (last?.matches(".text") && Number(last.dataset.first) > since) return last;
    const item = document.getElementById("tail").content.firstElementChild.cloneNode(true);
    Object.assign(item.dataset, {
      first: frame.sequence,
      sequence: frame.sequence - 1,
      run: frame.run_id,
      temporary: "",
    });
    place(item);
    return item;
  }

  /** The run's text from a sequence on was cut: its items are rendered anew. */
  #cut(frame) {
    const from = frame.content.from_sequence;
    this.#tails = this.#tails.filter(
      (tail) => tail.run_id !== frame.run_id || tail.sequence < from,
    );
    for (const item of items.querySelectorAll(`.text[data-run="${CSS.escape(frame.run_id)}"]`)) {
      if (Number(item.dataset.sequence) < from) continue;
      item.dataset.sequence = "0"; // whatever comes for it is newer
      if (Number(item.dataset.first) >= from) item.querySelector(".body").replaceChildren();
    }
    this.refresh(from, true);
  }

  async #load() {
    if (this.#busy) return;
    this.#busy = true;
    const from = this.#from;
    this.#from = Infinity;
    const began = Date.now();
    try {
      this.#merge(await this.#fetch(`from=${from}`), from);
      this.#failures = 0;
      // A long answer takes longer to render: never spend most of the time on it.
      this.#nextAt = Date.now() + Math.max(PACE, 3 * (Date.now() - began));
    } catch {
      this.#from = Math.min(this.#from, from);
      this.#failures += 1;
      this.#nextAt = Date.now() + Math.min(15_000, 500 * 2 ** this.#failures);
    }
    this.#busy = false;
    if (this.#from < Infinity || this.last > this.covered) this.refresh();
  }

  async #fetch(query) {
    const response = await fetch(`${main.dataset.items}?${query}`, {
      headers: { "X-Background": "1" },
    });
    if (response.redirected) this.dispatchEvent(new Event("signedOut"));
    if (response.redirected || !response.ok) throw new Error(`items: ${response.status}`);
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    return document.adoptNode(parsed.body.firstElementChild);
  }

  #merge(part, from) {
    const atEnd = isAtEnd();
    for (const tail of items.querySelectorAll(".tail")) tail.remove();
    for (const item of items.querySelectorAll("[data-temporary]")) item.remove();
    const rendered = [...part.querySelector("[data-part=items]").children];
    if (part.hasAttribute("data-skipped")) {
      items.replaceChildren();
      const older = part.querySelector("[data-part=older]").childNodes;
      document.getElementById("older").replaceChildren(...older);
    }
    for (const item of rendered) {
      const old = document.getElementById(item.id);
      if (!old) place(item);
      else if (isChanged(old, item)) exchange(old, item);
    }
    this.#removeEmptied(from);
    this.covered = Math.max(this.covered, Number(part.dataset.last));
    this.last = Math.max(this.last, this.covered);
    this.#tails = this.#tails.filter((tail) => tail.sequence > this.covered);
    for (const tail of this.#tails) this.#showTail(tail);
    this.dispatchEvent(new CustomEvent("part", { detail: part }));
    if (atEnd) toEnd(); // last: what else came with the part may have made this smaller
  }

  /** Text that was cut and not begun anew is rendered no more. */
  #removeEmptied(from) {
    for (const item of items.querySelectorAll('.text[data-sequence="0"]')) {
      if (Number(item.dataset.first) >= from) item.remove();
    }
  }
}

/** Show the end of the transcript. */
export function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

function isAtEnd() {
  return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
}

/** Put an item at its place, which is by its first sequence. */
function place(item) {
  const first = Number(item.dataset.first);
  let next = null;
  for (let each = items.lastElementChild; each; each = each.previousElementSibling) {
    if (Number(each.dataset.first) < first) break;
    next = each;
  }
  items.insertBefore(item, next);
}

function isChanged(old, item) {
  return old.dataset.sequence !== item.dataset.sequence || old.dataset.state !== item.dataset.state;
}

/** Let the new item take the old one's place; what is open, selected or scrolled in it stays so. */
function exchange(old, item) {
  if (old.matches(".text") && item.matches(".text")) {
    exchangeChildren(old.querySelector(".body"), item.querySelector(".body"));
    old.dataset.sequence = item.dataset.sequence;
    old.toggleAttribute("data-space", item.hasAttribute("data-space"));
    return;
  }
  const wasOpen = old.querySelector("details")?.open;
  const hadFocus = old.contains(document.activeElement);
  if (wasOpen && item.querySelector("details")) item.querySelector("details").open = true;
  old.replaceWith(item);
  if (hadFocus) (item.querySelector("summary, a, button") ?? item).focus({ preventScroll: true });
}

function exchangeChildren(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  let same = 0;
  while (same < before.length && same < after.length && before[same].isEqualNode(after[same])) {
    same += 1;
  }
  for (const node of before.slice(same)) node.remove();
  old.append(...after.slice(same));
}
