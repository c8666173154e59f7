// The states of the runs in words, and what is news to who does not see them.

import { morphChildren } from "./morph.js";
import { alert, announce, counted, say, sayState } from "./words.js";

const QUIET = 20_000;

const runs = document.getElementById("state");
const title = document.getElementById("title");
const main = document.getElementById("chat");
const icon = document.querySelector("link[rel=icon]");
const plainIcon = icon?.getAttribute("href");

export class Status {
  #connection;
  #heard = Date.now();
  #waiting = 0;
  #run = runs.querySelector(".run").dataset.name;

  constructor(connection) {
    this.#connection = connection;
    sayState(connection);
    connection.addEventListener("frame", ({ detail: frame }) => {
      // An answer to a ping shows that the connection holds; it is no news of the work.
      if (Number.isInteger(frame.sequence)) this.#heard = Date.now();
    });
    setInterval(() => this.#showNews(), 1000);
  }

  /** Take the server's words on the runs. */
  update(part) {
    morphChildren(runs, part);
    const name = runs.querySelector(".run").dataset.name;
    if (name !== this.#run) this.#announceRun(name);
    this.#run = name;
    this.#showNews();
  }

  /** The page's title and its icon, with how many questions wait. */
  showWaiting(waiting = this.#waiting) {
    this.#waiting = waiting;
    document.querySelector("#inbox b").textContent = counted(waiting);
    const text = title.textContent;
    icon?.setAttribute("href", waiting ? main.dataset.needsYouIcon : plainIcon);
    document.title = waiting ? `(${counted(waiting)}) ${say("needsYou")} – ${text}` : text;
  }

  #announceRun(name) {
    if (name === "working" || name === "queued") announce(say("working"));
    else if (name === "completed") announce(say("complete", { words: wordsOfAnswer() }));
    else if (name === "cancelled") announce(say("stopped"));
    else if (name === "failed" || name === "suspended") alert(say("failed"));
  }

  #showNews() {
    const news = runs.querySelector(".news");
    const seconds = Math.floor((Date.now() - this.#heard) / 1000);
    const isExpected = ["working", "queued", "stopping"].includes(this.#run);
    let text = "";
    if (isExpected && seconds * 1000 >= QUIET) {
      text = this.#connection.isOpen ? say("noNews", { seconds }) : say("noNewsOffline");
    }
    if (news.textContent !== text) news.textContent = text;
  }
}

/** How many words the newest answer has. */
function wordsOfAnswer() {
  const last = [...document.querySelectorAll("#items > [data-run]")].at(-1)?.dataset.run;
  const bodies = document.querySelectorAll(`#items > .text[data-run="${CSS.escape(last)}"] .body`);
  const text = Array.from(bodies, (body) => body.textContent).join(" ");
  return text.match(/\S+/g)?.length ?? 0;
}
