// Docks the open card at the bottom of the view while its place in the transcript is out of view.
// The element stays at its place in the document, and so keeps its typed text and the focus.

import { isAtEnd, keepInSight, stayHere, toEnd } from "./transcript/transcript.js";

const MOST = 0.6; // share of the view's height that a docked card has at most
const LEAST = 48; // px; a card leaving at the top is docked when fewer are visible

const scroller = document.getElementById("scroller");
const stage = document.getElementById("stage");
const newer = document.getElementById("newer");
const short = matchMedia("(max-height: 30rem)"); // screens on which a docked card is one line

let watched = null; // the card to dock while its place is out of view
let place = null; // the transcript item of the card, which keeps its height
let isDue = false;

scroller.addEventListener("scroll", look);
const sizes = new ResizeObserver(look);
for (const each of [scroller, document.getElementById("items")]) sizes.observe(each);

/** Dock this card, and no other, while its place is out of view; null for no card. */
export function watch(card) {
  if (watched !== card) set(false);
  watched = card;
  keepInSight(card);
  look();
}

/** Dock or undock the card, once before the next frame is drawn. */
function look() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    set(Boolean(watched?.isConnected) && isOutOfSight());
  });
}

/** Scroll to the card at its place: to its end, or to the top of a card higher than the view. */
export function reveal(card) {
  if (card === watched) set(false);
  const [box, view] = boxes(card);
  // Scroll only the transcript: `scrollIntoView` also moves the whole page on short screens.
  newer.hidden = true; // the card was the newer item
  if (box.height > view.height || box.top < view.top) scroller.scrollTop += box.top - view.top;
  else if (box.bottom > view.bottom) scroller.scrollTop += box.bottom - view.bottom;
  if (isAtEnd()) toEnd();
  else stayHere();
}

function boxes(card) {
  return [card.parentElement, scroller].map((each) => each.getBoundingClientRect());
}

function isOutOfSight() {
  const [box, view] = boxes(watched);
  const seen = Math.min(box.bottom, view.bottom) - Math.max(box.top, view.top);
  if (box.top < view.top) return seen < LEAST;
  // Switch where the docked card covers its own place exactly, so that nobody notices.
  return seen < Math.min(box.height, short.matches ? LEAST : view.height * MOST) - 1;
}

function set(isDocked) {
  if (!watched) return;
  const fromEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
  if (watched.hasAttribute("data-docked") !== isDocked) {
    if (isDocked) place = watched.parentElement; // kept, as the card may be removed
    place.style.minHeight = isDocked ? `${place.offsetHeight}px` : "";
    watched.toggleAttribute("data-docked", isDocked);
  }
  // Measured each time, as the height of a docked card shrinks above a phone's keyboard.
  stage.style.setProperty("--docked", isDocked ? `${watched.offsetHeight}px` : "0px");
  // A reader at the end stays at the end.
  if (isDocked && fromEnd < 1) scroller.scrollTop = scroller.scrollHeight;
}
