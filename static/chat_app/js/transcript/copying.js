// Copies code, or an answer as Markdown. Loaded when the pointer first reaches the transcript.

import { ask } from "../person.js";
import { alert, announce, icon, say } from "../words.js";
import { unshelve } from "./shelves.js";

const SHOWN = 2000; // ms for which the button shows a check mark

/** Copy the button's code or answer, and announce the result. */
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

/** Return the code of a block, joined with the parts that were split off because it is long. */
function code(button) {
  let text = "";
  let part = button.closest("figure");
  do text += part.querySelector("pre").textContent;
  while ((part = after(part))?.matches(".rest"));
  return text;
}

/** Return the block after a block; if its chunk is kept as a string, restore the chunk. */
function after(block) {
  const next = block.nextElementSibling ?? block.closest(".chunk, .open")?.nextElementSibling;
  if (!next?.matches(".chunk, .open")) return next;
  unshelve(next);
  return next.firstElementChild;
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without HTTPS, browsers have no `navigator.clipboard`.
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
