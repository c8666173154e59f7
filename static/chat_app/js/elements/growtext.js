// A text field that counts characters if there is a limit, and sends by Enter if the person prefers
// that. The style sheet makes the field grow with its text.

const COARSE = matchMedia("(pointer: coarse)"); // a touch keyboard has no Shift+Enter
const BREAKS = document.documentElement.dataset.enter === "breaks";
const NEAR_LIMIT = 0.8;

// Hide the keys of an input method editor from all listeners of the page. Some browsers mark such
// keys only by keyCode 229.
addEventListener(
  "keydown",
  (event) => (event.isComposing || event.keyCode === 229) && event.stopPropagation(),
  true,
);

/** Return the length in characters as the server counts: an emoji is one. */
export function lengthOf(text) {
  return [...text].length;
}

class GrowText extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector("textarea");
    this.counter = this.querySelector(".count");
    this.addEventListener("input", () => this.fit());
    this.hint();
    COARSE.addEventListener("change", () => this.hint());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.fit();
  }

  /** Show the length of the text; call this after setting the text by script. */
  fit() {
    const most = this.most;
    if (!this.counter || most < 0) return;
    const length = lengthOf(this.field.value);
    const near = length > most * NEAR_LIMIT;
    // A field that accepts text beyond its limit shows the count only near the limit.
    const isShown = this.field.maxLength < 0 ? near : length;
    this.counter.textContent = isShown ? `${length} / ${most}` : "";
    this.counter.toggleAttribute("data-near", near);
  }

  /** Have a touch keyboard name what its Enter key does. */
  hint() {
    this.field.enterKeyHint = BREAKS || COARSE.matches ? "enter" : "send";
  }

  /** The limit in characters; -1 if there is none. */
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
