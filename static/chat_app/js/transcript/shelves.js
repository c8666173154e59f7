// Holds as strings what is far above in a text of hours, whose nodes would grow without end. Loaded
// for such a text only.

const htmlOfChunk = new WeakMap();
const items = document.getElementById("items");
const nearness = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) (isIntersecting ? unshelve : shelve)(target);
  },
  { root: document.getElementById("scroller"), rootMargin: "200% 0px" },
);
addEventListener("beforeprint", () => items.querySelectorAll(".chunk:empty").forEach(unshelve));

/** Shelve the chunk whenever it is far from what the person sees. */
export function shelveWhenFar(chunk) {
  nearness.observe(chunk);
}

function shelve(chunk) {
  const isUsed = chunk.contains(document.activeElement) || getSelection().containsNode(chunk, true);
  if (isUsed || htmlOfChunk.has(chunk)) return;
  chunk.style.height = `${chunk.offsetHeight}px`;
  htmlOfChunk.set(chunk, chunk.innerHTML);
  chunk.replaceChildren();
}

/** Bring back what the chunk had. */
export function unshelve(chunk) {
  if (!htmlOfChunk.has(chunk)) return;
  chunk.innerHTML = htmlOfChunk.get(chunk);
  chunk.style.height = "";
  htmlOfChunk.delete(chunk);
}
