// The message field while a question waits. A single question that takes a text is answered in the
// field, which mirrors the text of the card: same draft, same checks, same outcome. Else a line
// tells what Enter does. An unsent message is kept meanwhile. Loaded with the first question.

import { alert, announce, icon, say } from "./words.js";

// Milliseconds after a question has gone in which Enter sends nothing: the text was its answer.
const GRACE = 1000;

const scroller = document.getElementById("scroller");
const field = document.getElementById("text");
const line = document.getElementById("answering");
const [words, button] = line.children;
const { most } = field.dataset;
const label = field.ariaLabel;

export class Answering {
  card = null; // the card whose answer is in the field; null while the field has a message
  message = ""; // the unsent message, kept while the field has an answer
  #cards;
  #isFree;
  #enter = field.placeholder;
  #declined = null; // id of the question during which the person writes a message
  #gone = ""; // a text that tells of a question that went while its answer was being typed
  #goneAt = 0;

  /** @param isFree returns whether a question may use the field: no message has been begun */
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

  /** True for a moment after the question of the answer in the field has gone. */
  get isAstray() {
    return Date.now() - this.#goneAt < GRACE;
  }

  /** Set the words for what sending a message would do now. */
  enter(text) {
    this.#enter = text;
    this.follow();
  }

  /** Copy the text of the field to the card. */
  copy() {
    this.#area.value = field.value;
    this.#area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** Send the answer through the card. Returns the reason of a refusal; "" if there is none. */
  async send() {
    const { card } = this;
    if (await card.answer()) {
      if (this.card === card) this.decline();
      return "";
    }
    return card.querySelector(".error").textContent;
  }

  /** Use the field for a message instead; the typed answer stays on its card. */
  decline() {
    this.#declined = this.card?.id;
    this.leave();
    this.follow();
    announce(field.placeholder);
  }

  /** Show the unsent message in the field again. */
  leave() {
    this.#gone = "";
    if (!this.card) return;
    this.card = null;
    this.#fill(this.message);
  }

  /** After questions have come or gone: let the only one use the field, or free the field. */
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

  /** React to the removal of the card; the card itself keeps an answer that was not used. */
  #lose() {
    const { card } = this;
    const again = document.getElementById(card.id); // the same question, rendered again
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
    const isHidden = only || (this.#cards.first() && field.value); // nobody sees the placeholder
    words.textContent = question ?? (this.#gone || (isHidden ? this.#enter : ""));
    line.hidden = !words.textContent;
    button.hidden = !only && !area;
    button.innerHTML = area ? icon("close") : "";
    if (!area) button.textContent = say("answerHere");
    button.ariaLabel = area ? say("messageInstead") : null;
  }

  /** Set the text of the field, and the limit of the answer or message. */
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
