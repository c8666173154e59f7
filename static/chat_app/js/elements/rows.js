// What the menu of a conversation does in its row: it gives another title, or deletes it, which can
// be undone. Loaded when it is first used.

import { post } from "../forms.js";
import { announce, say } from "../words.js";

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
  if (!(await send(row, button.formAction))) return;
  if (row.matches(".undo")) row.remove();
  else {
    const undo = button.cloneNode();
    undo.setAttribute("formaction", button.dataset.undo);
    undo.textContent = say("undo");
    row.className = "small undo"; // which stays when the list comes anew
    row.replaceChildren(say("deleted"), " ", undo);
    announce(say("deleted"));
    undo.focus();
  }
  refresh();
}
