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

let watched = null; // the card that is docked when its place is out of sight
let place = null; // where it is missing
let isDue = false;

scroller.addEventListener("scroll", look);
const sizes = new ResizeObserver(look);
for (const each of [scroller, document.getElementById("items")]) sizes.observe(each);

/** Dock this card, and no other, when its place is out of sight; null for none. */
export function watch(card) {
  if (watched !== card) set(false);
  watched = card;
  keepInSight(card);
  look();
}

/** Look where the place is, once before the next frame is drawn. */
function look() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    set(Boolean(watched?.isConnected) && isOutOfSight());
  });
}

/** Show the card at its place: its end, or its beginning if it is higher than what is seen. */
export function reveal(card) {
  if (card === watched) set(false);
  const [box, view] = boxes(card);
  // Of this scroller alone: `scrollIntoView` moves the whole page too, where it is short.
  newer.hidden = true; // this is what was new
  if (box.height > view.height || box.top < view.top) scroller.scrollTop += box.top - view.top;
  else if (box.bottom > view.bottom) scroller.scrollTop += box.bottom - view.bottom;
  if (!isAtEnd()) stayHere();
}

function boxes(card) {
  return [card.parentElement, scroller].map((each) => each.getBoundingClientRect());
}

function isOutOfSight() {
  const [box, view] = boxes(watched);
  const seen = Math.min(box.bottom, view.bottom) - Math.max(box.top, view.top);
  if (box.top < view.top) return seen < LEAST;
  // Where the docked card would cover its place, one takes the place of the other unseen.
  return seen < Math.min(box.height, short.matches ? LEAST : view.height * MOST) - 1;
}

function set(isDocked) {
  if (!watched) return;
  const fromEnd = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
  if (watched.hasAttribute("data-docked") !== isDocked) {
    if (isDocked) place = watched.parentElement; // which may lose it
    place.style.minHeight = isDocked ? `${place.offsetHeight}px` : "";
    watched.toggleAttribute("data-docked", isDocked);
  }
  // Each time, as a docked card is lower over a keyboard.
  stage.style.setProperty("--docked", isDocked ? `${watched.offsetHeight}px` : "0px");
  // Who was at the end stays there.
  if (isDocked && fromEnd < 1) scroller.scrollTop = scroller.scrollHeight;
}
