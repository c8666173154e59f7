// A text field that counts its text where it has a limit, and sends by the Enter key as its reader has
// chosen. The style sheet has it grow with its text.

const COARSE = matchMedia("(pointer: coarse)"); // a touch keyboard has no Shift+Enter
const BREAKS = document.documentElement.dataset.enter === "breaks";
const NEAR_LIMIT = 0.8;

// A key that an input method editor takes is no key of the page, wherever the page listens.
// keyCode 229: in browsers that do not say so else.
addEventListener(
  "keydown",
  (event) => (event.isComposing || event.keyCode === 229) && event.stopPropagation(),
  true,
);

/** The length in characters as the server counts them: an emoji is one. */
export function lengthOf(text) {
  return [...text].length;
}

class GrowText extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector("textarea");
    this.counter = this.querySelector(".count");
    this.addEventListener("input", () => this.fit());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.fit();
  }

  /** Count the text; call it after setting the text by script. */
  fit() {
    const most = this.most;
    if (!this.counter || most < 0) return;
    const length = lengthOf(this.field.value);
    const near = length > most * NEAR_LIMIT;
    // A field that stops nobody at its limit says how near it is, and else nothing.
    const isShown = this.field.maxLength < 0 ? near : length;
    this.counter.textContent = isShown ? `${length} / ${most}` : "";
    this.counter.toggleAttribute("data-near", near);
  }

  /** How many characters are taken; -1 where nobody said. */
  get most() {
    return Number(this.field.dataset.most ?? this.field.maxLength);
  }

  key(event) {
    if (event.key !== "Enter") return;
    const isMeant = event.ctrlKey || event.metaKey;
    if (!isMeant && (BREAKS || event.shiftKey || COARSE.matches)) return;
    event.preventDefault();
    this.field.form.requestSubmit();
  }
}

customElements.define("grow-text", GrowText);
