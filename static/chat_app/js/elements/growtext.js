// A text field that grows with its text, counts it where it has a limit, and sends on Enter.

const COARSE = matchMedia("(pointer: coarse)"); // a touch keyboard has no Shift+Enter
const NEAR_LIMIT = 0.8;

class GrowText extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector("textarea");
    this.counter = this.querySelector(".count");
    this.addEventListener("input", () => this.fit());
    this.field.addEventListener("keydown", (event) => this.key(event));
    this.fit();
  }

  /** Adapt to the text; call it after setting the text by script. */
  fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${this.field.scrollHeight + 2}px`;
    const most = this.field.maxLength;
    if (!this.counter || most < 0) return;
    const length = this.field.value.length;
    this.counter.textContent = length ? `${length} / ${most}` : "";
    this.counter.toggleAttribute("data-near", length > most * NEAR_LIMIT);
  }

  key(event) {
    // keyCode 229: a key that an input method editor takes, in browsers that do not say so else.
    const composing = event.isComposing || event.keyCode === 229;
    if (event.key !== "Enter" || event.shiftKey || composing || COARSE.matches) return;
    event.preventDefault();
    this.field.form.requestSubmit();
  }
}

customElements.define("grow-text", GrowText);
