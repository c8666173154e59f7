// The prompt cards of a conversation, each at the place where its question was asked: which one is
// open, in what order, and what becomes of it when its question is settled.

import { isFollowing } from "./transcript/transcript.js";
import { alert, announce, say } from "./words.js";

const main = document.getElementById("chat");
const scroller = document.getElementById("scroller");
const items = document.getElementById("items");
const dock = document.getElementById("dock"); // for cards whose place is not on the page

export class Cards extends EventTarget {
  #outbox;
  #docking = null; // once there is a card
  #known = new Set(); // the cards that were there at the last look
  #current = null; // the card that is open; others are folded, unless all are shown
  #shown = null; // the card that was brought in sight last
  #chosen = null; // the one that somebody has opened

  /**
   * Events: `settled` (an answer was taken, or came too late), `asked`, and
   * `arranged` (others wait, or another is open).
   */
  constructor(outbox) {
    super();
    this.#outbox = outbox;
    document.addEventListener("click", (event) => this.#click(event));
    document.addEventListener("answered", ({ detail }) => this.#answered(detail));
    this.#known = new Set(all());
    if (this.#known.size) this.load();
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

  /**
   * Take what the server says is pending, and the cards that it has no place for, once it has drawn
   * the transcript anew; `focused` had the focus before.
   */
  update(part, focused) {
    const pending = new Set(part.dataset.pending.split(" "));
    for (const card of dock.querySelectorAll("prompt-card")) {
      const [place, item] = [card.parentElement, itemOf(card)];
      const isPending = pending.has(card.dataset.interaction);
      if (isPending && item) item.replaceChildren(card); // which came before the place had
      if (item || !isPending) place.remove();
      if (card.contains(focused)) focused.focus({ preventScroll: true }); // which is lost on the way
    }
    for (const card of part.querySelectorAll("prompt-card")) {
      if (document.getElementById(card.id)) continue;
      const item = itemOf(card);
      if (item) item.replaceChildren(card);
      else dock.append(card.parentElement);
    }
    if (this.#docking) this.#look(focused);
  }

  /** Load what cards need, before the first of them: until then browsers send them as they are. */
  async load() {
    if (this.#docking) return;
    const parts = [import("./docking.js"), import("./elements/promptcard.js")];
    const loaded = await Promise.all(parts).catch(() => null);
    if (!loaded || this.#docking) return; // once more when there is news; or it was asked for twice
    const [docking, { PromptCard }] = loaded;
    PromptCard.outbox = this.#outbox;
    this.#docking = docking;
    this.#look(null);
  }

  /** Look which cards have come and gone. */
  #look(focused) {
    const asked = all().filter((card) => !this.#known.has(card));
    for (const card of this.#known) if (!card.isConnected) this.#settle(card, focused);
    this.#known = new Set(all());
    this.#arrange();
    for (const card of asked) {
      card.grace();
      alert(say("question", { question: card.querySelector("h2").textContent })); // for who looks elsewhere
      this.dispatchEvent(new Event("asked"));
    }
    const isNew = this.#current && this.#current !== this.#shown;
    if (!isNew || !(isFollowing || this.#shown?.isConnected === false)) return;
    this.#shown = this.#current;
    requestAnimationFrame(() => this.#reveal()); // once the transcript has scrolled to its end
  }

  #reveal() {
    if (this.#current) this.#docking.reveal(this.#current);
  }

  #click(event) {
    const card = event.target.closest("prompt-card");
    const link = event.target.closest("a[href^='#prompt-']");
    if (link) {
      event.preventDefault();
      this.#open(document.querySelector(link.getAttribute("href")));
    } else if (event.target.matches("[data-dismiss]")) event.target.closest(".stale").remove();
    else if (event.target.matches("[data-next]")) this.#open(all()[all().indexOf(card) + 1]);
    else if (event.target.matches("[data-all]")) {
      main.toggleAttribute("data-all-cards");
      this.#open(card);
    } else if (card?.matches("[data-folded]")) this.#open(card);
  }

  #open(card) {
    if (!card || !this.#docking) return; // it has just gone
    this.#chosen = card;
    this.#arrange();
    this.#docking.reveal(card);
    card.querySelector("h2").focus({ preventScroll: true });
  }

  /** One card is open; each says which it is, and of how many. */
  #arrange() {
    const cards = all();
    const areAll = main.hasAttribute("data-all-cards") && cards.length > 1;
    main.toggleAttribute("data-all-cards", areAll);
    const first = cards.find((card) => card.isTouched) ?? cards[0] ?? null;
    const open = cards.includes(this.#chosen) ? this.#chosen : first;
    if (open !== this.#current && this.#current && open) open.grace();
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

  /** The card stays as it is until the transcript says what became of the question. */
  #answered({ card, outcome, isTaken }) {
    if (outcome === "voted") announce(say("voted"));
    if (isTaken && dock.contains(card)) {
      const focused = document.activeElement;
      card.parentElement.remove();
      this.#settle(card, focused);
    }
    // The transcript has said it already.
    else if (!card.isConnected && !isTaken) (itemOf(card) ?? dock).append(card.note());
    this.dispatchEvent(new Event("settled"));
  }

  /** The question is settled: what was given here and not used stays to be read, in its place. */
  #settle(card, focused) {
    if (document.getElementById(card.id)) return; // another card asks it now
    const place = itemOf(card) ?? dock;
    const parts = place.querySelectorAll("summary > :is(.asked, .outcome, .who)");
    const said = Array.from(parts, (part) => part.innerText).join(" ");
    if (said && card.isBusy) announce(said);
    if (card.unused) place.append(card.note());
    else card.draft?.save(null);
    this.#arrange();
    // A button that was disabled while its answer was sent has lost the focus.
    if (card.contains(focused) || (card.isBusy && focused === document.body)) this.#moveOn();
  }

  /** Whoever pressed a button here would else be thrown back to the top of the page. */
  #moveOn() {
    this.#reveal();
    // On a touch screen the field would bring up the keyboard.
    const rest = matchMedia("(pointer: fine)").matches ? "text" : "scroller";
    (this.first() ?? document.getElementById(rest)).focus({ preventScroll: true });
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
