// Prompt cards, each at the place where its question was asked: which one is open, answering it,
// and what becomes of it when its question is settled.

import { begin, given, isTouched, send, showProgress } from "./forms.js";
import { Docking } from "./docking.js";
import { isShowingEnd } from "./transcript/transcript.js";
import { alert, announce, say } from "./words.js";

// A card that opens takes no click for so long: the second click of a double click on the card
// before it, or one aimed at what was there a moment ago, must not approve anything.
const GRACE = 400;

const main = document.getElementById("chat");
const scroller = document.getElementById("scroller");
const items = document.getElementById("items");
const dock = document.getElementById("dock"); // for cards whose place is not on the page

export class Cards extends EventTarget {
  #outbox;
  #connection;
  #docking = new Docking();
  #current = null; // the card that is open; others are folded, unless all are shown
  #shown = null; // the place that was brought in sight last
  #chosen = null; // the one that somebody has opened

  /**
   * Events: `settled` (an answer was taken, or came too late), `asked`, and
   * `arranged` (others wait, or another is open).
   */
  constructor(connection, outbox) {
    super();
    this.#connection = connection;
    this.#outbox = outbox;
    scroller.addEventListener("submit", (event) => this.#submit(event));
    document.addEventListener("click", (event) => this.#click(event));
    items.addEventListener("exchange", (event) => this.#exchange(event));
    connection.addEventListener("state", () => this.#showProgress());
    all().forEach(begin);
    this.#arrange();
  }

  /** The question that is open. */
  first() {
    return this.#current?.querySelector("h2");
  }

  /** The question that waits alone, if a text answers it; else null. */
  only() {
    const [card, ...others] = all();
    return card?.querySelector("[data-type=text]") && !others.length ? card : null;
  }

  /** Have the open question in sight, if there is one. */
  reveal() {
    if (this.#current) this.#docking.reveal(this.#current);
  }

  /** Take what the server says is pending, and the cards that it has no place for. */
  update(part) {
    const pending = new Set(part.dataset.pending.split(" "));
    for (const card of dock.querySelectorAll("prompt-card")) {
      if (!pending.has(card.dataset.interaction)) this.#settle(card, dock, card.parentElement);
    }
    for (const card of part.querySelectorAll("prompt-card")) {
      if (document.getElementById(card.id)) continue;
      const item = itemOf(card);
      if (item) item.replaceChildren(card);
      else dock.append(card.parentElement);
    }
    // One that came before the transcript had its place.
    for (const place of [...dock.querySelectorAll(".place")]) {
      const card = place.querySelector("prompt-card");
      if (!card || !itemOf(card)) continue;
      const focus = card.contains(document.activeElement) && document.activeElement;
      itemOf(card).replaceChildren(card);
      place.remove();
      if (focus) focus.focus({ preventScroll: true }); // which is lost on the way
    }
    const asked = all().filter((card) => !card.isBegun);
    asked.forEach(begin);
    this.#arrange();
    for (const card of asked) {
      this.#grace(card);
      alert(say("question", { question: card.querySelector("h2").textContent })); // for who looks elsewhere
      this.dispatchEvent(new Event("asked"));
    }
    const isNew = this.#current && this.#current.parentElement !== this.#shown;
    if (!isNew || !(isShowingEnd() || this.#shown?.isConnected === false)) return;
    this.#shown = this.#current.parentElement;
    requestAnimationFrame(() => this.reveal()); // once the transcript has scrolled to its end
  }

  #click(event) {
    const card = event.target.closest("prompt-card");
    const link = event.target.closest("a[href^='#prompt-']");
    if (link) {
      event.preventDefault();
      this.#open(document.querySelector(link.getAttribute("href")));
    } else if (event.target.matches("[data-dismiss]")) dismiss(event.target.closest(".stale"));
    else if (event.target.matches("[data-next]")) this.#open(all()[all().indexOf(card) + 1]);
    else if (event.target.matches("[data-all]")) this.#showAll(card);
    else if (card?.matches("[data-folded]")) this.#open(card);
  }

  #open(card) {
    if (!card) return; // it has just gone
    this.#chosen = card;
    this.#arrange();
    this.#docking.reveal(card);
    card.querySelector("h2").focus({ preventScroll: true });
  }

  #showAll(card) {
    main.toggleAttribute("data-all-cards");
    this.#open(card);
  }

  /** One card is open; each says which it is, and of how many. */
  #arrange() {
    const cards = all();
    const areAll = main.hasAttribute("data-all-cards") && cards.length > 1;
    main.toggleAttribute("data-all-cards", areAll);
    const chosen = cards.find((card) => card === this.#chosen);
    const open = chosen ?? cards.find(isTouched) ?? cards[0] ?? null;
    if (open !== this.#current && this.#current && open) this.#grace(open);
    this.#current = open;
    for (const [index, card] of cards.entries()) {
      card.toggleAttribute("data-folded", card !== this.#current && !areAll);
      const turn = card.querySelector(".turn");
      turn.hidden = cards.length === 1;
      const numbers = { number: index + 1, total: cards.length };
      turn.querySelector(".number").textContent = say("turn", numbers);
      turn.querySelector("[data-next]").hidden = index === cards.length - 1;
      turn.querySelector("[data-all]").setAttribute("aria-pressed", areAll);
    }
    this.#docking.watch(areAll ? null : this.#current);
    this.dispatchEvent(new Event("arranged"));
  }

  #grace(card) {
    card.isFresh = true;
    this.#showProgress();
    setTimeout(() => {
      card.isFresh = false;
      this.#showProgress();
    }, GRACE);
  }

  #submit(event) {
    const card = event.target.closest("prompt-card");
    if (!card || (event.target.dataset.type === "form" && !card.kind)) return;
    event.preventDefault();
    if (!card.isFresh) this.answer(card, event.submitter);
  }

  /** Send what is given on a card; resolves to whether the server has heard it. */
  async answer(card, submitter) {
    if (card.isSending) return false;
    const word = await send(card, submitter, this.#outbox, () => this.#showProgress());
    const isHeard = word?.type === "ack_message";
    const name = word?.outcome === "claimed" && card.isConnected && word.content.by;
    if (name) card.querySelector(".error").textContent = say("claimedBy", { name });
    else if (isHeard) this.#acknowledged(card, word.outcome, submitter?.textContent.trim());
    card.isSending &&= !name; // it still waits, for somebody else
    this.#showProgress();
    return isHeard && !name;
  }

  /** The card stays as it is until the transcript says what became of the question. */
  #acknowledged(card, outcome, label) {
    const isTaken = ["accepted", "duplicate", "voted"].includes(outcome);
    card.unused = isTaken ? "" : given(card) || label;
    card.word = outcome === "voted" ? say("voted") : "";
    if (card.word) announce(card.word);
    if (isTaken && dock.contains(card)) this.#settle(card, dock, card.parentElement);
    // The transcript has said it already.
    else if (!card.isConnected && !isTaken) showUnused(card, itemOf(card) ?? dock);
    this.dispatchEvent(new Event("settled"));
  }

  /** The transcript has what became of a question in the place of its card. */
  #exchange(event) {
    const { old, item } = event.detail;
    const card = old.querySelector("prompt-card");
    if (!card) return;
    event.preventDefault();
    old.before(item);
    const row = item.querySelector(":scope > details > summary");
    // It still waits, and is drawn anew, with what was typed here.
    const fresh = item.querySelector("prompt-card");
    if (fresh) fresh.word = card.word;
    const again = !card.isSending && fresh;
    const parts = [".asked", ".outcome", ".who"].map((part) => row?.querySelector(part).innerText);
    if (row && card.isSending) announce(parts.join(" "));
    this.#settle(card, item, old, again);
  }

  /** The question is settled: what was given here and not used stays to be read, in `place`. */
  #settle(card, place, old, again) {
    const focus = document.activeElement;
    // A button that was disabled while its answer was sent has lost it.
    const hadFocus = old.contains(focus) || (card.isSending && focus === document.body);
    old.remove();
    if (!card.isSending && !again && isTouched(card)) card.unused = given(card);
    if (card.unused) showUnused(card, place);
    else if (!again) card.draft.save(null);
    this.#arrange();
    if (hadFocus) this.#moveOn();
  }

  /** Whoever pressed a button here would else be thrown back to the top of the page. */
  #moveOn() {
    this.reveal();
    // On a touch screen the field would bring up the keyboard.
    const rest = matchMedia("(pointer: fine)").matches ? "text" : "scroller";
    (this.first() ?? document.getElementById(rest)).focus({ preventScroll: true });
  }

  #showProgress() {
    for (const card of all()) showProgress(card, this.#connection, card.isFresh);
  }
}

/** The cards of what is pending, in the order of the page. */
function all() {
  return [...scroller.querySelectorAll("prompt-card")];
}

/** The place where the question of a card was asked. */
function itemOf(card) {
  return items.querySelector(`.question[data-interaction="${card.dataset.interaction}"]`);
}

function showUnused(card, place) {
  const note = document.getElementById("stale").content.firstElementChild.cloneNode(true);
  note.querySelector(".given").textContent = card.unused;
  note.draft = card.draft;
  place.append(note);
}

function dismiss(note) {
  note.draft.save(null);
  note.remove();
}
