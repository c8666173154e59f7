// The message field. Text stays in it until the server has the message.

import { Draft } from "./drafts.js";
import { lengthOf } from "./elements/growtext.js";
import { newId } from "./ids.js";
import { say } from "./words.js";

const main = document.getElementById("chat");
const form = document.getElementById("composer");
const field = document.getElementById("text");
const problem = document.getElementById("composer-error");
const words = document.querySelector("#progress .words");
const unsend = document.querySelector("[data-unsend]");
const draft = new Draft(main.dataset.conversation);

export class Composer {
  #outbox;
  #connection;
  #taken;
  #id = newId();
  #sending = false;

  /** @param taken called when the server has taken a message */
  constructor(connection, outbox, taken) {
    this.#connection = connection;
    this.#outbox = outbox;
    this.#taken = taken;
    this.#restore();
    field.addEventListener("input", () => this.#keep());
    connection.addEventListener("state", () => this.#show());
    unsend.addEventListener("click", () => outbox.cancel(this.#id));
    connection.addEventListener("frame", ({ detail: word }) => {
      // The server had it already when it was taken back to be edited.
      const isTaken = word.type === "ack_message" && word.for === this.#id;
      if (isTaken && !this.#sending) this.#clear(word);
    });
    document.addEventListener("submit", (event) => this.#submit(event));
  }

  focus() {
    if (matchMedia("(pointer: fine)").matches) field.focus();
  }

  #restore() {
    const kept = draft.load();
    if (!kept || field.value) return;
    // It was taken, and the page closed before it heard so.
    if (document.querySelector(`[data-message="${CSS.escape(kept.id)}"]`)) return draft.save(null);
    field.value = kept.text;
    this.#id = kept.id;
    field.closest("grow-text").fit?.();
  }

  #keep() {
    problem.textContent = "";
    // Another text is another message. The same text keeps its id, under which it is taken once.
    this.#id = newId();
    draft.save(field.value.trim() ? { text: field.value, id: this.#id } : null);
  }

  #submit(event) {
    if (!event.target.matches("[data-send]")) return;
    event.preventDefault();
    const starter = event.submitter?.name === "starter" ? event.submitter : null;
    if (event.target !== form) this.#sendRetry(event.target);
    else if (!this.#sending) this.#send(starter);
  }

  async #send(starter) {
    if (starter) {
      field.value = starter.textContent.trim();
      this.#keep();
      field.closest("grow-text").fit();
    }
    if (!field.value.trim() || this.#isTooLong()) return;
    const workflow =
      starter?.value.split(":")[0] ?? document.querySelector("input[name=workflow]:checked")?.value;
    draft.save({ text: field.value, id: this.#id });
    problem.textContent = "";
    this.#sending = true;
    this.#show();
    const word = await this.#outbox.deliver(frame(this.#id, field.value, workflow));
    this.#sending = false;
    if (word?.type === "ack_message") this.#clear(word);
    else if (word) problem.textContent = say("notSent", { reason: word.content.message });
    this.#show();
  }

  /** Say so before it is sent; the text stays as it is. */
  #isTooLong() {
    const most = field.closest("grow-text").most;
    const length = lengthOf(field.value);
    if (length <= most) return false;
    const numbers = { length: length.toLocaleString(), most: most.toLocaleString() };
    problem.textContent = say("notSent", { reason: say("tooLong", numbers) });
    return true;
  }

  #clear(word) {
    draft.save(null);
    field.value = "";
    this.#id = newId();
    field.closest("grow-text").fit();
    this.#taken(word);
  }

  async #sendRetry(target) {
    const button = target.querySelector("button");
    button.disabled = true;
    const text = target.elements.text.value;
    const word = await this.#outbox.deliver(frame(target.elements.message_id.value, text));
    button.disabled = false;
    if (word?.type === "ack_message") this.#taken(word);
    else if (word) problem.textContent = say("notSent", { reason: word.content.message });
  }

  #show() {
    field.readOnly = this.#sending;
    form.querySelector("[type=submit]").disabled = this.#sending;
    unsend.hidden = !this.#sending;
    const key = this.#connection.isOpen ? "sending" : "willSend";
    words.textContent = this.#sending ? say(key) : "";
  }
}

function frame(id, text, workflow) {
  return {
    type: "user_message",
    schema_type: "chat_stream",
    id,
    conversation_id: main.dataset.conversation,
    // Only a new conversation has a choice.
    ...(workflow && { workflow }),
    content: { messages: [{ role: "user", content: [{ type: "text", text }] }] },
  };
}
