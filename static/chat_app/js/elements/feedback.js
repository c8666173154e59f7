// Sends feedback on an answer without leaving the page. Loaded with the first feedback.

import { post } from "../forms.js";
import { say } from "../words.js";

/** Send the pressed thumb, or the comment; the server keeps the other as it was. */
export async function give(form, pressed) {
  const isThumb = pressed.matches(".thumb");
  const data = new FormData(form, pressed);
  if (isThumb) data.delete("comment");
  const problem = form.querySelector(".error");
  problem.textContent = "";
  pressed.disabled = true;
  const { error: reason } = await post(form, data);
  pressed.disabled = false;
  if (reason) problem.textContent = say("notSent", { reason });
  else if (isThumb) press(form, data.get("reaction"));
  else show(form, data.get("comment"));
  if (isThumb && document.activeElement === document.body) pressed.focus({ preventScroll: true });
}

function press(form, reaction) {
  for (const thumb of form.querySelectorAll(".thumb")) {
    const isPressed = thumb.dataset.thumb === reaction;
    thumb.setAttribute("aria-pressed", isPressed);
    thumb.value = isPressed ? "" : thumb.dataset.thumb;
  }
  const details = form.querySelector("details");
  details.open = Boolean(reaction);
  details.hidden = !reaction && !form.querySelector(".said").textContent;
}

function show(form, comment) {
  form.querySelector(".said").textContent = comment.trim().split(/\s+/).join(" ");
  const details = form.querySelector("details");
  details.open = false;
  details.querySelector("summary").focus({ preventScroll: true });
}
