// The card of a question: what is typed there and kept, its answer on the way, and what the server
// says of that.

import { controls, Draft, isChanged } from "../forms.js";
import { newId } from "../connection.js";
import { say } from "../words.js";

// A card that opens takes no click for so long: the second click of a double click on the card
// before it, or one aimed at what was there a moment ago, must not approve anything.
const GRACE = 400;
const TAKEN = new Set(["accepted", "duplicate", "voted"]);
const STILL_ASKED = new Set([undefined, "claimed", "voted"]);
const WRITTEN = /^(value|note|f-.*)$/; // the names of its fields

/**
 * Events of the document: `answered` (detail `{card, outcome, isTaken, by}`): the server has the
 * answer of a card, which may have gone by then.
 */
export class PromptCard extends HTMLElement {
  /** The page's, by which answers go. */
  static outbox = null;

  draft = null;
  isSending = false; // the answer is on its way
  #waits = false; // the server has it, and the page does not show yet what came of it
  #kind = null; // the module of forms
  #fresh = 0; // reasons to take no click now
  #progress = "";
  #problem = "";
  #late = ""; // the answer that the server does not use
  #isDrawn = false; // anew, since an answer was sent

  constructor() {
    super();
    this.addEventListener("submit", (event) => {
      if (this.#isForm && !this.#kind) return; // then the browser sends it
      event.preventDefault();
      if (!this.#fresh) this.answer(event.submitter);
    });
    this.addEventListener("input", () => this.#keep());
  }

  connectedCallback() {
    if (this.draft) return; // it has moved
    this.draft = new Draft("answer", this.dataset.interaction);
    this.#problem = this.querySelector(".error").textContent;
    const kept = this.draft.load();
    if (Array.isArray(kept) && !this.isTouched) fill(this, kept);
    this.querySelector("grow-text")?.fit?.();
    if (this.#isForm) this.#load();
  }

  get #isForm() {
    return this.querySelector("form").dataset.type === "form";
  }

  /** Whether an answer was given here, and the page does not show yet what came of it. */
  get isBusy() {
    return this.isSending || this.#waits;
  }

  /** Whether somebody has begun to answer here. */
  get isTouched() {
    return controls(this).some(isChanged);
  }

  /** What is given, as people read it. */
  get given() {
    return (this.#kind?.given ?? given)(this);
  }

  /** What was given here and is not used. */
  get unused() {
    return this.#late || (!this.isBusy && this.isTouched && this.given) || "";
  }

  /** Send what is given; resolves to whether the server has it. */
  async answer(submitter) {
    if (this.isBusy) return false;
    const form = this.querySelector("form");
    const body = new FormData(form, submitter);
    body.set("answer_id", newId());
    this.isSending = true;
    this.#isDrawn = false;
    this.#problem = "";
    const said = await PromptCard.outbox.post(form, body, (words) => this.#show(words));
    const { outcome, by, error, errors } = said;
    const isTaken = TAKEN.has(outcome);
    this.isSending = false;
    this.#waits = !STILL_ASKED.has(outcome) && (isTaken || !this.#isDrawn);
    if (!outcome) this.#problem = this.#kind?.refuse(this, error, errors) ?? error;
    else if (outcome === "claimed") this.#problem = say("claimedBy", { name: by });
    else if (!isTaken) this.#late = this.given || submitter?.textContent.trim();
    if (isTaken) this.draft.save(null);
    if (outcome === "voted") form.reset();
    this.#show(outcome === "voted" ? say("voted") : "");
    const detail = { card: this, outcome, isTaken, by };
    if (outcome) document.dispatchEvent(new CustomEvent("answered", { detail }));
    return Boolean(outcome) && outcome !== "claimed";
  }

  /** Take no click for a moment. */
  grace() {
    this.#fresh += 1;
    this.#show();
    setTimeout(() => {
      this.#fresh -= 1;
      this.#show();
    }, GRACE);
  }

  /** The server has drawn the question anew, which still waits. */
  drawn() {
    this.#isDrawn = true;
    if (this.#late) {
      this.#waits = false;
      this.after(this.note());
    }
    this.#kind?.mark(this);
    this.querySelector("grow-text")?.fit?.();
    this.grace(); // it may say something else now
  }

  /** A note of what was given here and is not used. */
  note(text = this.unused, why = "") {
    const note = document.getElementById("stale").content.firstElementChild.cloneNode(true);
    note.querySelector(".why").textContent = why;
    note.querySelector(".given").textContent = text;
    note.querySelector("[data-dismiss]").addEventListener("click", () => this.draft.save(null));
    this.#late = "";
    return note;
  }

  #keep() {
    const entries = [...new FormData(this.querySelector("form"))].filter(isWritten);
    this.draft.save(this.isTouched ? entries : null);
    this.#kind?.mark(this);
  }

  #show(words = this.#progress) {
    this.#progress = words;
    const texts = { ".progress": words, ".error": this.#problem };
    for (const [name, text] of Object.entries(texts)) {
      const place = this.querySelector(name);
      if (place.textContent !== text) place.textContent = text; // else it is said again
    }
    this.toggleAttribute("aria-busy", this.isBusy);
    const isClosed = this.isBusy || this.#fresh > 0;
    for (const button of this.querySelectorAll(".buttons button")) button.disabled = isClosed;
  }

  #load() {
    const again = () => this.addEventListener("focusin", () => this.#load(), { once: true });
    import("./formcard.js").then((kind) => {
      this.#kind = kind;
      this.#keep(); // what was typed before this was loaded
    }, again); // it did not come: once more when somebody is here
  }
}

function isWritten([name, value]) {
  return WRITTEN.test(name) && typeof value === "string";
}

function fill(card, kept) {
  for (const control of controls(card).filter(({ name }) => WRITTEN.test(name))) {
    const own = kept.filter(([name]) => name === control.name).map(([, value]) => value);
    if (control.matches("[type=checkbox], [type=radio]")) {
      control.checked = own.includes(control.value);
    } else if (control.matches("select")) {
      for (const option of control.options) option.selected = own.includes(option.value);
    } else if (own.length && control.type !== "file") [control.value] = own;
  }
  const reason = card.querySelector(".reason");
  if (reason?.querySelector("textarea").value) reason.open = true;
}

function given(card) {
  const chosen = [...card.querySelectorAll("input:checked ~ span")].map((each) =>
    each.firstChild.textContent.trim(),
  );
  const option = card.querySelector("select")?.selectedOptions[0]?.textContent.trim();
  const text = card.querySelector("textarea[name=value]")?.value ?? option ?? chosen.join(", ");
  const note = card.querySelector("[name=note]")?.value;
  return [text, note].filter(Boolean).join(" – ");
}

customElements.define("prompt-card", PromptCard);
