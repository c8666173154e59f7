// What people type into forms: of a card what it sends, and drafts, which survive a reload.

import { newId } from "./connection.js";
import { say } from "./words.js";

const main = document.getElementById("chat");

/** A place for one draft: a plain object, or null. Storage may be full or forbidden: then none. */
export class Draft {
  constructor(...name) {
    this.key = ["draft", main.dataset.user, ...name].join(":");
  }

  load() {
    try {
      return JSON.parse(localStorage.getItem(this.key));
    } catch {
      return null;
    }
  }

  save(value) {
    try {
      if (value) localStorage.setItem(this.key, JSON.stringify(value));
      else localStorage.removeItem(this.key);
    } catch {
      // Typing goes on without it.
    }
  }
}

/** Begin with a card: what was given before a reload comes back, and is kept from now on. */
export function begin(card) {
  card.isBegun = true;
  const form = card.querySelector("form");
  card.draft = new Draft("answer", card.dataset.interaction);
  if (form.dataset.type === "form") {
    const later = () => form.addEventListener("focusin", () => begin(card), { once: true });
    import("./elements/formcard.js").then((kind) => {
      card.kind = kind;
      kind.begin(card);
    }, later); // it did not come: once more when somebody is here
    return;
  }
  const kept = card.draft.load();
  if (Array.isArray(kept) && !isTouched(card)) fill(form, kept);
  card.querySelector("grow-text")?.fit?.();
  form.addEventListener("input", () => card.draft.save(isTouched(card) ? allOf(form) : null));
}

/** Whether somebody has begun to answer here. */
export function isTouched(card) {
  if (card.querySelector("[data-type=form]")) return Boolean(card.kind?.isTouched(card));
  const isChosen = [...card.querySelectorAll("input")].some(
    (input) => input.type !== "hidden" && input.checked !== input.defaultChecked,
  );
  return (
    isChosen ||
    Boolean(card.querySelector("textarea")?.value || card.querySelector("select")?.value)
  );
}

/** What is given, as people read it. */
export function given(card) {
  if (card.kind) return card.kind.given(card);
  const chosen = [...card.querySelectorAll("input:checked ~ span")].map((each) =>
    each.firstChild.textContent.trim(),
  );
  const option = card.querySelector("select")?.selectedOptions[0]?.textContent.trim();
  const text = card.querySelector("textarea[name=value]")?.value ?? option ?? chosen.join(", ");
  const note = card.querySelector("[name=note]")?.value;
  return [text, note].filter(Boolean).join(" – ");
}

/** Send what is given on a card, or say on it what is wrong. Returns the server's word, if any. */
export async function send(card, submitter, outbox, show) {
  const form = card.querySelector("form");
  const answer = card.kind ? card.kind.read(card, submitter) : read(form, submitter);
  const problem = card.querySelector(".error");
  problem.textContent = answer ? "" : say("noAnswerYet");
  if (!answer) return null;
  card.isSending = true;
  show();
  const word = card.kind?.isPosted(card)
    ? await card.kind.post(card, submitter)
    : await outbox.deliver(frame(card, newId(), answer));
  card.isSending = word?.type === "ack_message"; // until the page shows what came of it
  if (word && !card.isSending) {
    const { message } = word.content;
    problem.textContent = card.kind?.refuse(card, message, word.details.errors) ?? message;
  }
  return word;
}

/** The answer, as the browser would post the form; null while there is none. */
function read(form, submitter) {
  const data = new FormData(form);
  const values = submitter?.name === "value" ? [submitter.value] : data.getAll("value");
  const isRequired = form.dataset.type !== "text" || form.querySelector("textarea").required;
  const isGiven = values.some((value) => value.trim()) || !isRequired;
  if (!isGiven && !data.has("several")) return null;
  return { values, note: data.get("note")?.trim() ?? "" };
}

/** The message that brings an answer. */
function frame(card, id, answer) {
  const interaction = card.dataset.interaction;
  return {
    type: "user_interaction_message",
    id,
    thread_id: interaction,
    interaction_id: interaction,
    conversation_id: main.dataset.conversation,
    version: Number(card.dataset.version),
    form: answer,
  };
}

/** Show on a card whether its answer is under way; its buttons take no click then, or while fresh. */
export function showProgress(card, connection, isFresh) {
  const words = say(connection.isOpen ? "sending" : "willSend");
  card.querySelector(".progress").textContent = card.isSending ? words : (card.word ?? "");
  card.toggleAttribute("aria-busy", Boolean(card.isSending));
  const isClosed = Boolean(card.isSending || isFresh);
  for (const button of card.querySelectorAll(".buttons button")) button.disabled = isClosed;
}

function allOf(form) {
  return [...new FormData(form)].filter(([name]) => name === "value" || name === "note");
}

function fill(form, kept) {
  for (const field of form.querySelectorAll("[name=value], [name=note]")) {
    const own = kept.filter(([name]) => name === field.name).map(([, value]) => value);
    if (field.matches("input")) field.checked = own.includes(field.value);
    else if (!field.matches("button")) [field.value = ""] = own;
  }
  const reason = form.querySelector(".reason");
  if (reason?.querySelector("textarea").value) reason.open = true;
}
