// The message field while a question waits: it answers the only one, if that takes a text, and says
// what else Enter will do. What it shows then is the text of the card, so that both have the same
// draft, the same checks and the same end; a message that was begun is kept beside it. Loaded with the
// first question.

import { alert, announce, icon, say } from "./words.js";

// What was meant for a question that has just gone is not sent as a message.
const GRACE = 1000;

const scroller = document.getElementById("scroller");
const field = document.getElementById("text");
const line = document.getElementById("answering");
const [words, button] = line.children;
const { most } = field.dataset;
const label = field.ariaLabel;

export class Answering {
  card = null; // whose text is in the field
  message = ""; // what is in it else
  #cards;
  #isFree;
  #enter = field.placeholder;
  #declined = null; // the question for which somebody wants to write a message
  #gone = ""; // the question that went while its answer was written
  #goneAt = 0;

  /** @param isFree whether a question may have the field: no message has been begun */
  constructor(cards, isFree) {
    this.#cards = cards;
    this.#isFree = isFree;
    cards.addEventListener("arranged", () => this.follow());
    scroller.addEventListener("input", ({ target }) => {
      if (target === this.#area && target.value !== field.value) this.#fill(target.value);
    });
    scroller.addEventListener("click", ({ target }) => {
      if (!this.#gone || !target.matches("[data-dismiss]")) return;
      this.#gone = "";
      this.follow();
    });
    button.addEventListener("click", () => {
      if (this.card) this.decline();
      else this.#begin(this.#cards.only());
      field.focus();
    });
  }

  /** Whether the answer in the field has lost its question a moment ago. */
  get isAstray() {
    return Date.now() - this.#goneAt < GRACE;
  }

  /** Take what sending would do to a message now, in words. */
  enter(text) {
    this.#enter = text;
    this.follow();
  }

  /** Have what is typed here in the card. */
  copy() {
    this.#area.value = field.value;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** Send the answer as the card does. Returns what is wrong with it; "" if it was taken. */
  async send() {
    const { card } = this;
    if (await card.answer()) {
      if (this.card === card) this.decline();
      return "";
    }
    return card.querySelector(".error").textContent;
  }

  /** Write a message instead. The answer stays on its card. */
  decline() {
    this.#declined = this.card?.id;
    this.leave();
    this.follow();
    announce(field.placeholder);
  }

  /** Give the field back to the message. */
  leave() {
    this.#gone = "";
    if (!this.card) return;
    this.card = null;
    this.#fill(this.message);
  }

  /** Look which questions wait, and whether one has the field. */
  follow() {
    const only = this.#cards.only();
    if (this.card && !this.card.isConnected) this.#lose();
    const isWanted = only && only.id !== this.#declined && !this.#gone;
    if (!this.card && isWanted && this.#isFree()) this.#begin(only);
    this.#show(only);
  }

  get #area() {
    return this.card?.querySelector("textarea");
  }

  #begin(card) {
    this.#gone = "";
    this.message = field.value;
    this.card = card;
    this.#fill(this.#area.value);
    this.#show(card);
    if (document.activeElement === field) announce(words.textContent);
  }

  /** The question is settled; its card has seen to what was written. */
  #lose() {
    const { card } = this;
    const again = document.getElementById(card.id); // the same, drawn anew
    const isOwn = card.isBusy || !field.value.trim();
    const question = questionOf(card);
    if (again) {
      this.card = again;
      this.copy();
      return;
    }
    this.leave();
    if (isOwn) return;
    this.#gone = say("questionGone", { question });
    this.#goneAt = Date.now();
    alert(this.#gone);
  }

  #show(only) {
    const area = this.#area;
    const question = area && say("answering", { question: questionOf(this.card) });
    field.form.toggleAttribute("data-answers", Boolean(area));
    field.ariaLabel = question ?? label;
    field.placeholder = area ? area.placeholder || say("yourAnswer") : this.#enter;
    const isHidden = only || (this.#cards.first() && field.value); // the placeholder
    words.textContent = question ?? (this.#gone || (isHidden ? this.#enter : ""));
    line.hidden = !words.textContent;
    button.hidden = !only && !area;
    button.innerHTML = area ? icon("close") : "";
    if (!area) button.textContent = say("answerHere");
    button.ariaLabel = area ? say("messageInstead") : null;
  }

  /** Have a text in the field, and its limit. */
  #fill(text) {
    if (this.card) delete field.dataset.most;
    else field.dataset.most = most;
    const limit = this.#area?.getAttribute("maxlength");
    if (limit) field.setAttribute("maxlength", limit);
    else field.removeAttribute("maxlength");
    field.value = text;
    field.closest("grow-text").fit?.();
  }
}

function questionOf(card) {
  return card.querySelector("h2").textContent.trim();
}
