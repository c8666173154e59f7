// The parts of the transcript before this one: they are loaded when the person comes near them.

import { say } from "../words.js";

const AHEAD = "100% 0px"; // of what is seen: a screen

const older = document.getElementById("older");

/** Load them into the transcript; returns what loads the next ones now. */
export function follow(transcript) {
  let isLoading = false;

  async function load() {
    const link = older.querySelector("[data-older]");
    if (!link || isLoading) return;
    isLoading = true;
    try {
      await transcript.older(link.dataset.older);
      // It tells anew whether the beginning is near: it may be still.
      near.unobserve(older);
      near.observe(older);
    } catch {
      document.getElementById("alert").textContent = say("olderFailed");
    }
    isLoading = false;
  }

  const near = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && load(), {
    root: document.getElementById("scroller"),
    rootMargin: AHEAD,
  });
  near.observe(older);
  return load;
}
