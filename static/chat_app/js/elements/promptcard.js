// The card of a question, which keeps a draft, sends the answer, and shows the server's reply.

import { controls, Draft, isChanged } from "../forms.js";
import { newId } from "../connection.js";
import { say } from "../words.js";
import { addOffsets, localTime, showZone } from "../zones.js";

// Milliseconds in which a card that opens ignores clicks: the second click of a double click on the
// previous card, or a click aimed at something that has moved, must not approve anything.
export const GRACE = 400;
const TAKEN = new Set(["accepted", "duplicate", "voted"]);
const STILL_ASKED = new Set([undefined, "claimed", "voted"]);
const WRITTEN = /^(value|note|f-.*)$/; // names of the fields for the answer

/**
 * Event of the document: `answered` (detail `{card, outcome, isTaken, reason}`), when the server has
 * replied to an answer; the card may be gone by then.
 */
export class PromptCard extends HTMLElement {
  /** The outbox of the page, which sends the answers. */
  static outbox = null;

  draft = null;
  isSending = false; // the answer is on its way
  #waits = false; // the server has the answer, but the page does not show the outcome yet
  #kind = null; // the module formcard.js, if needed
  #fresh = 0; // running timers, during which clicks are ignored
  #isEarly = false; // the last press of a button began while clicks were ignored
  #progress = "";
  #problem = "";
  #late = ""; // an answer that came too late
  #isDrawn = false; // the server has rendered the card again since an answer was sent

  constructor() {
    super();
    this.addEventListener("submit", (event) => {
      const counts = !(this.#fresh || this.#isEarly);
      if (counts && this.#isForm && !this.#kind) return; // without the module, the browser submits
      event.preventDefault();
      if (counts) this.answer(event.submitter);
    });
    for (const type of ["pointerdown", "keydown"]) this.addEventListener(type, this.#press);
    this.addEventListener("input", () => this.#keep());
    this.addEventListener("formdata", ({ target, formData }) => addOffsets(target, formData));
  }

  connectedCallback() {
    if (this.draft) return; // the card was only moved
    showZone(this);
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

  /** True from sending an answer until the page shows the outcome. */
  get isBusy() {
    return this.isSending || this.#waits;
  }

  /** True if the person has changed a field of the card. */
  get isTouched() {
    return controls(this).some(isChanged);
  }

  /** The answer as a text for people. */
  get given() {
    return (this.#kind?.given ?? given)(this);
  }

  /** The text of an answer that was not used; "" if there is none. */
  get unused() {
    return this.#late || (!this.isBusy && this.isTouched && this.given) || "";
  }

  /** Send the answer; resolves to whether the server has dealt with it, even as too late. */
  async answer(submitter) {
    if (this.isBusy) return false;
    const form = this.querySelector("form");
    const body = new FormData(form, submitter);
    body.set("answer_id", newId());
    this.isSending = true;
    this.#isDrawn = false;
    this.#problem = "";
    const said = await PromptCard.outbox.post(form, body, (words) => this.#show(words));
    const { outcome, reason, error, errors } = said;
    const isTaken = TAKEN.has(outcome);
    this.isSending = false;
    this.#waits = !STILL_ASKED.has(outcome) && (isTaken || !this.#isDrawn);
    if (!outcome) this.#problem = this.#kind?.refuse(this, error, errors) ?? error;
    else if (outcome === "claimed") this.#problem = reason;
    else if (!isTaken) this.#late = this.given || submitter?.textContent.trim();
    if (isTaken) this.draft.save(null);
    if (outcome === "voted") form.reset();
    this.#show(outcome === "voted" ? say("voted") : "");
    const detail = { card: this, outcome, isTaken, reason };
    if (outcome) document.dispatchEvent(new CustomEvent("answered", { detail }));
    return Boolean(outcome) && outcome !== "claimed";
  }

  /** Ignore clicks for a moment. */
  grace() {
    this.#fresh += 1;
    this.#show();
    setTimeout(() => {
      this.#fresh -= 1;
      this.#show();
    }, GRACE);
  }

  /** Note a press of a button. One that begins while the card is new does not count, and the card
   * stays new until nobody has pressed for a moment: what was aimed at has gone. */
  #press({ target, repeat }) {
    if (!target.closest(".buttons button") || repeat) return;
    this.#isEarly = this.#fresh > 0;
    if (this.#isEarly) this.grace();
  }

  /** Update the card after the server has rendered it again; the question still waits. */
  drawn() {
    this.#isDrawn = true;
    showZone(this);
    if (this.#late) {
      this.#waits = false;
      this.after(this.note());
    }
    this.#kind?.mark(this);
    this.querySelector("grow-text")?.fit?.();
    this.grace(); // the text may have changed
  }

  /** Return a note with an answer that was not used. */
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
      if (place.textContent !== text) place.textContent = text; // else it would be read aloud again
    }
    this.toggleAttribute("aria-busy", this.isBusy);
    for (const button of this.querySelectorAll(".buttons button")) {
      button.disabled = this.isBusy;
      // Not `disabled`, which would hide a press that begins now and ends later.
      button.ariaDisabled = this.#fresh > 0 ? "true" : null;
    }
  }

  #load() {
    const again = () => this.addEventListener("focusin", () => this.#load(), { once: true });
    import("./formcard.js").then((kind) => {
      this.#kind = kind;
      this.#keep(); // text may have been typed before the module was loaded
    }, again); // if loading fails, try again when the card is focused
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
    } else if (own.length && control.type === "datetime-local") control.value = localTime(own[0]);
    else if (own.length && control.type !== "file") [control.value] = own;
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
