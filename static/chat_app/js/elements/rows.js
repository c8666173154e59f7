// What the menu of a conversation does in its row: it gives another title, or deletes it, which can
// be undone. Loaded when it is first used.

import { post } from "../forms.js";
import { announce, say } from "../words.js";

const list = document.getElementById("list");
const deleted = new Map(); // rows that say so, each with its place among all

/** Send what a row wants. Returns whether it was done; if not, the row says why. */
async function send(row, action, title = "") {
  const body = new FormData(document.getElementById("menu"));
  body.set("title", title);
  const { error = "" } = await post({ action }, body);
  row.querySelector(".error")?.remove();
  if (!error) return true;
  const reason = Object.assign(document.createElement("p"), { className: "error", role: "alert" });
  reason.textContent = error;
  row.append(reason);
  return false;
}

/** Take another title in the row of a link: Enter saves it, Escape does not. */
export function rename(link, refresh) {
  const row = link.closest("li");
  const shown = row.querySelector(".title");
  const field = document.createElement("input");
  Object.assign(field, { value: shown.textContent, dir: "auto", ariaLabel: link.textContent });
  row.querySelector("details").open = false;
  row.append(field);
  field.select();
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault(); // Escape would close the drawer
    if (event.key === "Escape") field.value = shown.textContent;
    row.querySelector("a").focus();
  });
  field.addEventListener("blur", async () => {
    const title = field.value.trim() || shown.textContent;
    if (title !== shown.textContent && !(await send(row, link.href, title))) return;
    shown.textContent = title;
    field.remove();
    refresh();
  });
}

/** Delete the conversation of a button, or undo that. */
export async function remove(button, refresh) {
  const row = button.closest("li");
  const place = [...list.querySelectorAll("li")].indexOf(row);
  if (!(await send(row, button.formAction))) return;
  if (deleted.delete(row)) row.remove();
  else {
    const undo = button.cloneNode();
    undo.setAttribute("formaction", button.dataset.undo);
    undo.textContent = say("undo");
    row.className = "small undo";
    row.replaceChildren(say("deleted"), " ", undo);
    deleted.set(row, place);
    announce(say("deleted"));
    undo.focus();
  }
  refresh();
}

/** Put the rows of what was deleted back, where their part of the list is gone. */
export function keep() {
  if (!list.querySelector("ul")) list.append(document.createElement("ul"));
  for (const [row, place] of deleted) {
    if (row.isConnected) continue;
    const after = list.querySelectorAll("li")[place];
    if (after) after.before(row);
    else [...list.querySelectorAll("ul")].at(-1).append(row);
  }
}
