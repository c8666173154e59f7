// Copies code, or an answer as its Markdown. Loaded when somebody comes near a button for it.

import { ask } from "../person.js";
import { alert, announce, icon, say } from "../words.js";
import { unshelve } from "./shelves.js";

const SHOWN = 2000; // ms

/** Copy what the button is at, and say so. */
export async function copy(button) {
  try {
    await write(button.form ? await markdown(button.form.action) : code(button));
    announce(say("copied"));
    button.innerHTML = icon("check");
    setTimeout(() => (button.innerHTML = icon("copy")), SHOWN);
  } catch {
    alert(say("notCopied"));
  }
}

async function markdown(address) {
  const response = await ask(address);
  if (response.redirected || !response.ok) throw new Error(`text: ${response.status}`);
  return response.text();
}

/** Code, with those of its parts that were cut off because it is long. */
function code(button) {
  let text = "";
  let part = button.closest("figure");
  do text += part.querySelector("pre").textContent;
  while ((part = after(part))?.matches(".rest"));
  return text;
}

/** The block after one, which may be the first of a chunk that is held as a string. */
function after(block) {
  const next = block.nextElementSibling ?? block.closest(".chunk, .open")?.nextElementSibling;
  if (!next?.matches(".chunk, .open")) return next;
  unshelve(next);
  return next.firstElementChild;
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP there is none.
  const field = Object.assign(document.createElement("textarea"), { value: text });
  const focused = document.activeElement;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  focused?.focus({ preventScroll: true });
  if (!isCopied) throw new Error("not copied");
}
