// A question stands at its place in the transcript. While that is out of sight, its card is docked
// at the end of what is seen. The element stays where it is in the document: what is typed into it,
// and where the focus is, stays too.

import { stayHere } from "./transcript/transcript.js";

const MOST = 0.6; // of the height of what is seen
const LEAST = 48; // px of a card that goes out at the top: its buttons are seen until then

const scroller = document.getElementById("scroller");
const stage = document.getElementById("stage");
const newer = document.getElementById("newer");
const short = matchMedia("(max-height: 30rem)"); // there it is docked as a line, by the style sheet

export class Docking {
  #card = null;
  #isDue = false;
  #revealed = null; // the card that is kept in sight until the person scrolls
  #scene = []; // the sizes and the place when it was revealed last

  constructor() {
    const scrolled = () => {
      const [height, seen, at] = this.#scene;
      const moved = Math.abs(scroller.scrollTop - at);
      const isSame = scroller.scrollHeight === height && scroller.clientHeight === seen;
      // Where a size has changed it may be the browser that scrolls, which it does not do far.
      if (moved > (isSame ? 1 : seen)) this.#revealed = null;
      this.look();
    };
    scroller.addEventListener("scroll", scrolled, { passive: true });
    const sizes = new ResizeObserver(() => {
      if (this.#revealed?.isConnected) this.reveal(this.#revealed);
      this.look();
    });
    for (const each of [scroller, document.getElementById("items")]) sizes.observe(each);
  }

  /** The card that is docked when its place is out of sight; null for none. */
  watch(card) {
    if (this.#card !== card) this.#set(false);
    this.#card = card;
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

  /** Show the card at its place: its end, or its beginning if that would be out of sight. */
  reveal(card) {
    if (card === this.#card) this.#set(false);
    const place = card.parentElement.getBoundingClientRect();
    const view = scroller.getBoundingClientRect();
    const end = view.top - scroller.scrollTop + scroller.scrollHeight;
    // Of this scroller alone: `scrollIntoView` moves the whole page too, where it is short.
    if (end - place.top > view.height) stayHere(); // at its end the title is out of sight
    newer.hidden = true; // this is what was new
    const isHigh = place.height > view.height;
    if (isHigh || place.top < view.top) scroller.scrollTop += place.top - view.top;
    else if (place.bottom > view.bottom) scroller.scrollTop += place.bottom - view.bottom;
    this.#revealed = card;
    this.#scene = [scroller.scrollHeight, scroller.clientHeight, scroller.scrollTop];
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
    const place = card.parentElement;
    place.style.minHeight = isDocked ? `${place.offsetHeight}px` : "";
    card.toggleAttribute("data-docked", isDocked);
    const room = isDocked ? `${card.offsetHeight}px` : "0px";
    stage.style.setProperty("--docked", room);
    // Who was at the end stays there.
    if (isDocked && fromEnd < 1) scroller.scrollTop = scroller.scrollHeight;
  }
}
