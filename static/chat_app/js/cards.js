// Prompt cards in the dock: answering, and what becomes of a card when its question is settled.

import { Draft } from "./drafts.js";
import { newId } from "./ids.js";
import { say } from "./words.js";

// A card that appears takes no click for so long: the second click of a double click on the card
// before it, or one aimed at what was there a moment ago, must not approve anything.
const GRACE = 400;

const main = document.getElementById("chat");
const dock = document.getElementById("dock");

export class Cards extends EventTarget {
  #outbox;
  #connection;

  /** Events: `settled` (an answer was taken, or came too late), `asked` (detail: the question). */
  constructor(connection, outbox) {
    super();
    this.#connection = connection;
    this.#outbox = outbox;
    dock.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#answer(event.target.closest("prompt-card"), event.target, event.submitter);
    });
    dock.addEventListener("click", (event) => {
      if (event.target.matches("[data-dismiss]")) this.#remove(event.target.closest("prompt-card"));
    });
    connection.addEventListener("state", () => this.#showProgress());
    for (const card of dock.children) this.#begin(card);
  }

  /** The question that has waited longest. */
  first() {
    return dock.querySelector("prompt-card:not([data-settled]) h2");
  }

  /** Take what the server says is pending. A card that is there already stays as it is. */
  update(part) {
    const pending = [...part.children];
    const ids = new Set(pending.map((card) => card.id));
    for (const card of [...dock.children]) {
      if (!ids.has(card.id) && !card.hasAttribute("data-settled")) this.#settled(card);
    }
    for (const card of dock.querySelectorAll("[data-settled]")) describe(card);
    for (const card of pending) {
      const old = document.getElementById(card.id);
      if (old && (old.dataset.version === card.dataset.version || isTouched(old))) continue;
      if (old) old.replaceWith(card);
      else place(card);
      this.#begin(card);
      this.#grace(card);
      const question = card.querySelector("h2").textContent;
      this.dispatchEvent(new CustomEvent("asked", { detail: question }));
    }
  }

  #begin(card) {
    const field = card.querySelector("textarea");
    if (!field) return;
    card.draft = new Draft("answer", card.dataset.interaction);
    const kept = card.draft.load();
    if (kept && !field.value) field.value = kept;
    card.querySelector("grow-text").fit?.();
    field.addEventListener("input", () => card.draft.save(field.value));
  }

  #grace(card) {
    card.fresh = true;
    this.#showProgress();
    setTimeout(() => {
      card.fresh = false;
      this.#showProgress();
    }, GRACE);
  }

  async #answer(card, form, submitter) {
    if (card.sending || card.fresh || card.hasAttribute("data-settled")) return;
    const given = read(form, submitter);
    const problem = form.querySelector(".error");
    problem.textContent = given ? "" : say("noAnswerYet");
    if (!given) return;
    card.sending = newId();
    this.#showProgress();
    const word = await this.#outbox.deliver(frame(card, given));
    card.sending = null;
    this.#showProgress();
    if (word?.type === "error_message") problem.textContent = word.content.message;
    else if (word) this.#acknowledged(card, word);
  }

  #acknowledged(card, word) {
    const taken = word.outcome === "accepted" || word.outcome === "duplicate";
    if (taken) this.#remove(card);
    else {
      if (!card.isConnected) place(card);
      this.#settled(card);
    }
    this.dispatchEvent(new Event("settled"));
  }

  /** The question is settled, not by this card: what was typed here stays to be read. */
  #settled(card) {
    // Perhaps by the answer that is under way; if not, the server's word on that brings it back.
    if (card.sending) return this.#detach(card);
    if (!isTouched(card)) return this.#remove(card);
    card.setAttribute("data-settled", "");
    const note = document.getElementById("stale").content.firstElementChild.cloneNode(true);
    card.prepend(note);
    describe(card);
    for (const control of card.querySelectorAll("form button, form input, form select")) {
      control.disabled = true;
    }
    const field = card.querySelector("form textarea");
    if (field) field.readOnly = true;
  }

  #remove(card) {
    card.draft?.save(null);
    this.#detach(card);
  }

  #detach(card) {
    const hadFocus = card.contains(document.activeElement);
    card.remove();
    if (!hadFocus) return;
    // Whoever pressed a button here would else be thrown back to the top of the page. On a touch
    // screen the field would bring up the keyboard.
    const rest = matchMedia("(pointer: fine)").matches ? "text" : "scroller";
    (this.first() ?? document.getElementById(rest)).focus({ preventScroll: true });
  }

  #showProgress() {
    for (const card of dock.querySelectorAll("prompt-card:not([data-settled])")) {
      const key = this.#connection.isOpen ? "sending" : "willSend";
      card.querySelector(".progress").textContent = card.sending ? say(key) : "";
      card.toggleAttribute("aria-busy", Boolean(card.sending));
      const isClosed = Boolean(card.sending || card.fresh);
      for (const button of card.querySelectorAll("button")) button.disabled = isClosed;
    }
  }
}

/** Say on a card that came too late what its question came to: the transcript knows. */
function describe(card) {
  const item = document.querySelector(
    `#items [data-interaction="${CSS.escape(card.dataset.interaction)}"]`,
  );
  const outcome = item?.querySelector(".outcome")?.textContent.trim() ?? "";
  const who = item?.querySelector(".who")?.textContent.trim() ?? "";
  const text = outcome ? say("settledAs", { outcome, who }) : say("settled");
  card.querySelector(".stale p").textContent = text;
}

function place(card) {
  const first = Number(card.dataset.first);
  const next = [...dock.children].find((each) => Number(each.dataset.first) > first);
  dock.insertBefore(card, next ?? null);
}

/** Whether somebody has begun to answer here. */
function isTouched(card) {
  const isChosen = [...card.querySelectorAll("input")].some(
    (input) => input.type !== "hidden" && input.checked !== input.defaultChecked,
  );
  return (
    isChosen ||
    Boolean(card.querySelector("textarea")?.value || card.querySelector("select")?.value)
  );
}

/** The answer in a card's form: `{text}` or `{values}`; null while there is none. */
function read(form, submitter) {
  const data = new FormData(form);
  if (data.has("several")) return { values: data.getAll("value") };
  const text = submitter?.name === "value" ? submitter.value : data.get("value");
  const isRequired = form.dataset.type !== "text" || form.querySelector("textarea").required;
  return text == null || (isRequired && !text.trim()) ? null : { text };
}

function frame(card, { text, values }) {
  const id = card.dataset.interaction;
  const shown = text ?? values.join(", ");
  return {
    type: "user_interaction_message",
    id: card.sending,
    thread_id: id,
    interaction_id: id,
    conversation_id: main.dataset.conversation,
    version: Number(card.dataset.version),
    ...(values && { values }),
    content: { messages: [{ role: "user", content: [{ type: "text", text: shown }] }] },
  };
}
