// A question stands at its place in the transcript. While that is out of sight, its card is docked
// at the end of what is seen. The element stays where it is in the document: what is typed into it,
// and where the focus is, stays too.

import { isAtEnd, keepInSight, stayHere } from "./transcript/transcript.js";

const MOST = 0.6; // of the height of what is seen
const LEAST = 48; // px of a card that goes out at the top: its buttons are seen until then

const scroller = document.getElementById("scroller");
const stage = document.getElementById("stage");
const newer = document.getElementById("newer");
const short = matchMedia("(max-height: 30rem)"); // there it is docked as a line, by the style sheet

export class Docking {
  #card = null;
  #place = null; // where it is missing
  #isDue = false;

  constructor() {
    scroller.addEventListener("scroll", () => this.look(), { passive: true });
    const sizes = new ResizeObserver(() => this.look());
    for (const each of [scroller, document.getElementById("items")]) sizes.observe(each);
  }

  /** The card that is docked when its place is out of sight; null for none. */
  watch(card) {
    if (this.#card !== card) this.#set(false);
    this.#card = card;
    keepInSight(card);
    this.look();
  }

  /** Look where the place is, once before the next frame is drawn. */
  look() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#set(Boolean(this.#card?.isConnected) && this.#isOutOfSight());
    });
  }

  /** Show the card at its place: its end, or its beginning if it is higher than what is seen. */
  reveal(card) {
    if (card === this.#card) this.#set(false);
    const place = card.parentElement.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    const isHigh = place.height > view.height;
    // Of this scroller alone: `scrollIntoView` moves the whole page too, where it is short.
    newer.hidden = true; // this is what was new
    if (isHigh || place.top < view.top) scroller.scrollTop += place.top - view.top;
    else if (place.bottom > view.bottom) scroller.scrollTop += place.bottom - view.bottom;
    if (!isAtEnd()) stayHere();
  }

  #isOutOfSight() {
    const place = this.#card.parentElement.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    const seen = Math.min(place.bottom, view.bottom) - Math.max(place.top, view.top);
    if (place.top < view.top) return seen < LEAST;
    // Where the docked card would cover its place, one takes the place of the other unseen.
    return seen < Math.min(place.height, short.matches ? LEAST : view.height * MOST) - 1;
  }

  #set(isDocked) {
    const card = this.#card;
    if (!card || card.hasAttribute("data-docked") === isDocked) return;
    const fromEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
    if (isDocked) this.#place = card.parentElement; // which may lose it
    this.#place.style.minHeight = isDocked ? `${this.#place.offsetHeight}px` : "";
    card.toggleAttribute("data-docked", isDocked);
    const room = isDocked ? `${card.offsetHeight}px` : "0px";
    stage.style.setProperty("--docked", room);
    // Who was at the end stays there.
    if (isDocked && fromEnd < 1) scroller.scrollTop = scroller.scrollHeight;
  }
}
