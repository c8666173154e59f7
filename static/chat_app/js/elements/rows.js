// Renames or deletes a conversation in its row of the list, and offers to undo the deletion. Loaded
// when the menu of a row is first used.

import { post } from "../forms.js";
import { announce, say } from "../words.js";

/** Post the action of a row. Returns whether the server did it; if not, the row tells why. */
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

/** Let the person edit the title in the row of a link: Enter saves the title, Escape does not. */
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

/** Delete the conversation of a button, or undo the deletion. */
export async function remove(button, refresh) {
  const row = button.closest("li");
  if (!(await send(row, button.formAction))) return;
  if (row.matches(".undo")) row.remove();
  else {
    const undo = button.cloneNode();
    undo.setAttribute("formaction", button.dataset.undo);
    undo.textContent = say("undo");
    row.className = "small undo"; // morph.js keeps `undo` when the list is updated
    row.replaceChildren(say("deleted"), " ", undo);
    announce(say("deleted"));
    undo.focus();
  }
  refresh();
}
