// Replaces far-away chunks of a very long text by strings, to bound the number of nodes. Loaded for
// very long texts only.

const htmlOfChunk = new WeakMap();
const items = document.getElementById("items");
const nearness = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) (isIntersecting ? unshelve : shelve)(target);
  },
  { root: document.getElementById("scroller"), rootMargin: "200% 0px" },
);
addEventListener("beforeprint", () => items.querySelectorAll(".chunk:empty").forEach(unshelve));

/** Keep the chunk as a string whenever it is far from the view. */
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

/** Restore the nodes of the chunk. */
export function unshelve(chunk) {
  if (!htmlOfChunk.has(chunk)) return;
  chunk.innerHTML = htmlOfChunk.get(chunk);
  chunk.style.height = "";
  htmlOfChunk.delete(chunk);
}
