// Shows the states of the runs in words, and announces changes to screen readers.

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
      // Count only events of runs: the reply to a ping proves the connection, but no progress.
      if (Number.isInteger(frame.sequence)) this.#heard = Date.now();
    });
    setInterval(() => this.#showNews(), 1000);
  }

  /** Show the states of the runs as the server has rendered them. */
  update(part) {
    morphChildren(runs, part);
    const name = runs.querySelector(".run").dataset.name;
    if (name !== this.#run) this.#announceRun(name);
    this.#run = name;
    this.#showNews();
  }

  /** Show the number of waiting questions in the page's title, icon and link to the inbox. */
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

/** Return the number of words of the newest answer. */
function wordsOfAnswer() {
  const last = [...document.querySelectorAll("#items > [data-run]")].at(-1)?.dataset.run;
  const bodies = document.querySelectorAll(`#items > .text[data-run="${CSS.escape(last)}"] .body`);
  const text = Array.from(bodies, (body) => body.textContent).join(" ");
  return text.match(/\S+/g)?.length ?? 0;
}
