// Loads earlier parts of the transcript when the person scrolls near its beginning.

import { say } from "../words.js";

const AHEAD = "100% 0px"; // begin to load when the rest above is one screen

const MOST_PRINTED = 10; // parts that are loaded for printing; the paper says if there are more

const older = document.getElementById("older");

/** Load earlier parts as the person scrolls; returns a function that loads the next part now. */
export function follow(transcript) {
  let isLoading = false;

  async function load() {
    const link = older.querySelector("[data-older]");
    if (!link || isLoading) return;
    isLoading = true;
    try {
      await transcript.older(link.dataset.older);
      // Observe again, since the beginning may still be near.
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
  addEventListener("beforeprint", () => {
    try {
      for (let count = 0; count < MOST_PRINTED && older.querySelector("a"); count += 1) {
        transcript.olderAtOnce(older.querySelector("a").dataset.older);
      }
    } catch {
      // The server is away, or nobody is signed in: print what is there.
    }
  });
  return load;
}
