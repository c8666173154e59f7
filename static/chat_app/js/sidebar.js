// The list of conversations, kept up to date.

import { morphChildren } from "./morph.js";
import { ask } from "./person.js";

const EVERY = 20_000;
const SOON = 300;

const main = document.getElementById("chat");
const list = document.getElementById("list");
const search = document.querySelector("#sidebar [name=q]");
const rows = () => import("./elements/rows.js");

/** Return the entry of the conversation that this page shows. */
function current() {
  return list.querySelector("[aria-current]");
}

function showCurrent() {
  current()?.scrollIntoView({ block: "nearest" });
}

/** Return whether the current entry is out of view, because the person looks at other entries. */
function isCurrentAway() {
  const [entry, shown] = [current(), list].map((each) => each?.getBoundingClientRect());
  return Boolean(entry && (entry.bottom < shown.top || entry.top > shown.bottom));
}

/** Events: `renamed` (the title of the page may have changed). */
export class Sidebar extends EventTarget {
  #timer = 0;
  #show = 0;
  #loading = new AbortController();

  constructor() {
    super();
    search.addEventListener("input", () => this.refresh());
    search.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.refresh();
    });
    list.addEventListener("click", async (event) => {
      const link = event.target.closest("[data-more], [data-rename]");
      if (!link) return;
      event.preventDefault();
      if ("rename" in link.dataset) return (await rows()).rename(link, () => this.refresh());
      this.#show = link.dataset.more;
      this.refresh();
    });
    document.getElementById("menu").addEventListener("submit", async (event) => {
      const { submitter } = event;
      // Let the browser submit the deletion of this page's conversation: the next page confirms it.
      if (submitter.closest("li").querySelector("[aria-current]")) return;
      event.preventDefault();
      (await rows()).remove(submitter, () => this.refresh());
    });
    // On a small screen, the list cannot scroll before the drawer is opened.
    list.parentElement.addEventListener("toggle", showCurrent);
    showCurrent();
    setInterval(() => document.hidden || this.refresh(), EVERY);
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
  }

  /** The number of the person's waiting questions when the server rendered the list. */
  get waiting() {
    return Number(list.querySelector("[data-waiting]").dataset.waiting);
  }

  refresh() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), SOON);
  }

  async #load() {
    const query = new URLSearchParams({
      q: search.value,
      show: this.#show,
      current: main.dataset.conversation,
    });
    this.#loading.abort(); // an older reply must not replace a newer one
    this.#loading = new AbortController();
    const options = { headers: { "X-Background": "1" }, signal: this.#loading.signal };
    try {
      const response = await ask(`${main.dataset.list}?${query}`, options);
      if (!response.ok || response.redirected) return;
      this.#replace(await response.text());
    } catch {
      // The request failed; the timer loads the list again.
    }
    // The conversation may have been renamed in another tab.
    const title = current()?.querySelector(".title").textContent;
    if (title) document.getElementById("title").textContent = title;
    this.dispatchEvent(new Event("renamed"));
  }

  #replace(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").body;
    if (list.querySelector("input")) return; // the person is editing a title
    const isAway = isCurrentAway();
    morphChildren(list, fresh);
    if (!isAway) showCurrent();
  }
}
