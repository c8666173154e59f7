// The message field, which keeps its text until the server has the message.

import { Draft, takeDropped } from "./forms.js";
import { lengthOf } from "./elements/growtext.js";
import { newId } from "./connection.js";
import { showUnsent } from "./transcript/transcript.js";
import { say } from "./words.js";

const LANGUAGE = document.documentElement.lang;
const main = document.getElementById("chat");
const form = document.getElementById("composer");
const field = document.getElementById("text");
const problem = document.getElementById("composer-error");
const words = document.querySelector("#progress .words");
const unsend = document.querySelector("[data-unsend]");
const editing = document.getElementById("editing");
const empty = document.getElementById("empty");
const chip = document.getElementById("picked");
const { replaces, follows } = form.elements; // ids of the runs to replace and to continue
const draft = new Draft(main.dataset.conversation);
const begun = new Draft("new", "conversation"); // the path of the new one with the newest draft
const chooser = document.querySelector("#attach input");
const attaching = () => import("./elements/files.js");
const MOST = field.dataset.most;
// Longest text of the field in UTF-16 units, as Chromium takes half a minute to find the direction
// of a megabyte. Four times the limit, which counts an emoji of several units as one character.
const far = () => 4 * (field.dataset.most ?? MOST);

export class Composer {
  #outbox;
  #connection;
  #answering = null; // an Answering, once a question waits
  #taken;
  #id = newId();
  #sending = false;
  #unsent = null; // the sent message in the transcript, until the server renders it
  rest = ""; // the unsent text, kept while an earlier message is edited or a starter is sent

  /** @param taken called when the server has taken a message */
  constructor(connection, outbox, cards, taken) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#taken = taken;
    this.#restore();
    this.#prepare(cards);
    cards.addEventListener("arranged", () => this.#prepare(cards));
    field.addEventListener("input", () => {
      if (!this.#answering?.card) return this.keep();
      problem.textContent = "";
      return this.#answering.copy();
    });
    connection.addEventListener("state", () => this.#show());
    unsend.addEventListener("click", () => outbox.cancel(this.#id));
    empty?.addEventListener("change", showPicked);
    chip.addEventListener("click", () => picked().focus());
    showPicked();
    connection.addEventListener("frame", ({ detail: word }) => {
      // The server already had the message when the person cancelled sending.
      const isTaken = word.type === "ack_message" && word.for === this.#id;
      if (isTaken && !this.#sending) this.#clear(word);
    });
    document.addEventListener("submit", (event) => this.#submit(event));
    document.addEventListener("click", (event) => this.#click(event));
    field.addEventListener("beforeinput", (event) => this.#keepOut(event, event.data));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (replaces.value) editing.querySelector("a").click();
      else if (this.#answering?.card) this.#answering.decline();
    });
    takeDropped(async (files) => {
      const isTaken = chooser && !chooser.closest("[hidden]");
      if (isTaken) (await attaching()).attach(files);
      else problem.textContent = say("notAttached", { reason: say("noFiles") });
    });
    if (!chooser) return;
    form.addEventListener("attached", () => {
      if (hasFiles()) this.#answering?.leave(); // files go with messages, not with answers
      this.#change();
    });
    // Load files.js at the first sign of use. A field that was focused earlier gives no `focusin`.
    for (const name of ["focusin", "keydown", "change", "dragenter"]) {
      addEventListener(name, attaching);
    }
    field.addEventListener("paste", (event) => this.#paste(event, event.clipboardData));
  }

  // Not in files.js, as the first key may already paste. Some programs copy text together with a
  // picture of the text; paste such text.
  async #paste(event, { files, types }) {
    if (!files.length || types.includes("text/plain") || chooser.closest("[hidden]")) return;
    event.preventDefault();
    const pasted = [...files]; // the files are readable only during the event
    (await attaching()).attach(pasted);
  }

  /** Attach a pasted or dropped text far beyond the limit as a file, or refuse it. */
  async #keepOut(event, text) {
    const length = field.value.length + (text?.length ?? 0);
    if (!text || length <= far() || field.maxLength >= 0) return;
    event.preventDefault();
    if (!chooser || chooser.closest("[hidden]") || text.length <= MOST) {
      problem.textContent = say("notPasted", { reason: tooLong(length, Number(MOST)) });
      return;
    }
    (await attaching()).attach([new File([text], "text.txt", { type: "text/plain" })]);
    problem.textContent = say("pastedAsFile");
  }

  /** Show in words what sending a message would do now. */
  enter(text) {
    showPicked();
    if (this.#answering) this.#answering.enter(text);
    else field.placeholder = text;
  }

  async #prepare(cards) {
    if (this.#answering || !cards.first()) return;
    const { Answering } = await import("./answering.js").catch(() => ({}));
    if (this.#answering || !Answering) return;
    this.#answering = new Answering(cards, isFree);
    this.#answering.follow();
  }

  focus() {
    if (matchMedia("(pointer: fine)").matches) field.focus();
  }

  #restore() {
    const kept = draft.load();
    if (!kept && empty && !field.value) goOn();
    if (!kept || kept.text.length > far()) return;
    this.rest = (replaces.value && !kept.replaces ? kept.text : kept.rest) || "";
    if (field.value) return;
    // The server took the message, but the page was closed before the reply came.
    const isTaken = document.querySelector(`[data-message="${CSS.escape(kept.id)}"]`);
    if (isTaken) this.fill();
    else this.fill(kept.text, kept.replaces, this.rest);
    this.keep(isTaken ? newId() : kept.id);
    if (!isTaken && kept.files && chooser) attaching().then(({ show }) => show(kept.files));
  }

  #click(event) {
    const link = event.target.closest("[data-edit], #editing a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (this.#sending) return;
    this.#answering?.leave();
    this.#edit(link);
  }

  /** Begin to edit the message above the link, or stop if the link is the one that cancels. */
  #edit(link) {
    const run = link.dataset.edit;
    if (run) {
      const text = link.closest(".item").querySelector(".bubble").textContent;
      this.fill(text, run, replaces.value ? this.rest : field.value);
    } else {
      history.replaceState(null, "", link.href); // so that a reload does not edit again
      this.fill();
    }
    this.keep();
    field.focus();
  }

  /** Put an edited message into the field, or by default the unsent text that was kept. */
  fill(text = this.rest, run = "", rest = "") {
    field.value = text;
    replaces.value = run;
    editing.hidden = !run;
    const files = document.getElementById(`r${run}`)?.parentElement.querySelector(".files");
    editing.querySelector(".kept").hidden = !files;
    field.required = Boolean(run); // for an empty text the server would repeat the old one
    this.rest = rest;
    field.closest("grow-text").fit?.();
  }

  // Save the draft. A changed text gets a new id; the server takes a message of the same id once.
  keep(id = newId()) {
    problem.textContent = "";
    this.#change(id);
  }

  #change(id = newId()) {
    this.#id = id;
    this.#save();
    this.#answering?.follow();
  }

  #save() {
    const text = this.#answering?.card ? this.#answering.message : field.value;
    const kept = { text, id: this.#id, replaces: replaces.value, rest: this.rest };
    const files = attached().map(({ value, dataset }) => Object.assign({ id: value }, dataset));
    if (files.length) kept.files = files;
    const isWanted = kept.text.trim() || kept.replaces || kept.files;
    draft.save(isWanted && kept.text.length <= far() ? kept : null);
    if (isWanted && empty?.isConnected) begun.save(location.pathname);
    else if (begun.load() === location.pathname) begun.save(null);
  }

  #submit(event) {
    if (!event.target.matches("[data-send]")) return;
    event.preventDefault();
    const starter = event.submitter?.name === "starter" ? event.submitter : null;
    if (event.target !== form) this.#sendAgain(event.target);
    else if (this.#sending || this.#answering?.isAstray) return;
    else if (this.#answering?.card) this.#answer();
    else this.#send(starter);
  }

  async #answer() {
    if (!field.value.trim()) return;
    this.#sending = true;
    this.#show();
    problem.textContent = await this.#answering.send();
    this.#sending = false;
    this.#show();
  }

  async #send(starter) {
    if (starter) {
      this.fill(starter.dataset.text, "", field.value); // the button may show a translation
      this.keep();
    }
    if (form.querySelector("#files [data-percent]")) await (await attaching()).uploaded();
    const files = attached().map(({ value }) => value);
    if (this.#sending || !(field.value.trim() || files.length) || this.#isTooLong()) return;
    const workflow = starter?.value.split(":")[0] ?? picked()?.value;
    this.#save();
    problem.textContent = "";
    this.#sending = true;
    // Do not show an edited message at the end: it takes the place of the earlier version.
    if (!replaces.value && field.value) this.#unsent = showUnsent(this.#id, field.value);
    this.#show();
    const wanted = { workflow, replaces: replaces.value, follows: follows.value };
    if (files.length) wanted.file_ids = files;
    const word = await this.#outbox.deliver(frame(this.#id, field.value, wanted));
    this.#sending = false;
    if (word?.type === "ack_message") this.#clear(word);
    else this.#unsent?.remove();
    if (word?.type === "error_message") {
      problem.textContent = say("notSent", { reason: word.content.message });
    }
    this.#show();
  }

  /** Return whether the text is too long, and show that; the text stays in the field. */
  #isTooLong() {
    const most = field.closest("grow-text").most;
    const length = lengthOf(field.value);
    if (length <= most) return false;
    problem.textContent = say("notSent", { reason: tooLong(length, most) });
    return true;
  }

  #clear(word) {
    if (this.#unsent) this.#unsent.dataset.first = word.content.sequence; // orders the answer below
    this.#unsent?.lastElementChild.replaceChildren();
    this.#unsent = null;
    document.getElementById("files")?.replaceChildren();
    this.#answering?.leave();
    this.fill();
    this.keep();
    this.#taken(word);
  }

  /** Send the message of an earlier run again. */
  async #sendAgain(target) {
    const button = target.querySelector("button");
    button.disabled = true;
    const { message_id: id, replaces: run } = target.elements;
    const word = await this.#outbox.deliver(frame(id.value, "", { replaces: run.value }));
    button.disabled = false;
    if (word?.type === "ack_message") this.#taken(word);
    else if (word) problem.textContent = say("notSent", { reason: word.content.message });
  }

  #show() {
    field.readOnly = this.#sending;
    form.querySelector("[type=submit]").disabled = this.#sending;
    unsend.hidden = !this.#sending || Boolean(this.#answering?.card);
    const key = this.#connection.isOpen ? "sending" : "willSend";
    words.textContent = this.#sending ? say(key) : "";
    if (this.#sending && this.#unsent) this.#unsent.lastElementChild.textContent = say(key);
  }
}

/** Open the new conversation that has a draft instead of this one: that is where its files are. */
function goOn() {
  const path = begun.load();
  if (path && path !== location.pathname) location.replace(path + location.search);
}

function tooLong(length, most) {
  const [has, may] = [length, most].map((each) => each.toLocaleString(LANGUAGE));
  return say("tooLong", { length: has, most: may });
}

/** Return the selected workflow of a new conversation. */
function picked() {
  return document.querySelector("input[name=workflow]:checked");
}

/** Show the selected workflow, and the button for files if the workflow takes files. */
function showPicked() {
  const workflow = empty?.checkVisibility() && picked();
  chip.hidden = !workflow;
  if (!workflow) return;
  chip.querySelector("b").textContent = workflow
    .closest("label")
    .querySelector("strong").textContent;
  if (chooser) chooser.closest("label").hidden = !("files" in workflow.dataset);
}

/** Return whether no message has been begun. */
function isFree() {
  return !(field.value || replaces.value || hasFiles());
}

function hasFiles() {
  return Boolean(form.querySelector("#files > *"));
}

/** Return the inputs with the ids of the files to send. */
function attached() {
  return [...form.querySelectorAll("[name=file_ids]:enabled")].filter(
    ({ type, checked }) => type === "hidden" || checked,
  );
}

/** Return the frame of a message; `wanted`: workflow (new conversations only), runs, file ids. */
function frame(id, text, wanted) {
  return {
    type: "user_message",
    schema_type: "chat_stream",
    id,
    conversation_id: main.dataset.conversation,
    ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value)),
    content: { messages: [{ role: "user", content: [{ type: "text", text }] }] },
  };
}
