// The prompt cards of a conversation, each at its question's place in the transcript. One of
// several cards is open. A settled question leaves a note if an answer was not used.

import { isFollowing } from "./transcript/transcript.js";
import { alert, announce, say } from "./words.js";

const main = document.getElementById("chat");
const scroller = document.getElementById("scroller");
const items = document.getElementById("items");
const dock = document.getElementById("dock"); // for cards of questions outside the shown part

export class Cards extends EventTarget {
  #outbox;
  #docking = null; // the module docking.js, loaded with the first card
  #known = new Set(); // the cards that `#look` last found
  #current = null; // the card that is open; others are folded, unless all are shown
  #shown = null; // the card that was last scrolled into view
  #chosen = null; // the card that the person has opened

  /**
   * Events: `settled` (the server has replied to an answer), `asked` (a new card), and
   * `arranged` (other cards are on the page, or another card is open).
   */
  constructor(outbox) {
    super();
    this.#outbox = outbox;
    document.addEventListener("click", (event) => this.#click(event));
    document.addEventListener("answered", ({ detail }) => this.#answered(detail));
    this.#known = new Set(all());
    if (this.#known.size) this.load();
  }

  /** Return the heading of the open card. */
  first() {
    return this.#current?.querySelector("h2");
  }

  /** Return the only card, if a text answers its question; else null. */
  only() {
    const [card, ...others] = all();
    return card?.querySelector("[data-type=text]") && !others.length ? card : null;
  }

  /**
   * Update after the transcript was rendered again: remove cards that are no longer pending, and
   * put new cards into the transcript, or else the dock. `focused` had the focus before.
   */
  update(part, focused) {
    const pending = new Set(part.dataset.pending.split(" "));
    for (const card of dock.querySelectorAll("prompt-card")) {
      const [place, item] = [card.parentElement, itemOf(card)];
      const isPending = pending.has(card.dataset.interaction);
      if (isPending && item) item.replaceChildren(card); // the question's place is there now
      if (item || !isPending) place.remove();
      if (card.contains(focused)) focused.focus({ preventScroll: true }); // moving loses the focus
    }
    for (const card of part.querySelectorAll("prompt-card")) {
      if (document.getElementById(card.id)) continue;
      const item = itemOf(card);
      if (item) item.replaceChildren(card);
      else dock.append(card.parentElement);
    }
    if (this.#docking) this.#look(focused);
  }

  /** Load the modules of cards before the first card; without them, browsers submit plain forms. */
  async load() {
    if (this.#docking) return;
    const parts = [import("./docking.js"), import("./elements/promptcard.js")];
    const loaded = await Promise.all(parts).catch(() => null);
    if (!loaded || this.#docking) return; // failed, to be tried again; or loaded twice
    const [docking, { PromptCard }] = loaded;
    PromptCard.outbox = this.#outbox;
    this.#docking = docking;
    this.#look(null);
  }

  /** Handle cards that have come or gone. */
  #look(focused) {
    const asked = all().filter((card) => !this.#known.has(card));
    for (const card of this.#known) if (!card.isConnected) this.#settle(card, focused);
    this.#known = new Set(all());
    this.#arrange();
    for (const card of asked) {
      card.grace();
      alert(say("question", { question: card.querySelector("h2").textContent })); // read aloud
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
    if (!card || !this.#docking) return; // the card has just gone, or its module is not loaded
    this.#chosen = card;
    this.#arrange();
    this.#docking.reveal(card);
    card.querySelector("h2").focus({ preventScroll: true });
  }

  /** Open one card, fold the others, and show the number and the total on each. */
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

  /** Handle the reply to an answer; the card stays until the transcript shows the outcome. */
  #answered({ card, outcome, isTaken }) {
    if (outcome === "voted") announce(say("voted"));
    if (isTaken && dock.contains(card)) {
      const focused = document.activeElement;
      card.parentElement.remove();
      this.#settle(card, focused);
    }
    // The transcript already shows the outcome, and the card is gone.
    else if (!card.isConnected && !isTaken) (itemOf(card) ?? dock).append(card.note());
    this.dispatchEvent(new Event("settled"));
  }

  /** Clean up after a settled question; show an answer that was not used in a note at its place. */
  #settle(card, focused) {
    if (document.getElementById(card.id)) return; // the question has a new card
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

  /** Move the focus on from a removed button; else it would go to the top of the page. */
  #moveOn() {
    this.#reveal();
    // On a touch screen, focusing the message field would open the keyboard.
    const rest = matchMedia("(pointer: fine)").matches ? "text" : "scroller";
    (this.first() ?? document.getElementById(rest)).focus({ preventScroll: true });
  }
}

/** Return the cards of pending questions, in page order. */
function all() {
  return [...scroller.querySelectorAll("prompt-card")];
}

/** Return the transcript item of a card's question, if it is on the page. */
function itemOf(card) {
  return items.querySelector(`.question[data-interaction="${card.dataset.interaction}"]`);
}
