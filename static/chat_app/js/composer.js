// The message field. Text stays in it until the server has the message.

import { Draft } from "./forms.js";
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
const { replaces, follows } = form.elements; // runs: whose message this is again, what it goes on with
const draft = new Draft(main.dataset.conversation);
const chooser = document.querySelector("#attach input");
const attaching = () => import("./elements/files.js");
const MOST = field.dataset.most;
// Chromium takes half a minute to find the direction of a megabyte, and again at each load. In this
// length an emoji, one character for the limit, counts twice and more.
const far = () => 4 * (field.dataset.most ?? MOST);

export class Composer {
  #outbox;
  #connection;
  #answering = null; // once a question waits
  #taken;
  #id = newId();
  #sending = false;
  #unsent = null; // the message in the transcript, until the server's is there
  rest = ""; // what was in the field before an earlier message was edited there, or a starter sent

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
      // The server had it already when it was taken back to be edited.
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
    if (!chooser) return;
    form.addEventListener("attached", () => {
      if (hasFiles()) this.#answering?.leave(); // they go with a message
      this.#change();
    });
    // Before a file can come, somebody is here. The field may have had the focus before this.
    for (const name of ["focusin", "keydown", "change", "dragenter"]) {
      addEventListener(name, attaching);
    }
    field.addEventListener("paste", (event) => this.#paste(event, event.clipboardData));
  }

  // Here, as the first key may already paste. A picture of copied text comes with the text, which
  // is what is meant.
  async #paste(event, { files, types }) {
    if (!files.length || types.includes("text/plain") || chooser.closest("[hidden]")) return;
    event.preventDefault();
    const pasted = [...files]; // they are readable during the event only
    (await attaching()).attach(pasted);
  }

  /** Have what is pasted or dropped, and is far beyond the limit, as a file, or not at all. */
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

  /** Say what sending a message would do now. */
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
    if (!kept || kept.text.length > far()) return;
    this.rest = (replaces.value && !kept.replaces ? kept.text : kept.rest) || "";
    if (field.value) return;
    // It was taken, and the page closed before it heard so.
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

  /** Begin with the message that a link stands below, or end with the link that cancels. */
  #edit(link) {
    const run = link.dataset.edit;
    if (run) {
      const text = link.closest(".item").querySelector(".bubble").textContent;
      this.fill(text, run, replaces.value ? this.rest : field.value);
    } else {
      history.replaceState(null, "", link.href); // a reload does not begin again
      this.fill();
    }
    this.keep();
    field.focus();
  }

  /** Have a text in the field: that of an earlier message, or by default what is left to write. */
  fill(text = this.rest, run = "", rest = "") {
    field.value = text;
    replaces.value = run;
    editing.hidden = !run;
    const files = document.getElementById(`r${run}`)?.parentElement.querySelector(".files");
    editing.querySelector(".kept").hidden = !files;
    field.required = Boolean(run); // empty, the old text would be taken
    this.rest = rest;
    field.closest("grow-text").fit?.();
  }

  // Another text is another message. The same text keeps its id, under which it is taken once.
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
      this.fill(starter.dataset.text, "", field.value); // its words may be translated
      this.keep();
    }
    if (form.querySelector("#files [data-percent]")) await (await attaching()).uploaded();
    const files = attached().map(({ value }) => value);
    if (this.#sending || !(field.value.trim() || files.length) || this.#isTooLong()) return;
    const workflow = starter?.value.split(":")[0] ?? picked()?.value;
    this.#save();
    problem.textContent = "";
    this.#sending = true;
    // Another version of a message comes in the place of that.
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

  /** Say so before it is sent; the text stays as it is. */
  #isTooLong() {
    const most = field.closest("grow-text").most;
    const length = lengthOf(field.value);
    if (length <= most) return false;
    problem.textContent = say("notSent", { reason: tooLong(length, most) });
    return true;
  }

  #clear(word) {
    if (this.#unsent) this.#unsent.dataset.first = word.content.sequence; // its answer comes below
    this.#unsent?.lastElementChild.replaceChildren();
    this.#unsent = null;
    document.getElementById("files")?.replaceChildren();
    this.#answering?.leave();
    this.fill();
    this.keep();
    this.#taken(word);
  }

  /** Have the message of a run done again. */
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

function tooLong(length, most) {
  const [has, may] = [length, most].map((each) => each.toLocaleString(LANGUAGE));
  return say("tooLong", { length: has, most: may });
}

/** The workflow that a new conversation would begin with. */
function picked() {
  return document.querySelector("input[name=workflow]:checked");
}

/** Say which workflow is picked; files can be attached where it takes them. */
function showPicked() {
  const workflow = empty?.checkVisibility() && picked();
  chip.hidden = !workflow;
  if (!workflow) return;
  chip.querySelector("b").textContent = workflow
    .closest("label")
    .querySelector("strong").textContent;
  if (chooser) chooser.closest("label").hidden = !("files" in workflow.dataset);
}

/** Whether no message has been begun. */
function isFree() {
  return !(field.value || replaces.value || hasFiles());
}

function hasFiles() {
  return Boolean(form.querySelector("#files > *"));
}

/** The inputs of the files that go with the message. */
function attached() {
  return [...form.querySelectorAll("[name=file_ids]:enabled")].filter(
    ({ type, checked }) => type === "hidden" || checked,
  );
}

/** `wanted`: a workflow, which only a new conversation has a choice of, runs, and files. */
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
